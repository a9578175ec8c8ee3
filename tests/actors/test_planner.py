"""Making and listing meetings."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from protocols.errors import InvalidArgument, NotFound, Unimplemented
from protocols.events import MeetingCreated
from protocols.meetings import ListMeetings, MeetingPage, MeetingSettings
from tests.actors.world import START, World, draft


async def test_a_meeting_is_stored_and_then_told(world: World) -> None:
    ada = await world.register("ada")
    world.topics.events.clear()
    settings = MeetingSettings(enable_recording=True, mute_on_join=True)
    end = START + timedelta(hours=1)
    view = await world.plan(ada, title="Plan", description="of\nthe day", end_time=end, settings=settings, password="s")
    assert (view.title, view.description, view.creator_id, view.status) == ("Plan", "of\nthe day", ada.id, "scheduled")
    assert (view.start_time, view.end_time, view.settings, view.version) == (START, end, settings, 1)
    assert view.room_id == f"room_{view.id}"
    assert view.has_password
    assert world.topics.events == [MeetingCreated(view.id, "Plan", ada.id, START)]
    stored = await world.stores.meetings.get(view.id)
    assert stored.password_hash is not None
    assert await world.hasher.verify(stored.password_hash, "s")


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 101}, "title"),
        ({"max_participants": 0}, "max_participants"),
        ({"max_participants": 1001}, "max_participants"),
        ({"meeting_type": "smoke"}, "meeting_type"),
        ({"end_time": START - timedelta(seconds=1)}, "end_time"),
        ({"start_time": datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=1)))}, "start_time"),
        ({"password": "x" * 129}, "password"),
    ],
)
async def test_what_does_not_fit_is_refused_by_field(world: World, parts: dict[str, Any], field: str) -> None:
    ada = await world.register("ada")
    with pytest.raises(InvalidArgument) as refused:
        await world.plan(ada, **parts)
    assert [fault.field for fault in refused.value.faults] == [field]
    assert world.topics.of(MeetingCreated) == []


async def test_every_fault_is_named_at_once(world: World) -> None:
    ada = await world.register("ada")
    with pytest.raises(InvalidArgument) as refused:
        await world.plan(ada, title="", meeting_type="smoke", password="x" * 129)
    assert {fault.field for fault in refused.value.faults} == {"title", "meeting_type", "password"}


async def test_a_lobby_is_not_promised(world: World) -> None:
    ada = await world.register("ada")
    with pytest.raises(Unimplemented, match="lobby"):
        await world.plan(ada, settings=MeetingSettings(require_approval=True))


@pytest.mark.parametrize("user_id", ["99", "x"])
async def test_nobody_plans_nothing(world: World, user_id: str) -> None:
    with pytest.raises(NotFound):
        await world.ask("planner", user_id, draft())


async def test_a_list_has_what_one_made_and_joined_newest_first(world: World) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    hers = [await world.started(ada, title=f"number {number}") for number in range(3)]
    his = await world.plan(bob)
    await world.join(hers[1], bob)
    page: MeetingPage = await world.ask("planner", bob.id, ListMeetings())
    assert [meeting.id for meeting in page.items] == [his.id, hers[1].id]
    first: MeetingPage = await world.ask("planner", ada.id, ListMeetings(limit=2))
    rest: MeetingPage = await world.ask("planner", ada.id, ListMeetings(cursor=first.next_cursor, limit=2))
    assert [meeting.id for meeting in first.items + rest.items] == [meeting.id for meeting in reversed(hers)]
    assert rest.next_cursor == ""
    with pytest.raises(InvalidArgument):
        await world.ask("planner", ada.id, ListMeetings(cursor="made up"))
