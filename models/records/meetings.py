"""Records of meetings and of the people in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from models.records import bounds


class MeetingStatus(StrEnum):
    """How far a meeting has come; it never goes back."""

    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"


class MeetingType(StrEnum):
    """What a meeting carries."""

    VIDEO = "video"
    AUDIO = "audio"


class ParticipantRole(StrEnum):
    """What a participant may do in the meeting."""

    HOST = "host"
    CO_HOST = "co_host"
    PARTICIPANT = "participant"


@dataclass(frozen=True, slots=True)
class MeetingSettings:
    """What a meeting allows, chosen by its creator. `require_approval` puts a lobby before the room."""

    enable_recording: bool = False
    enable_ai: bool = True
    enable_chat: bool = True
    enable_screen_share: bool = True
    mute_on_join: bool = False
    require_approval: bool = False


@dataclass(frozen=True, slots=True)
class NewMeeting:
    """A meeting to be created. Without an `end_time` it is open-ended, without a `password_hash` it asks for none."""

    title: str
    creator_id: int
    start_time: datetime
    end_time: datetime | None = None
    description: str = ""
    meeting_type: MeetingType = MeetingType.VIDEO
    max_participants: int = 100
    password_hash: str | None = field(default=None, repr=False)
    settings: MeetingSettings = MeetingSettings()

    def __post_init__(self) -> None:
        check = bounds.Check("meeting")
        _check_plan(check, self)
        check.done()


@dataclass(frozen=True, slots=True)
class Meeting:
    """A meeting, as planned and as it went. `version` starts at 1 and grows with every change."""

    id: int
    title: str
    description: str
    creator_id: int
    status: MeetingStatus
    meeting_type: MeetingType
    start_time: datetime
    end_time: datetime | None
    actual_start_time: datetime | None
    actual_end_time: datetime | None
    max_participants: int
    password_hash: str | None = field(repr=False)
    settings: MeetingSettings
    created_at: datetime
    version: int = 1

    @property
    def room_id(self) -> str:
        """The name of the room in which the meeting takes place."""
        return f"room_{self.id}"

    def __post_init__(self) -> None:
        check = bounds.Check("meeting")
        check.within(bounds.ID, id=self.id)
        _check_plan(check, self)
        check.utc(actual_start_time=self.actual_start_time, actual_end_time=self.actual_end_time)
        check.utc(created_at=self.created_at)
        check.order("actual_end_time", self.actual_start_time, self.actual_end_time)
        check.within(bounds.VERSION, version=self.version)
        check.done()


@dataclass(frozen=True, slots=True)
class Participant:
    """A user's part in a meeting: `joined_at` is when they first came, `left_at` None while they are there."""

    meeting_id: int
    user_id: int
    username: str
    role: ParticipantRole
    joined_at: datetime
    left_at: datetime | None = None

    def __post_init__(self) -> None:
        check = bounds.Check("participant")
        check.within(bounds.ID, meeting_id=self.meeting_id, user_id=self.user_id)
        check.text(bounds.USERNAME, username=self.username)
        check.utc(joined_at=self.joined_at, left_at=self.left_at)
        check.order("left_at", self.joined_at, self.left_at)
        check.done()


def _check_plan(check: bounds.Check, meeting: NewMeeting | Meeting) -> None:
    check.text(bounds.TITLE, title=meeting.title)
    check.text(bounds.DESCRIPTION, description=meeting.description)
    check.within(bounds.ID, creator_id=meeting.creator_id)
    check.utc(start_time=meeting.start_time, end_time=meeting.end_time)
    check.order("end_time", meeting.start_time, meeting.end_time)
    check.within(bounds.MAX_PARTICIPANTS, max_participants=meeting.max_participants)
    if meeting.password_hash is not None:
        check.text(bounds.PASSWORD_HASH, password_hash=meeting.password_hash)
