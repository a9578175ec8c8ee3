"""Bodies and queries of the HTTP API: what a client may send, within which limits, and what it gets.

Times are RFC 3339 with a time zone, ids fit 32 bits, bytes travel as base64. Unknown fields are ignored, so that a
client written for a newer node works here. The OpenAPI document is generated from these classes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from protocols.ice import IceServer

MAX_ID: Final = 2**32 - 1

_END: Final = r"(?!\n)$"
"""The end of the text in Python's and in JavaScript's regular expressions alike: Python's `$` lets a line feed pass."""

Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
Time = Annotated[datetime, Meta(tz=True)]
Confidence = Annotated[float, Meta(ge=0, le=1)]
Cursor = Annotated[str, Meta(max_length=256, description="`next_cursor` of the page before; empty for the first page")]
Password = Annotated[str, Meta(max_length=256)]
OpaqueToken = Annotated[str, Meta(min_length=1, max_length=512)]
Username = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=32,
        pattern=r"^[\w.\-]+" + _END,
        description="Letters and digits of any script, `_`, `.`, `-`",
    ),
]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """Root of what a client sends."""


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """Root of what a client gets."""


class Nothing(Sent, frozen=True, kw_only=True):
    """No body and no query."""


# Accounts


class Registration(Sent, frozen=True, kw_only=True):
    """A new account."""

    username: Username
    email: Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^@\s]+@[^@\s]+" + _END)]
    password: Annotated[str, Meta(min_length=8, max_length=256)]
    full_name: Annotated[str, Meta(max_length=100)] = ""


class Credentials(Sent, frozen=True, kw_only=True):
    """Who logs in."""

    username: Username
    password: Password


class RefreshToken(Sent, frozen=True, kw_only=True):
    """The refresh token of a session: to trade for the next pair, or to end the session."""

    refresh_token: OpaqueToken


class User(Given, frozen=True, kw_only=True):
    """A user, as they see themselves."""

    id: Id
    username: str
    email: str
    full_name: str
    status: str
    role: str
    created_at: Time


class Session(Given, frozen=True, kw_only=True):
    """A pair of tokens. `expires_in` is the life of the access token in seconds; a refresh token is good once."""

    user: User
    access_token: str
    refresh_token: str
    expires_in: int
    token_type: str = "Bearer"


# Meetings


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a meeting allows."""

    enable_recording: bool = False
    enable_ai: bool = True
    enable_chat: bool = True
    enable_screen_share: bool = True
    mute_on_join: bool = False
    require_approval: bool = False


class MeetingDraft(Sent, frozen=True, kw_only=True):
    """A meeting to be. Without `start_time` it is for now; without `end_time` it is open-ended."""

    title: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"\S")]
    description: Annotated[str, Meta(max_length=2000)] = ""
    start_time: Time | None = None
    end_time: Time | None = None
    max_participants: Annotated[int, Meta(ge=1, le=1000)] = 100
    meeting_type: Literal["video", "audio"] = "video"
    password: Password = ""
    settings: Settings = Settings()


class JoinRequest(Sent, frozen=True, kw_only=True):
    """`password` is for meetings that have one."""

    password: Password = ""


class Page(Sent, frozen=True, kw_only=True):
    """Which page of a list."""

    cursor: Cursor = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class TranscriptQuery(Sent, frozen=True, kw_only=True):
    """`cursor` and `limit` page the JSON form; subtitles are always whole."""

    cursor: Cursor = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 500
    format: Annotated[str, Meta(pattern="^(json|vtt|srt)$", description="Goes before the `Accept` header")] | None = (
        None
    )


class Meeting(Given, frozen=True, kw_only=True):
    """A meeting. `version` grows with every change and is its ETag."""

    id: Id
    room_id: str
    title: str
    description: str
    creator_id: Id
    status: str
    meeting_type: str
    start_time: Time
    end_time: Time | None
    actual_start_time: Time | None
    actual_end_time: Time | None
    max_participants: int
    has_password: bool
    settings: Settings
    created_at: Time
    version: int


class MeetingList(Given, frozen=True, kw_only=True):
    """One page of meetings; `next_cursor` is empty on the last."""

    items: tuple[Meeting, ...]
    next_cursor: str


class Participant(Given, frozen=True, kw_only=True):
    """A user's part in a meeting; `left_at` is null while they are in it."""

    meeting_id: Id
    user_id: Id
    username: str
    role: str
    joined_at: Time
    left_at: Time | None


class ParticipantList(Given, frozen=True, kw_only=True):
    """Those in a meeting, in the order in which they first joined."""

    items: tuple[Participant, ...]


class Admission(Given, frozen=True, kw_only=True):
    """The right to enter a meeting's room: `join_token` opens that room only, over the WebSocket."""

    participant: Participant
    room_id: str
    join_token: str
    ice_servers: tuple[IceServer, ...]


class TranscriptLine(Given, frozen=True, kw_only=True):
    """What one person said, and when."""

    task_id: str
    user_id: Id
    username: str
    start: Time
    end: Time
    text: str
    confidence: Confidence
    language: str


class Transcript(Given, frozen=True, kw_only=True):
    """One page of a transcript in the order of speech; `origin` is the zero of its subtitles."""

    items: tuple[TranscriptLine, ...]
    origin: Time
    next_cursor: str


class RoomMember(Given, frozen=True, kw_only=True):
    """Somebody in a signaling room."""

    user_id: Id
    username: str
    peer_id: str
    role: str


class Room(Given, frozen=True, kw_only=True):
    """Who is in a signaling room now; `seq` is the number of the room's last event."""

    room_id: str
    participants: tuple[RoomMember, ...]
    seq: int


# AI


class SpeechClip(Sent, frozen=True, kw_only=True):
    """Speech to recognise. `pcm` is 16 bit little endian and needs `sample_rate` (Hz); others say it themselves."""

    audio_data: Annotated[bytes, Meta(min_length=1)]
    meeting_id: Id
    user_id: Id | None = None
    format: Annotated[str, Meta(pattern="^[a-z0-9]{1,16}" + _END)] = "pcm"
    sample_rate: Annotated[int, Meta(ge=8000, le=192_000)] | None = None
    channels: Annotated[int, Meta(ge=1, le=8)] = 1
    language: Annotated[
        str, Meta(max_length=35, pattern=r"^[A-Za-z0-9\-]*" + _END, description="BCP 47, such as `zh-CN`")
    ] = ""


class Picture(Sent, frozen=True, kw_only=True):
    """One video frame to analyse."""

    video_frame: Annotated[bytes, Meta(min_length=1)]
    meeting_id: Id
    user_id: Id | None = None
    format: Annotated[str, Meta(pattern="^[a-z0-9]{1,16}" + _END)] = "jpeg"


class Segment(Given, frozen=True, kw_only=True):
    """A stretch of recognised speech; times in milliseconds from the start of the clip."""

    start_ms: int
    end_ms: int
    text: str
    confidence: Confidence


class Recognition(Given, frozen=True, kw_only=True):
    """What was said. `duration_ms` is the clip's, `latency_ms` ours; nobody spoke: `speech` is false, `text` empty."""

    task_id: str
    text: str
    confidence: Confidence
    language: str
    duration_ms: int
    latency_ms: float
    model: str
    speech: bool
    segments: tuple[Segment, ...]


class Analysis(Given, frozen=True, kw_only=True):
    """One result of the AI; `result_type` gives the shape of `result`."""

    task_id: str
    meeting_id: Id
    user_id: Id
    result_type: str
    result: Any
    confidence: Confidence
    created_at: Time


class AnalysisList(Given, frozen=True, kw_only=True):
    """One page of AI results, oldest first."""

    items: tuple[Analysis, ...]
    next_cursor: str


# Failures


class Fault(Given, frozen=True, kw_only=True):
    """One field that is wrong."""

    field: str
    detail: str


class Problem(Given, frozen=True, kw_only=True):
    """A failure (RFC 9457). `code` is the same name on every wire; `errors` names single fields."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: tuple[Fault, ...] = ()
