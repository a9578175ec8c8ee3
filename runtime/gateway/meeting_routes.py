"""Meetings over HTTP: make, list, read, start, end, join, leave, and who is in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import ETag, web

from protocols import http
from protocols.errors import Code, FieldFault, InvalidArgument
from protocols.meetings import (
    Admission,
    CreateMeeting,
    EndMeeting,
    GetMeeting,
    JoinMeeting,
    LeaveMeeting,
    ListMeetings,
    ListParticipants,
    MeetingPage,
    MeetingSettings,
    MeetingView,
    Participants,
    StartMeeting,
)
from runtime.gateway.call import Answer, Call
from runtime.gateway.route import API, Route


async def create_meeting(call: Call, sent: http.MeetingDraft) -> Answer:
    """Make a meeting. You are its host."""
    message = CreateMeeting(
        title=sent.title.strip(),
        description=sent.description,
        start_time=_utc(sent.start_time, "start_time") or call.utc_now(),
        end_time=_utc(sent.end_time, "end_time"),
        max_participants=sent.max_participants,
        meeting_type=sent.meeting_type,
        settings=msgspec.convert(sent.settings, MeetingSettings, from_attributes=True),
        password=sent.password,
    )
    view = await call.ask(MeetingView, "planner", call.user.user_id, message)
    return _tagged(view, {"Location": f"{API}/meetings/{view.id}"})


async def list_meetings(call: Call, sent: http.Page) -> MeetingPage:
    """The meetings that you made or take part in, newest first."""
    return await call.ask(MeetingPage, "planner", call.user.user_id, ListMeetings(sent.cursor, sent.limit))


async def list_my_meetings(call: Call, sent: http.Page) -> MeetingPage:
    """The same as `GET meetings`."""
    return await list_meetings(call, sent)


async def get_meeting(call: Call, sent: http.Nothing) -> Answer | web.Response:
    """One meeting. With `If-None-Match` of its ETag: 304 while it has not changed."""
    view = await call.ask(MeetingView, "meeting", call.number("meeting_id"), GetMeeting(call.user.user_id))
    known = call.request.if_none_match or ()
    if any(tag.value in (str(view.version), "*") for tag in known):
        unchanged = web.Response(status=304)
        unchanged.etag = ETag(str(view.version))
        return unchanged
    return _tagged(view)


async def start_meeting(call: Call, sent: http.Nothing) -> Answer:
    """Start a meeting that you host. One that goes on already stays as it is."""
    return _tagged(await call.ask(MeetingView, "meeting", call.number("meeting_id"), StartMeeting(call.user.user_id)))


async def end_meeting(call: Call, sent: http.Nothing) -> Answer:
    """End a meeting that you host; everybody in its room is told and let go."""
    return _tagged(await call.ask(MeetingView, "meeting", call.number("meeting_id"), EndMeeting(call.user.user_id)))


async def join_meeting(call: Call, sent: http.JoinRequest) -> Admission:
    """Join a meeting: the answer holds a token for its room, good for the WebSocket only."""
    message = JoinMeeting(call.user.user_id, call.user.username, sent.password)
    return await call.ask(Admission, "meeting", call.number("meeting_id"), message)


async def leave_meeting(call: Call, sent: http.Nothing) -> None:
    """Leave a meeting. Twice is as good as once."""
    await call.ask(type(None), "meeting", call.number("meeting_id"), LeaveMeeting(call.user.user_id))


async def list_participants(call: Call, sent: http.Nothing) -> Participants:
    """Who takes part in a meeting, in the order in which they first joined."""
    return await call.ask(Participants, "meeting", call.number("meeting_id"), ListParticipants(call.user.user_id))


def _tagged(view: MeetingView, headers: dict[str, str] | None = None) -> Answer:
    return Answer(view, {"ETag": f'"{view.version}"', **(headers or {})})


def _utc(value: datetime | None, field: str) -> datetime | None:
    """The same time in UTC. Raises InvalidArgument where UTC has no such year."""
    try:
        return None if value is None else value.astimezone(UTC)
    except OverflowError:
        fault = FieldFault(field, "is out of range")
        raise InvalidArgument("the body does not fit: see `errors`", faults=[fault]) from None


_ONE: Final = f"{API}/meetings/{{meeting_id}}"
_KNOWN: Final = (Code.NOT_FOUND,)
_HOSTED: Final = (Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.FAILED_PRECONDITION)
_MEMBER: Final = (Code.NOT_FOUND, Code.PERMISSION_DENIED)


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        "POST", f"{API}/meetings", create_meeting, http.MeetingDraft, http.Meeting, "Make a meeting", "meetings", 201
    ),
    Route("GET", f"{API}/meetings", list_meetings, http.Page, http.MeetingList, "Your meetings", "meetings"),
    Route("GET", f"{API}/my/meetings", list_my_meetings, http.Page, http.MeetingList, "Your meetings", "meetings"),
    Route(
        "GET",
        _ONE,
        get_meeting,
        http.Nothing,
        http.Meeting,
        "One meeting",
        "meetings",
        also_status=(304,),
        refuses=_KNOWN,
    ),
    Route("POST", f"{_ONE}/start", start_meeting, http.Nothing, http.Meeting, "Start it", "meetings", refuses=_HOSTED),
    Route("POST", f"{_ONE}/end", end_meeting, http.Nothing, http.Meeting, "End it", "meetings", refuses=_HOSTED),
    Route(
        "POST", f"{_ONE}/join", join_meeting, http.JoinRequest, http.Admission, "Join it", "meetings", refuses=_HOSTED
    ),
    Route("POST", f"{_ONE}/leave", leave_meeting, http.Nothing, None, "Leave it", "meetings", 204, refuses=_KNOWN),
    Route(
        "GET",
        f"{_ONE}/participants",
        list_participants,
        http.Nothing,
        http.ParticipantList,
        "Who is in it",
        "meetings",
        refuses=_MEMBER,
    ),
)
