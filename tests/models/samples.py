"""Records to test with: valid ones whose parts a test may name, and hypothesis strategies for any valid one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final

from hypothesis import strategies as st

from models.records import (
    Analysis,
    AnalysisResult,
    DeepfakeResult,
    EmotionResult,
    EmotionScore,
    MeetingSettings,
    MeetingType,
    NewMeeting,
    NewUser,
    Participant,
    ParticipantRole,
    RefreshSession,
    SpeechResult,
    TranscriptSegment,
    UserRole,
)

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def new_user(username: str = "ada", email: str | None = None, password_hash: str = "$argon2id$ada") -> NewUser:
    return NewUser(username, email or f"{username}@example.org", password_hash, full_name="Ada Lovelace")


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def session(user_id: int, token: str = "first", family: str = "family-1", lives_s: float = 3600) -> RefreshSession:
    return RefreshSession(family, token_hash(token), user_id, NOON, later(lives_s))


def new_meeting(creator_id: int = 1, title: str = "Standup") -> NewMeeting:
    return NewMeeting(title, creator_id, NOON, later(1800))


def participant(meeting_id: int, user_id: int, joined_s: float = 0) -> Participant:
    return Participant(meeting_id, user_id, f"user{user_id}", ParticipantRole.PARTICIPANT, later(joined_s))


def segment(
    meeting_id: int = 1, task_id: str = "task-1", index: int = 0, start_s: float = 0, text: str = "hello"
) -> TranscriptSegment:
    return TranscriptSegment(
        meeting_id, task_id, 7, index, text, 0.9, "en", later(start_s), 0, 1500, created_at=later(start_s + 2)
    )


def analysis(
    task_id: str = "task-1", meeting_id: int = 1, result: AnalysisResult | None = None, created_s: float = 0
) -> Analysis:
    return Analysis(task_id, meeting_id, 7, result or DeepfakeResult(is_deepfake=False), 0.75, later(created_s))


ids: Final = st.integers(1, 2**32 - 1)
moments: Final = st.datetimes(timezones=st.just(UTC))
fractions: Final = st.floats(0, 1)
clip_ms: Final = st.integers(0, 86_400_000)
signs: Final = st.characters(exclude_categories=["Cc", "Cs"])
languages: Final = st.sampled_from(["", "en", "zh-CN", "de"])
hashes: Final = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=255)


def texts(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(signs, min_size=least, max_size=most).filter(lambda text: not least or bool(text.strip()))


def ordered(first: datetime, second: datetime) -> tuple[datetime, datetime]:
    return min(first, second), max(first, second)


spans: Final = st.builds(ordered, moments, moments)

new_users: Final = st.builds(
    NewUser,
    username=st.from_regex(r"[\w.-]{2,32}", fullmatch=True),
    email=st.emails(),
    password_hash=hashes,
    full_name=texts(0, 100),
    role=st.sampled_from(UserRole),
)
new_meetings: Final = spans.flatmap(
    lambda span: st.builds(
        NewMeeting,
        title=texts(1, 100),
        creator_id=ids,
        start_time=st.just(span[0]),
        end_time=st.none() | st.just(span[1]),
        description=texts(0, 200),
        meeting_type=st.sampled_from(MeetingType),
        max_participants=st.integers(1, 1000),
        password_hash=st.none() | hashes,
        settings=st.builds(MeetingSettings, *[st.booleans()] * 6),
    )
)
segments: Final = st.tuples(clip_ms, clip_ms).flatmap(
    lambda ends: st.builds(
        TranscriptSegment,
        meeting_id=ids,
        task_id=texts(1, 64),
        user_id=ids,
        index=st.integers(0, 2**31 - 1),
        text=texts(1, 300),
        confidence=fractions,
        language=languages,
        start_at=moments,
        start_ms=st.just(min(ends)),
        end_ms=st.just(max(ends)),
        created_at=moments,
    )
)
results: Final = st.one_of(
    st.builds(SpeechResult, texts(0, 300), languages, clip_ms),
    st.builds(
        EmotionResult,
        texts(1, 32),
        st.lists(st.builds(EmotionScore, texts(1, 32), fractions), max_size=7).map(tuple),
    ),
    st.builds(DeepfakeResult, st.booleans()),
)
analyses: Final = st.builds(Analysis, texts(1, 64), ids, ids, results, fractions, moments)
