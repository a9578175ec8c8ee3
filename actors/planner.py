"""`planner/{user_id}`: makes and lists the meetings of one user. Keeps nothing in memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Final

from actors.addresses import number_of
from actors.news import Topics, announce
from actors.passwords import MOST, PasswordHasher
from actors.views import meeting_view
from models import records
from models.records.bounds import Check
from models.stores import MeetingStore
from protocols.accounts import GetUser, UserView
from protocols.errors import InvalidArgument, Unimplemented
from protocols.events import MeetingCreated
from protocols.meetings import CreateMeeting, ListMeetings, MeetingPage, MeetingView
from runtime.engine import Actor, on

NO_LOBBY: Final = "this node has no lobby: make the meeting without require_approval, with a password if need be"


@dataclass(frozen=True, slots=True)
class PlannerDeps:
    """What a planner needs. The kind `user` must be carried too."""

    meetings: MeetingStore
    hasher: PasswordHasher
    topics: Topics


class Planner(Actor):
    """The plans of one user."""

    def __init__(self, _user_id: str, deps: PlannerDeps) -> None:
        self._deps = deps

    @on(CreateMeeting)
    async def create(self, message: CreateMeeting) -> MeetingView:
        """Make a meeting: its user looked up, the row, then the news."""
        number_of(self.id, "user")
        user: UserView = await self.ask(self.system.entity("user", self.id), GetUser())
        new = _checked(message, user.id)
        if message.settings.require_approval:
            # To let everybody in would be worse than to say no.
            raise Unimplemented(NO_LOBBY)
        if message.password:
            new = replace(new, password_hash=await self._deps.hasher.hash(message.password))
        meeting = await self._deps.meetings.create(new)
        # A crash here leaves a meeting that nobody prepares for; starting it announces it again, as started.
        created = MeetingCreated(meeting.id, meeting.title, meeting.creator_id, meeting.start_time)
        await announce(self._deps.topics, created)
        return meeting_view(meeting)

    @on(ListMeetings)
    async def list_mine(self, message: ListMeetings) -> MeetingPage:
        """The meetings that the user made or took part in, newest first."""
        user_id = number_of(self.id, "user")
        page = await self._deps.meetings.list_for_user(user_id, cursor=message.cursor, limit=message.limit)
        return MeetingPage(tuple(map(meeting_view, page.items)), page.next_cursor)


def _checked(message: CreateMeeting, creator_id: int) -> records.NewMeeting:
    """The meeting as asked for, without its password. Raises InvalidArgument with every fault at once."""
    check = Check("meeting")
    known = message.meeting_type in set(records.MeetingType)
    check.that(known, "meeting_type", f"must be one of {', '.join(records.MeetingType)}")
    check.that(len(message.password) <= MOST, "password", f"must have at most {MOST} characters")
    try:
        new = records.NewMeeting(
            title=message.title,
            creator_id=creator_id,
            start_time=message.start_time,
            end_time=message.end_time,
            description=message.description,
            meeting_type=records.MeetingType(message.meeting_type) if known else records.MeetingType.VIDEO,
            max_participants=message.max_participants,
            settings=records.MeetingSettings(**asdict(message.settings)),
        )
    except InvalidArgument as error:
        for fault in error.faults:
            check.that(False, fault.field, fault.detail)
        check.done()
        raise
    check.done()
    return new
