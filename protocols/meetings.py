"""Messages about meetings. `planner/{user_id}` makes and lists a user's meetings; `meeting/{id}` runs one of them.

`actor_id` in every message is the user on whose behalf it is sent, taken from their token by the edge.
"""

from __future__ import annotations

from dataclasses import field
from datetime import datetime

from protocols.ice import IceServer
from protocols.messages import message


@message("meeting.settings")
class MeetingSettings:
    """What a meeting allows, chosen by its creator."""

    enable_recording: bool = False
    enable_ai: bool = True
    enable_chat: bool = True
    enable_screen_share: bool = True
    mute_on_join: bool = False
    require_approval: bool = False


@message("meeting.view")
class MeetingView:
    """What the system tells about a meeting. `version` grows with every change (the ETag of HTTP)."""

    id: int
    room_id: str
    title: str
    description: str
    creator_id: int
    status: str
    meeting_type: str
    start_time: datetime
    end_time: datetime | None
    actual_start_time: datetime | None
    actual_end_time: datetime | None
    max_participants: int
    has_password: bool
    settings: MeetingSettings
    created_at: datetime
    version: int


@message("meeting.page")
class MeetingPage:
    """One page of meetings; `next_cursor` is empty on the last."""

    items: tuple[MeetingView, ...]
    next_cursor: str = ""


@message("meeting.participant")
class ParticipantView:
    """A user's part in a meeting; `left_at` is None while they are in it."""

    meeting_id: int
    user_id: int
    username: str
    role: str
    joined_at: datetime
    left_at: datetime | None = None


@message("meeting.create")
class CreateMeeting:
    """To `planner/{user_id}`. Answer: MeetingView. `end_time` None: open-ended."""

    title: str
    description: str
    start_time: datetime
    end_time: datetime | None
    max_participants: int
    meeting_type: str
    settings: MeetingSettings
    password: str = field(default="", repr=False)


@message("meeting.list_mine")
class ListMeetings:
    """To `planner/{user_id}`: the meetings that this user made or takes part in, newest first. Answer: MeetingPage."""

    cursor: str = ""
    limit: int = 50


@message("meeting.get")
class GetMeeting:
    """To `meeting/{id}`. Answer: MeetingView, or NotFound. `actor_id` 0: the system itself asks.

    A user who does not take part sees a meeting that they could join as they are, and none that has a password.
    """

    actor_id: int = 0


@message("meeting.start")
class StartMeeting:
    """To `meeting/{id}`, by its host. Answer: MeetingView. Starting a started meeting changes nothing."""

    actor_id: int


@message("meeting.end")
class EndMeeting:
    """To `meeting/{id}`, by its host. Answer: MeetingView. Ending an ended meeting changes nothing."""

    actor_id: int


@message("meeting.join")
class JoinMeeting:
    """To `meeting/{id}`. Answer: Admission. Joining twice gives the same participant and a new token."""

    actor_id: int
    username: str
    password: str = field(default="", repr=False)


@message("meeting.admission")
class Admission:
    """The right to enter a meeting's room: a token for that room only, and the ICE servers to connect with."""

    participant: ParticipantView
    room_id: str
    join_token: str = field(repr=False)
    ice_servers: tuple[IceServer, ...] = ()


@message("meeting.leave")
class LeaveMeeting:
    """To `meeting/{id}`. Answer: None, also when the user was not in it."""

    actor_id: int


@message("meeting.participants")
class ListParticipants:
    """To `meeting/{id}`, by one of its members. Answer: Participants."""

    actor_id: int


@message("meeting.participant_list")
class Participants:
    """Those in a meeting, in the order in which they first joined."""

    items: tuple[ParticipantView, ...]


@message("meeting.check_access")
class CheckAccess:
    """To `meeting/{id}`: may this user enter its room, or read its results? Answer: Access. NotFound: no meeting."""

    actor_id: int


@message("meeting.access")
class Access:
    """The answer of CheckAccess; `reason` says why not. `live` is whether the meeting is going on."""

    granted: bool
    role: str = ""
    reason: str = ""
    live: bool = False
    enable_ai: bool = False


@message("meeting.get_transcript")
class GetTranscript:
    """To `meeting/{id}`, by one of its members. Answer: TranscriptPage."""

    actor_id: int
    cursor: str = ""
    limit: int = 500


@message("meeting.transcript_line")
class TranscriptLine:
    """What one person said, when (UTC), and how sure the recognition is (0 to 1)."""

    task_id: str
    user_id: int
    username: str
    start: datetime
    end: datetime
    text: str
    confidence: float
    language: str


@message("meeting.transcript_page")
class TranscriptPage:
    """One page of a transcript in the order of speech; `origin` is the zero of its subtitles (start of the meeting)."""

    items: tuple[TranscriptLine, ...]
    origin: datetime
    next_cursor: str = ""


@message("meeting.get_analysis")
class GetAnalyses:
    """To `meeting/{id}`, by one of its members. Answer: AnalysisPage."""

    actor_id: int
    cursor: str = ""
    limit: int = 100


@message("meeting.analysis")
class AnalysisView:
    """One result of the AI: `result` is JSON text whose shape `result_type` gives."""

    task_id: str
    meeting_id: int
    user_id: int
    result_type: str
    result: str
    confidence: float
    created_at: datetime


@message("meeting.analysis_page")
class AnalysisPage:
    """One page of AI results, oldest first."""

    items: tuple[AnalysisView, ...]
    next_cursor: str = ""
