"""One meeting: its life, who comes in, and what happens when two want the same at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from models.records import MeetingStatus
from protocols.errors import (
    Aborted,
    FailedPrecondition,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from protocols.events import MeetingEnded, MeetingStarted, MeetingUserJoined, MeetingUserLeft
from protocols.ice import IceServer
from protocols.meetings import (
    Access,
    Admission,
    CheckAccess,
    EndMeeting,
    GetMeeting,
    JoinMeeting,
    LeaveMeeting,
    ListParticipants,
    Participants,
    StartMeeting,
)
from protocols.tokens import TokenUse
from runtime.engine import Actor, HandlerFailed
from tests.actors.world import World, settles


async def gone(world: World, kind: str, entity_id: object) -> None:
    """Have an entity end its life."""
    ref = world.ref(kind, entity_id)
    ref.stop()
    await ref.wait_stopped()


# ---- its life


async def test_it_is_what_was_planned(world: World) -> None:
    ada = await world.register("ada")
    view = await world.plan(ada)
    assert await world.ask("meeting", view.id, GetMeeting()) == view


@pytest.mark.parametrize("meeting_id", ["99", "0", "07", "x", "4294967296"])
async def test_a_missing_one_is_not_found_and_stays_not(world: World, meeting_id: str) -> None:
    for message in (GetMeeting(), StartMeeting(1), JoinMeeting(1, "ada"), CheckAccess(1)):
        with pytest.raises(NotFound):
            await world.ask("meeting", meeting_id, message)
    await settles(lambda: not world.active("meeting", meeting_id))


async def test_a_crowd_that_asks_for_a_missing_one_is_answered(world: World) -> None:
    asks = (world.ask("meeting", 99, GetMeeting()) for _ in range(50))
    results = await asyncio.gather(*asks, return_exceptions=True)
    assert {type(result) for result in results} == {NotFound}
    await settles(lambda: not world.active("meeting", 99))


async def test_starting_and_ending(world: World) -> None:
    ada = await world.register("ada")
    planned = await world.plan(ada)
    started = await world.ask("meeting", planned.id, StartMeeting(ada.id))
    assert (started.status, started.version) == ("active", planned.version + 1)
    world.clock.skip(90)
    ended = await world.ask("meeting", planned.id, EndMeeting(ada.id))
    assert ended.status == "ended"
    lasted = (ended.actual_end_time - started.actual_start_time).total_seconds()
    assert lasted >= 90
    assert world.topics.of(MeetingStarted) == [MeetingStarted(planned.id, started.actual_start_time)]
    assert world.topics.of(MeetingEnded) == [MeetingEnded(planned.id, ended.actual_end_time, lasted)]


async def test_starting_and_ending_again_changes_nothing(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    assert await world.ask("meeting", meeting.id, StartMeeting(ada.id)) == meeting
    ended = await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    assert await world.ask("meeting", meeting.id, EndMeeting(ada.id)) == ended
    assert len(world.topics.of(MeetingStarted)) == len(world.topics.of(MeetingEnded)) == 1


async def test_it_never_goes_back(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.plan(ada)
    with pytest.raises(FailedPrecondition, match="not started"):
        await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    await world.ask("meeting", meeting.id, StartMeeting(ada.id))
    await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    for message in (StartMeeting(ada.id), JoinMeeting(ada.id, "ada")):
        with pytest.raises(FailedPrecondition, match="has ended"):
            await world.ask("meeting", meeting.id, message)


async def test_only_the_host_starts_and_ends_it(world: World) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    meeting = await world.started(ada)
    await world.join(meeting, bob)
    for message in (StartMeeting(bob.id), EndMeeting(bob.id)):
        with pytest.raises(PermissionDenied):
            await world.ask("meeting", meeting.id, message)


async def test_a_clock_that_is_set_back_does_not_keep_it_from_ending(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    world.clock.skip(-3600)
    ended = await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    assert ended.actual_end_time == ended.actual_start_time
    assert world.topics.of(MeetingEnded)[0].duration == 0.0


async def test_what_was_not_announced_is_announced_when_it_is_asked_for_again(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.plan(ada)
    for message, kind in ((StartMeeting(ada.id), MeetingStarted), (EndMeeting(ada.id), MeetingEnded)):
        world.topics.away = True
        await world.ask("meeting", meeting.id, message)  # the change stands
        world.topics.away = False
        assert world.topics.of(kind) == []
        await world.ask("meeting", meeting.id, message)
        await world.ask("meeting", meeting.id, message)
        assert len(world.topics.of(kind)) == 1
        # A life that does not know what the one before it told tells it once more.
        await gone(world, "meeting", meeting.id)
        await world.ask("meeting", meeting.id, message)
        assert len(world.topics.of(kind)) == 2


# ---- who comes in


async def test_joining_gives_a_token_for_the_room_alone(world: World) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    meeting = await world.started(ada)
    found = await world.join(meeting, bob)
    assert (found.participant.role, found.participant.username, found.participant.left_at) == (
        "participant",
        "bob",
        None,
    )
    assert found.room_id == meeting.room_id
    assert found.ice_servers == (IceServer(("stun:stun.example:3478",)),)
    now = world.clock.now().timestamp()
    identity = world.signer.verify(found.join_token, now=now, uses=frozenset({TokenUse.JOIN}))
    assert (identity.user_id, identity.username, identity.room_id) == (bob.id, "bob", meeting.room_id)
    [event] = world.topics.of(MeetingUserJoined)
    assert (event.meeting_id, event.user_id, event.username) == (meeting.id, bob.id, "bob")
    assert found.join_token not in repr(found)


async def test_joining_twice_is_one_participant_with_a_new_token(world: World) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    meeting = await world.started(ada)
    first, second = await world.join(meeting, bob), await world.join(meeting, bob)
    assert first.participant == second.participant
    assert first.join_token != second.join_token
    assert len(world.topics.of(MeetingUserJoined)) == 1


async def test_a_host_who_joins_starts_it(world: World) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    meeting = await world.plan(ada)
    with pytest.raises(FailedPrecondition, match="not started"):
        await world.join(meeting, bob)
    found = await world.join(meeting, ada)
    assert found.participant.role == "host"
    assert (await world.ask("meeting", meeting.id, GetMeeting())).status == "active"
    assert len(world.topics.of(MeetingStarted)) == 1
    await world.join(meeting, bob)


async def test_who_leaves_has_left_once_and_may_come_back(world: World) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    meeting = await world.started(ada)
    first = await world.join(meeting, bob)
    for _ in range(2):
        assert await world.ask("meeting", meeting.id, LeaveMeeting(bob.id)) is None
    assert await world.ask("meeting", meeting.id, LeaveMeeting(99)) is None
    assert len(world.topics.of(MeetingUserLeft)) == 1
    again = await world.join(meeting, bob)
    assert again.participant == first.participant
    assert len(world.topics.of(MeetingUserJoined)) == 2


async def test_it_takes_no_more_than_fit(world: World) -> None:
    people = [await world.register(f"user{number}") for number in range(8)]
    meeting = await world.started(people[0], max_participants=3)
    results = await asyncio.gather(*(world.join(meeting, person) for person in people), return_exceptions=True)
    assert sum(isinstance(result, Admission) for result in results) == 3
    assert sum(isinstance(result, ResourceExhausted) for result in results) == 5
    assert len(await world.stores.meetings.participants(meeting.id, present=True)) == 3
    # Who is in already may join again, and a place that is given back is free.
    inside = next(person for person, result in zip(people, results, strict=True) if isinstance(result, Admission))
    outside = next(person for person, result in zip(people, results, strict=True) if not isinstance(result, Admission))
    await world.join(meeting, inside)
    await world.ask("meeting", meeting.id, LeaveMeeting(inside.id))
    await world.join(meeting, outside)


async def test_it_takes_no_more_than_fit_behind_a_password_either(world: World) -> None:
    people = [await world.register(f"user{number}") for number in range(6)]
    meeting = await world.started(people[0], max_participants=2, password="sesame")
    asks = (world.join(meeting, person, "sesame") for person in people[1:])
    results = await asyncio.gather(*asks, return_exceptions=True)
    assert sum(isinstance(result, Admission) for result in results) == 2


async def test_a_password_is_asked_of_strangers(world: World) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    meeting = await world.started(ada, password="sesame")
    for wrong in ("", "Sesame"):
        with pytest.raises(PermissionDenied, match="password"):
            await world.join(meeting, bob, wrong)
    await world.join(meeting, bob, "sesame")
    await world.ask("meeting", meeting.id, LeaveMeeting(bob.id))
    await world.join(meeting, bob)  # was let in once
    await world.join(meeting, ada)  # is the host
    assert "sesame" not in repr(JoinMeeting(bob.id, "bob", "sesame"))


async def test_guessing_the_password_is_stopped_for_a_while(world: World) -> None:
    ada, bob, cyd = [await world.register(name) for name in ("ada", "bob", "cyd")]
    meeting = await world.started(ada, password="sesame")
    asks = (world.join(meeting, bob, f"guess {number}") for number in range(6))
    results = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(result) for result in results].count(PermissionDenied) == 3
    with pytest.raises(ResourceExhausted) as refused:
        await world.join(meeting, bob, "sesame")
    assert 0 < (refused.value.retry_after_s or 0) <= 60
    await world.join(meeting, cyd, "sesame")  # the limit is the guesser's, not the meeting's
    world.clock.skip(61)
    await world.join(meeting, bob, "sesame")


async def test_a_password_check_does_not_hold_the_meeting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    meeting = await world.started(ada, password="sesame")
    checked = asyncio.Event()
    inner = world.hasher.verify

    async def slow(stored: str, password: str) -> bool:
        await checked.wait()
        return await inner(stored, password)

    monkeypatch.setattr(world.hasher, "verify", slow)
    joining = asyncio.ensure_future(world.join(meeting, bob, "sesame"))
    assert (await world.ask("meeting", meeting.id, GetMeeting())).id == meeting.id
    assert not joining.done()
    # Ended while the password is being checked: the right one comes too late.
    await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    checked.set()
    with pytest.raises(FailedPrecondition, match="has ended"):
        await joining


async def test_the_list_is_for_members_in_the_order_of_coming(world: World) -> None:
    ada, bob, cyd, eve = [await world.register(name) for name in ("ada", "bob", "cyd", "eve")]
    meeting = await world.started(ada)
    for person in (cyd, bob, ada):
        await world.join(meeting, person)
    await world.ask("meeting", meeting.id, LeaveMeeting(cyd.id))
    await world.join(meeting, cyd)
    await world.ask("meeting", meeting.id, LeaveMeeting(bob.id))
    with pytest.raises(PermissionDenied):
        await world.ask("meeting", meeting.id, ListParticipants(eve.id))
    found: Participants = await world.ask("meeting", meeting.id, ListParticipants(bob.id))
    assert [person.user_id for person in found.items] == [cyd.id, bob.id, ada.id]
    assert [person.left_at is None for person in found.items] == [True, False, True]
    ended = await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    found = await world.ask("meeting", meeting.id, ListParticipants(ada.id))
    assert found.items[0].left_at == ended.actual_end_time


async def test_access(world: World) -> None:
    ada, bob, eve = [await world.register(name) for name in ("ada", "bob", "eve")]
    meeting = await world.plan(ada)

    async def access(user_id: int) -> Access:
        found: Access = await world.ask("meeting", meeting.id, CheckAccess(user_id))
        return found

    assert await access(ada.id) == Access(True, role="host", live=False, enable_ai=True)
    await world.ask("meeting", meeting.id, StartMeeting(ada.id))
    refused = await access(eve.id)
    assert (refused.granted, refused.role, refused.live) == (False, "", True)
    assert refused.reason
    await world.join(meeting, bob)
    assert await access(bob.id) == Access(True, role="participant", live=True, enable_ai=True)
    await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    assert await access(bob.id) == Access(True, role="participant", live=False, enable_ai=True)


# ---- what can go wrong


async def test_it_comes_back_as_it_was(world: World) -> None:
    ada, bob = await world.register("ada"), await world.register("bob")
    meeting = await world.started(ada, max_participants=1)
    await world.join(meeting, bob)
    await gone(world, "meeting", meeting.id)
    assert await world.ask("meeting", meeting.id, GetMeeting()) == meeting
    with pytest.raises(ResourceExhausted, match="full"):
        await world.join(meeting, ada)
    await world.join(meeting, bob)


async def test_a_failure_costs_one_message_and_the_next_life_knows_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob, cyd = [await world.register(name) for name in ("ada", "bob", "cyd")]
    meeting = await world.started(ada)
    await world.join(meeting, bob)
    join = type(world.stores.meetings).join

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(type(world.stores.meetings), "join", broken)
    with pytest.raises(HandlerFailed):
        await world.join(meeting, cyd)
    monkeypatch.setattr(type(world.stores.meetings), "join", join)
    await world.join(meeting, cyd)
    found: Participants = await world.ask("meeting", meeting.id, ListParticipants(ada.id))
    assert [person.username for person in found.items] == ["bob", "cyd"]
    assert world.system.statistics_of(world.ref("meeting", meeting.id)).restarts == 1


async def test_a_database_that_is_away_is_said_at_once_and_no_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.register("ada")
    meeting = await world.plan(ada)
    get = type(world.stores.meetings).get

    async def away(*_: object) -> None:
        raise Unavailable("the database is away")

    monkeypatch.setattr(type(world.stores.meetings), "get", away)
    with pytest.raises(Unavailable):
        await world.ask("meeting", meeting.id, GetMeeting())
    monkeypatch.setattr(type(world.stores.meetings), "get", get)
    assert await world.ask("meeting", meeting.id, GetMeeting()) == meeting
    assert world.system.statistics_of(world.ref("meeting", meeting.id)).failures == 0


async def test_a_change_of_somebody_else_is_seen_after_one_refusal(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    stored = await world.stores.meetings.get(meeting.id)
    await world.stores.meetings.update(replace(stored, title="Another"))
    with pytest.raises(Aborted):
        await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    ended = await world.ask("meeting", meeting.id, EndMeeting(ada.id))
    assert (ended.title, ended.status) == ("Another", "ended")


async def test_the_row_is_there_before_the_answer_and_the_news(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await world.register("ada")
    meeting = await world.plan(ada)
    told = asyncio.Event()
    tell = asyncio.Event()

    async def slowly(event: object) -> None:
        told.set()
        await tell.wait()

    monkeypatch.setattr(world.topics, "publish", slowly)
    starting = asyncio.ensure_future(world.ask("meeting", meeting.id, StartMeeting(ada.id)))
    await told.wait()
    assert (await world.stores.meetings.get(meeting.id)).status is MeetingStatus.ACTIVE
    assert not starting.done()
    tell.set()
    await starting


async def test_it_rests_only_when_nothing_is_under_way(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada, password="sesame")
    cell = world.system.entities.active("meeting", str(meeting.id))
    assert cell is not None
    actor: Actor = cell.actor
    assert actor.may_rest()
    bob = await world.register("bob")
    with pytest.raises(PermissionDenied):
        await world.join(meeting, bob, "wrong")
    assert not actor.may_rest()
    world.clock.skip(61)
    await settles(actor.may_rest)


async def test_a_meeting_with_a_password_is_hidden_from_those_who_do_not_take_part(world: World) -> None:
    host, outsider = await world.register("ada"), await world.register("bob")
    locked = await world.started(host, password="open sesame")
    free = await world.started(host)
    with pytest.raises(PermissionDenied):
        await world.ask("meeting", locked.id, GetMeeting(outsider.id))
    assert (await world.ask("meeting", locked.id, GetMeeting(host.id))).id == locked.id
    assert (await world.ask("meeting", locked.id, GetMeeting())).id == locked.id
    assert (await world.ask("meeting", free.id, GetMeeting(outsider.id))).id == free.id
