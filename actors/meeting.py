"""`meeting/{id}`: runs one meeting. It loads the row and the roster when it is first asked, and is their one writer.

Every change is stored, then kept in memory, then announced, then answered. A crash before the announcement leaves a
change that nobody was told of. For a start or an end it can be mended: asking again announces again, once in each life
of this actor, so subscribers may hear either twice. A join or a leave is not announced again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from actors.addresses import number_of
from actors.attempts import AttemptLimit, Attempts
from actors.door import Door, PasswordRight
from actors.history import History
from actors.issuer import Issuer
from actors.news import Topics, announce
from actors.passwords import PasswordHasher
from actors.rest import rest_if_idle
from actors.views import meeting_view, participant_view
from models import records
from models.records import MeetingStatus, ParticipantRole
from models.stores import AnalysisStore, MeetingStore, TranscriptStore, UserStore
from protocols.errors import Aborted, FailedPrecondition, NotFound, PermissionDenied, ResourceExhausted
from protocols.events import MeetingEnded, MeetingStarted, MeetingUserJoined, MeetingUserLeft
from protocols.ice import IceServer
from protocols.meetings import (
    Access,
    Admission,
    CheckAccess,
    EndMeeting,
    GetAnalyses,
    GetMeeting,
    GetTranscript,
    JoinMeeting,
    LeaveMeeting,
    ListParticipants,
    MeetingView,
    Participants,
    StartMeeting,
)
from protocols.signaling import CloseRoom
from runtime.engine import Actor, on

NOT_A_MEMBER: Final = "you do not take part in this meeting"
RETRY_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class MeetingLimits:
    """`errands`: password checks and reads of the history that one meeting has under way at a time."""

    errands: int = 64
    passwords: AttemptLimit = field(default_factory=lambda: AttemptLimit(most=10, window_s=60.0))


@dataclass(frozen=True, slots=True)
class MeetingDeps:
    """What a meeting needs. The kind `room` must be carried too."""

    meetings: MeetingStore
    transcripts: TranscriptStore
    analyses: AnalysisStore
    users: UserStore
    hasher: PasswordHasher
    issuer: Issuer
    topics: Topics
    ice_servers: tuple[IceServer, ...] = ()
    limits: MeetingLimits = field(default_factory=MeetingLimits)


class Meeting(Actor):
    """One meeting."""

    def __init__(self, _meeting_id: str, deps: MeetingDeps) -> None:
        self._deps = deps
        self._stored: records.Meeting | None = None
        self._roster: dict[int, records.Participant] = {}
        self._announced: set[MeetingStatus] = set()
        self._guesses: dict[int, Attempts] = {}

    def may_rest(self) -> bool:
        """Not while it remembers a wrong password: the count is nowhere else."""
        now = self.system.clock.time()
        return not self.children and not any(attempts.matter(now) for attempts in self._guesses.values())

    # ---- its life

    @on(GetMeeting)
    async def get(self, message: GetMeeting) -> MeetingView:
        """What it is."""
        meeting = await self._meeting()
        if message.actor_id and meeting.password_hash is not None:
            self._check_member(meeting, message.actor_id)
        return meeting_view(meeting)

    @on(StartMeeting)
    async def start(self, message: StartMeeting) -> MeetingView:
        """Let it begin."""
        meeting = _hosted(await self._meeting(), message.actor_id)
        if meeting.status is MeetingStatus.ENDED:
            raise FailedPrecondition("the meeting has ended")
        return meeting_view(await self._start(meeting))

    @on(EndMeeting)
    async def end(self, message: EndMeeting) -> MeetingView:
        """End it, and close its room."""
        meeting = _hosted(await self._meeting(), message.actor_id)
        if meeting.status is MeetingStatus.SCHEDULED:
            raise FailedPrecondition("the meeting has not started")
        if meeting.status is MeetingStatus.ACTIVE:
            ended_at = _not_before(meeting.actual_start_time, self.system.clock.now())
            meeting = await self._store(replace(meeting, status=MeetingStatus.ENDED, actual_end_time=ended_at))
        # Without an await behind the row, so that only the node's own end can come between; and told at every asking,
        # since a room that is closed already takes no notice.
        self.system.entity("room", meeting.room_id).tell(CloseRoom("meeting_ended"))
        await self._announce_end(meeting)
        return meeting_view(meeting)

    # ---- its people

    @on(JoinMeeting)
    async def join(self, message: JoinMeeting) -> Admission | None:
        """Let a user in. Where a password is asked for, one is checked elsewhere first, since that takes long."""
        meeting = await self._meeting()
        self._check_entry(meeting, message.actor_id)
        if meeting.password_hash is None or self._was_admitted(meeting, message.actor_id):
            return await self._admit(meeting, message)
        self._check_password(meeting.password_hash, message)
        return None

    @on(PasswordRight)
    async def admit(self, message: PasswordRight) -> Admission:
        """Let a user in who knew the password."""
        self._guesses.pop(message.join.actor_id, None)
        meeting = await self._meeting()
        self._check_entry(meeting, message.join.actor_id)
        return await self._admit(meeting, message.join)

    @on(LeaveMeeting)
    async def leave(self, message: LeaveMeeting) -> None:
        """Note that a user left."""
        meeting = await self._meeting()
        person = self._roster.get(message.actor_id)
        if person is None or person.left_at is not None or meeting.status is MeetingStatus.ENDED:
            return
        left_at = self.system.clock.now()
        self._roster[person.user_id] = await self._deps.meetings.leave(meeting.id, person.user_id, left_at)
        await announce(self._deps.topics, MeetingUserLeft(meeting.id, person.user_id, left_at))

    @on(ListParticipants)
    async def participants(self, message: ListParticipants) -> Participants:
        """Everybody who takes or took part, in the order in which they first came."""
        meeting = await self._meeting()
        self._check_member(meeting, message.actor_id)
        return Participants(tuple(participant_view(person, meeting) for person in self._roster.values()))

    @on(CheckAccess)
    async def check_access(self, message: CheckAccess) -> Access:
        """Whether a user may enter the room, or read what came of the meeting. NotFound for a meeting that is none."""
        meeting = await self._meeting()
        role = self._role(meeting, message.actor_id)
        live = meeting.status is MeetingStatus.ACTIVE
        return Access(
            granted=role is not None,
            role=role.value if role else "",
            reason="" if role else NOT_A_MEMBER,
            live=live,
            enable_ai=meeting.settings.enable_ai,
        )

    # ---- what came of it

    @on(GetTranscript, GetAnalyses)
    async def read(self, message: GetTranscript | GetAnalyses) -> None:
        """Have the history read by an actor of its own: the meeting does not wait for it."""
        meeting = await self._meeting()
        self._check_member(meeting, message.actor_id)
        self._check_errands()
        origin = meeting.actual_start_time or meeting.start_time
        deps = self._deps
        self.forward(self.spawn(History, meeting.id, origin, deps.transcripts, deps.analyses, deps.users))

    # ---- within

    async def _meeting(self) -> records.Meeting:
        """The meeting, loaded if need be. Raises NotFound, and then goes, so that no crowd of the missing builds up."""
        if self._stored is None:
            try:
                meeting = await self._deps.meetings.get(number_of(self.id, "meeting"))
            except NotFound:
                rest_if_idle(self)
                raise
            people = await self._deps.meetings.participants(meeting.id)
            self._roster = {person.user_id: person for person in people}
            self._stored = meeting
        return self._stored

    async def _store(self, changed: records.Meeting) -> records.Meeting:
        try:
            self._stored = await self._deps.meetings.update(changed)
        except Aborted:
            self._stored = None  # somebody else has written: read anew before the next message
            raise
        return self._stored

    async def _start(self, meeting: records.Meeting) -> records.Meeting:
        if meeting.status is MeetingStatus.SCHEDULED:
            now = self.system.clock.now()
            meeting = await self._store(replace(meeting, status=MeetingStatus.ACTIVE, actual_start_time=now))
        started_at = meeting.actual_start_time
        if started_at is None or MeetingStatus.ACTIVE in self._announced:
            return meeting
        if await announce(self._deps.topics, MeetingStarted(meeting.id, started_at)):
            self._announced.add(MeetingStatus.ACTIVE)
        return meeting

    async def _announce_end(self, meeting: records.Meeting) -> None:
        ended_at = meeting.actual_end_time
        if ended_at is None or MeetingStatus.ENDED in self._announced:
            return
        duration = ended_at - (meeting.actual_start_time or ended_at)
        if await announce(self._deps.topics, MeetingEnded(meeting.id, ended_at, duration.total_seconds())):
            self._announced.add(MeetingStatus.ENDED)

    async def _admit(self, meeting: records.Meeting, message: JoinMeeting) -> Admission:
        if meeting.status is MeetingStatus.SCHEDULED:
            meeting = await self._start(meeting)  # its host is here
        now = self.system.clock.now()
        person = self._roster.get(message.actor_id)
        if person is None or person.left_at is not None:
            role = self._role(meeting, message.actor_id) or ParticipantRole.PARTICIPANT
            coming = records.Participant(meeting.id, message.actor_id, message.username, role, now)
            person = await self._deps.meetings.join(coming)
            self._roster[person.user_id] = person
            news = MeetingUserJoined(meeting.id, person.user_id, person.username, now)
            await announce(self._deps.topics, news)
        token = self._deps.issuer.join(person.user_id, person.username, meeting.room_id, now)
        return Admission(participant_view(person, meeting), meeting.room_id, token, self._deps.ice_servers)

    def _check_entry(self, meeting: records.Meeting, user_id: int) -> None:
        """Raise unless the meeting's state lets this user in."""
        if meeting.status is MeetingStatus.ENDED:
            raise FailedPrecondition("the meeting has ended")
        if meeting.status is MeetingStatus.SCHEDULED and user_id != meeting.creator_id:
            raise FailedPrecondition("the meeting has not started yet")
        present = {person.user_id for person in self._roster.values() if person.left_at is None}
        if user_id not in present and len(present) >= meeting.max_participants:
            raise ResourceExhausted(f"the meeting is full: it takes {meeting.max_participants}")

    def _check_password(self, password_hash: str, message: JoinMeeting) -> None:
        now = self.system.clock.time()
        self._guesses = {user_id: attempts for user_id, attempts in self._guesses.items() if attempts.matter(now)}
        attempts = self._guesses.setdefault(message.actor_id, Attempts(self._deps.limits.passwords))
        wait_s = attempts.wait_s(now)
        if wait_s:
            raise ResourceExhausted("too many wrong passwords: wait before the next try", retry_after_s=wait_s)
        self._check_errands()
        attempts.failed(now)  # until it turns out to be right, so that guesses sent all at once count too
        self.forward(self.spawn(Door, self.ref, password_hash, self._deps.hasher))

    def _check_errands(self) -> None:
        if len(self.children) >= self._deps.limits.errands:
            raise ResourceExhausted("too many ask this meeting at once", retry_after_s=RETRY_AFTER_S)

    def _check_member(self, meeting: records.Meeting, user_id: int) -> None:
        if not self._was_admitted(meeting, user_id):
            raise PermissionDenied(NOT_A_MEMBER)

    def _was_admitted(self, meeting: records.Meeting, user_id: int) -> bool:
        return self._role(meeting, user_id) is not None

    def _role(self, meeting: records.Meeting, user_id: int) -> ParticipantRole | None:
        if user_id == meeting.creator_id:
            return ParticipantRole.HOST
        person = self._roster.get(user_id)
        return person.role if person else None


def _hosted(meeting: records.Meeting, user_id: int) -> records.Meeting:
    if user_id != meeting.creator_id:
        raise PermissionDenied("only the meeting's host may do this")
    return meeting


def _not_before(earliest: datetime | None, moment: datetime) -> datetime:
    """A wall clock may be set back while a meeting goes on."""
    return moment if earliest is None else max(earliest, moment)
