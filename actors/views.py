"""Records as the rest of the system may see them: without secrets, in the words of the protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta

from models import records
from protocols.accounts import UserView
from protocols.meetings import AnalysisView, MeetingSettings, MeetingView, ParticipantView, TranscriptLine


def user_view(user: records.User) -> UserView:
    """A user."""
    return UserView(
        id=user.id,
        username=user.username,
        email=user.email,
        full_name=user.full_name,
        status=user.status.value,
        role=user.role.value,
        created_at=user.created_at,
    )


def meeting_view(meeting: records.Meeting) -> MeetingView:
    """A meeting."""
    return MeetingView(
        id=meeting.id,
        room_id=meeting.room_id,
        title=meeting.title,
        description=meeting.description,
        creator_id=meeting.creator_id,
        status=meeting.status.value,
        meeting_type=meeting.meeting_type.value,
        start_time=meeting.start_time,
        end_time=meeting.end_time,
        actual_start_time=meeting.actual_start_time,
        actual_end_time=meeting.actual_end_time,
        max_participants=meeting.max_participants,
        has_password=meeting.password_hash is not None,
        settings=MeetingSettings(**asdict(meeting.settings)),
        created_at=meeting.created_at,
        version=meeting.version,
    )


def participant_view(person: records.Participant, meeting: records.Meeting) -> ParticipantView:
    """A user's part in a meeting. Whoever was there when it ended left with its end."""
    return ParticipantView(
        meeting_id=person.meeting_id,
        user_id=person.user_id,
        username=person.username,
        role=person.role.value,
        joined_at=person.joined_at,
        left_at=person.left_at or meeting.actual_end_time,
    )


def transcript_line(segment: records.TranscriptSegment, names: Mapping[int, str]) -> TranscriptLine:
    """A line of a transcript; `names` has the usernames of those who are known still."""
    return TranscriptLine(
        task_id=segment.task_id,
        user_id=segment.user_id,
        username=names.get(segment.user_id, f"user {segment.user_id}"),
        start=segment.start_at,
        end=segment.start_at + timedelta(milliseconds=segment.end_ms - segment.start_ms),
        text=segment.text,
        confidence=segment.confidence,
        language=segment.language,
    )


def analysis_view(analysis: records.Analysis) -> AnalysisView:
    """A result of the AI."""
    return AnalysisView(
        task_id=analysis.task_id,
        meeting_id=analysis.meeting_id,
        user_id=analysis.user_id,
        result_type=analysis.result_type.value,
        result=records.encode_result(analysis.result),
        confidence=analysis.confidence,
        created_at=analysis.created_at,
    )
