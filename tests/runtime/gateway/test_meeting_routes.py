"""Meetings: what goes to which actor, and what comes back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from protocols.errors import FailedPrecondition, NotFound
from protocols.ice import IceServer
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
    Participants,
    ParticipantView,
    StartMeeting,
)
from tests.runtime.gateway.harness import WHEN, Edge, meeting_view

PARTICIPANT = ParticipantView(5, 7, "ada", "host", WHEN)
SHOWN_PARTICIPANT = {
    "meeting_id": 5,
    "user_id": 7,
    "username": "ada",
    "role": "host",
    "joined_at": "2026-05-04T10:30:00Z",
    "left_at": None,
}


async def test_create_with_everything(edge: Edge) -> None:
    edge.behind.answers[CreateMeeting] = meeting_view()
    answer = await edge.send(
        "POST",
        "/api/v1/meetings",
        json={
            "title": " Weekly ",
            "description": "d",
            "start_time": "2026-05-04T12:30:00+02:00",
            "end_time": "2026-05-04T13:30:00+02:00",
            "max_participants": 12,
            "meeting_type": "audio",
            "password": "pw",
            "settings": {"enable_chat": False},
        },
    )
    assert answer.status == 201
    assert answer.headers["Location"] == "/api/v1/meetings/5"
    assert answer.headers["ETag"] == '"3"'
    assert answer.json["settings"] == asdict(MeetingSettings())
    end = datetime(2026, 5, 4, 11, 30, tzinfo=UTC)
    message = CreateMeeting("Weekly", "d", WHEN, end, 12, "audio", MeetingSettings(enable_chat=False), "pw")
    assert edge.behind.told == [("planner", "7", message)]


async def test_create_without_a_start_is_for_now(edge: Edge) -> None:
    edge.behind.answers[CreateMeeting] = meeting_view()
    before = datetime.now(UTC)
    await edge.send("POST", "/api/v1/meetings", json={"title": "Now"})
    (message,) = edge.behind.messages(CreateMeeting)
    assert before <= message.start_time <= datetime.now(UTC)
    assert (message.end_time, message.max_participants, message.meeting_type) == (None, 100, "video")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["title"]),
        ({"title": ""}, ["title"]),
        ({"title": "  "}, ["title"]),
        ({"title": "x" * 101}, ["title"]),
        (
            {"title": 5, "max_participants": 1001, "meeting_type": "opera"},
            ["title", "max_participants", "meeting_type"],
        ),
        ({"title": "x", "max_participants": 0}, ["max_participants"]),
        ({"title": "x", "start_time": "2026-05-04T12:30:00"}, ["start_time"]),
        ({"title": "x", "start_time": "soon"}, ["start_time"]),
        ({"title": "x", "start_time": "0001-01-01T00:00:00+05:00"}, ["start_time"]),
        (
            {"title": "x", "settings": {"enable_ai": "yes", "enable_chat": 1}},
            ["settings.enable_ai", "settings.enable_chat"],
        ),
        ({"title": "x", "settings": []}, ["settings"]),
        ([], [""]),
    ],
)
async def test_create_names_every_wrong_field(edge: Edge, body: Any, fields: list[str]) -> None:
    answer = await edge.send("POST", "/api/v1/meetings", json=body)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_ARGUMENT")
    assert [fault["field"] for fault in answer.json["errors"]] == fields
    assert edge.behind.told == []


@pytest.mark.parametrize("path", ["/api/v1/meetings", "/api/v1/my/meetings"])
async def test_lists_page(edge: Edge, path: str) -> None:
    edge.behind.answers[ListMeetings] = MeetingPage((meeting_view(),), "next")
    first = await edge.send("GET", path)
    second = await edge.send("GET", f"{path}?cursor=next&limit=10")
    assert (first.json["next_cursor"], first.json["items"][0]["id"]) == ("next", 5)
    assert second.status == 200
    assert [message for _, _, message in edge.behind.told] == [ListMeetings("", 50), ListMeetings("next", 10)]


@pytest.mark.parametrize("limit", ["0", "101", "many", ""])
async def test_a_limit_has_limits(edge: Edge, limit: str) -> None:
    answer = await edge.send("GET", f"/api/v1/meetings?limit={limit}")
    assert (answer.status, [fault["field"] for fault in answer.json["errors"]]) == (400, ["limit"])


async def test_one_meeting_and_its_etag(edge: Edge) -> None:
    edge.behind.answers[GetMeeting] = meeting_view(version=4)
    answer = await edge.send("GET", "/api/v1/meetings/5")
    again = await edge.send("GET", "/api/v1/meetings/5", headers={"If-None-Match": answer.headers["ETag"]})
    newer = await edge.send("GET", "/api/v1/meetings/5", headers={"If-None-Match": '"3", "2"'})
    assert (answer.status, answer.json["room_id"], answer.headers["ETag"]) == (200, "room_5", '"4"')
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", '"4"')
    assert newer.status == 200
    assert edge.behind.told[0] == ("meeting", "5", GetMeeting(7))


@pytest.mark.parametrize("meeting_id", ["0", "4294967296", "9999999999", "99999999999", "x", "-1", "٥"])
async def test_an_id_that_no_meeting_has(edge: Edge, meeting_id: str) -> None:
    answer = await edge.send("GET", f"/api/v1/meetings/{meeting_id}")
    assert (answer.status, answer.json["code"], edge.behind.told) == (404, "NOT_FOUND", [])


async def test_refusals_of_the_meeting_come_through(edge: Edge) -> None:
    edge.behind.answers = {GetMeeting: NotFound("no meeting 5"), StartMeeting: FailedPrecondition("it has ended")}
    missing = await edge.send("GET", "/api/v1/meetings/5")
    ended = await edge.send("POST", "/api/v1/meetings/5/start")
    assert (missing.status, missing.json["detail"]) == (404, "no meeting 5")
    assert (ended.status, ended.json["code"]) == (409, "FAILED_PRECONDITION")


async def test_start_end_and_leave(edge: Edge) -> None:
    edge.behind.answers = {StartMeeting: meeting_view(version=4), EndMeeting: meeting_view(version=5)}
    started = await edge.send("POST", "/api/v1/meetings/5/start")
    ended = await edge.send("POST", "/api/v1/meetings/5/end", json={})
    left = await edge.send("POST", "/api/v1/meetings/5/leave")
    assert [(one.status, one.headers.get("ETag")) for one in (started, ended, left)] == [
        (200, '"4"'),
        (200, '"5"'),
        (204, None),
    ]
    assert [message for _, _, message in edge.behind.told] == [StartMeeting(7), EndMeeting(7), LeaveMeeting(7)]


async def test_join_with_and_without_a_password(edge: Edge) -> None:
    edge.behind.answers[JoinMeeting] = Admission(PARTICIPANT, "room_5", "token", (IceServer(("stun:s",)),))
    plain = await edge.send("POST", "/api/v1/meetings/5/join")
    secret = await edge.send("POST", "/api/v1/meetings/5/join", json={"password": "pw"})
    assert plain.json == {
        "participant": SHOWN_PARTICIPANT,
        "room_id": "room_5",
        "join_token": "token",
        "ice_servers": [{"urls": ["stun:s"]}],
    }
    assert secret.status == 200
    assert [message for _, _, message in edge.behind.told] == [JoinMeeting(7, "ada"), JoinMeeting(7, "ada", "pw")]


async def test_participants(edge: Edge) -> None:
    edge.behind.answers[ListParticipants] = Participants((PARTICIPANT,))
    answer = await edge.send("GET", "/api/v1/meetings/5/participants")
    assert answer.json == {"items": [SHOWN_PARTICIPANT]}
    assert edge.behind.told == [("meeting", "5", ListParticipants(7))]
