"""Rooms: who is in, in which order it is told, and that everybody sees the same."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import frames
from protocols.errors import FailedPrecondition, NotFound, ParleyError, PermissionDenied, ResourceExhausted
from protocols.events import ConnectionClosed
from protocols.frames import MEETING_ENDED_CLOSE, REPLACED_CLOSE
from protocols.signaling import CloseRoom, Enter, Entered, Exit, GetRoom, Relay, RoomView
from runtime.engine import ActorStopped, Options
from runtime.testkit import Simulation, simulate
from tests.actors.clients import ROOM, Client, Rules, define
from tests.actors.world import RecordingTopics

Scenario = Callable[[Simulation, Rules], Awaitable[None]]


def play(scenario: Scenario, *, seeds: int = 5, **parts: Any) -> None:
    """Run a scenario under some seeds."""

    async def one(sim: Simulation) -> None:
        rules = Rules()
        define(sim, rules, **parts)
        await scenario(sim, rules)

    for seed in range(seeds):
        simulate(one, seed=seed)


async def view(sim: Simulation, user_id: int = 1, room_id: str = ROOM) -> RoomView:
    found: RoomView = await sim.system.entity("room", room_id).ask(GetRoom(user_id))
    return found


def test_a_newcomer_is_told_who_is_in_and_they_are_told_of_them() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = Client(sim.system, "a", 1), Client(sim.system, "b", 2)
        first = await ada.joined()
        assert (first.participants, first.room_id) == ((), ROOM)
        second = await bob.joined()
        [seen_by_bob] = second.participants
        assert (seen_by_bob.user_id, seen_by_bob.username, seen_by_bob.peer_id) == (1, "user1", "a")
        told = await ada.frame(frames.UserJoined)
        assert (told.participant.user_id, told.participant.peer_id, told.participant.role) == (2, "b", "participant")
        assert (first.seq, second.seq, told.seq) == (1, 2, 2)
        # Of two peers exactly one gives way, and it is the later.
        assert seen_by_bob.polite
        assert not told.participant.polite

    play(scenario)


def test_who_leaves_and_who_is_lost() -> None:
    topics = RecordingTopics()

    async def scenario(sim: Simulation, rules: Rules) -> None:
        topics.events.clear()
        clients = [Client(sim.system, f"s{number}", number) for number in range(1, 5)]
        for client in clients:
            await client.joined()
        stays, leaves, drops, breaks = clients
        for _ in range(3):
            await stays.frame(frames.UserJoined)
        leaves.send(frames.Leave(room_id=ROOM, id="bye"))
        assert (await stays.frame(frames.UserLeft)).reason == "left"
        await sim.settle()
        leaves.drain()
        assert leaves.got[-1] == frames.Left(id="bye", room_id=ROOM)
        drops.drop()
        assert (await stays.frame(frames.UserLeft)).reason == "gone"
        breaks.peer.stop()
        left = await stays.frame(frames.UserLeft)
        assert (left.user_id, left.peer_id, left.reason) == (4, "s4", "lost")
        assert [member.user_id for member in (await view(sim)).participants] == [1]
        await sim.settle()
        reasons = [(event.user_id, event.reason) for event in topics.of(ConnectionClosed)]
        assert reasons == [(2, "left"), (3, "gone"), (4, "lost")]

    play(scenario, topics=topics)


def test_a_connection_that_dies_without_a_word_leaves() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = Client(sim.system, "a", 1), Client(sim.system, "b", 2)
        await ada.joined()
        await bob.joined()
        await ada.frame(frames.UserJoined)
        bob.connection.ref.stop()
        await ada.frame(frames.UserLeft)
        assert sim.system.entities.active("peer", "b") is None

    play(scenario)


def test_a_user_who_enters_twice_replaces_the_older_session() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, old, new = Client(sim.system, "a", 1), Client(sim.system, "old", 2), Client(sim.system, "new", 2)
        await ada.joined()
        await old.joined()
        await ada.frame(frames.UserJoined)
        joined = await new.joined()
        assert [member.peer_id for member in joined.participants] == ["a"]
        error = await old.frame(frames.Error)
        assert (error.code, old.closed) == ("ABORTED", REPLACED_CLOSE)
        left, came = await ada.frame(frames.UserLeft), await ada.frame(frames.UserJoined)
        assert (left.peer_id, left.reason, came.participant.peer_id) == ("old", "replaced", "new")
        await sim.settle()
        # The old one's goodbye does not throw out the new one.
        assert [member.peer_id for member in (await view(sim)).participants] == ["a", "new"]
        ada.drain()
        assert len(ada.view) == 2

    play(scenario)


def test_of_two_sessions_that_enter_at_once_one_is_in() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        sessions = [Client(sim.system, f"s{number}", 2) for number in range(3)]
        for client in sessions:
            client.join()
        await sim.settle()
        for client in sessions:
            client.drain()
        [inside] = [client for client in sessions if client.closed is None]
        assert inside.view.keys() == {inside.session}
        assert all(client.closed == REPLACED_CLOSE for client in sessions if client is not inside)
        assert [member.peer_id for member in (await view(sim)).participants] == [inside.session]

    play(scenario, seeds=20)


def test_a_session_that_comes_back_is_not_cut_for_having_been_replaced() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        first, second = Client(sim.system, "first", 2), Client(sim.system, "second", 2)
        await first.joined()
        second.join()
        first.join()
        await sim.settle()
        for client in (first, second):
            client.drain()
        assert sorted((first.closed or 0, second.closed or 0)) == [0, REPLACED_CLOSE]
        [inside] = (await view(sim)).participants
        assert inside.peer_id == ("first" if first.closed is None else "second")

    play(scenario, seeds=30)


def test_who_came_between_gives_way_also_when_the_list_is_asked_for_again() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        clients = [Client(sim.system, name, number) for number, name in enumerate("abc", 1)]
        for client in clients:
            await client.joined()
        await sim.settle()
        clients[1].drain()
        again = await clients[1].joined()
        assert [(member.peer_id, member.polite) for member in again.participants] == [("a", True), ("c", False)]

    play(scenario)


def test_entering_again_from_the_same_session_is_no_event() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = Client(sim.system, "a", 1), Client(sim.system, "b", 2)
        await ada.joined()
        await bob.joined()
        await ada.frame(frames.UserJoined)
        again = await ada.joined()
        assert ([member.peer_id for member in again.participants], again.seq) == (["b"], 2)
        await sim.settle()
        bob.drain()
        assert len(bob.got) == 1

    play(scenario)


@pytest.mark.parametrize(
    ("set_up", "error"),
    [
        (lambda rules: rules.strangers.add(1), PermissionDenied),
        (lambda rules: setattr(rules, "live", False), FailedPrecondition),
        (lambda rules: setattr(rules, "missing", True), NotFound),
    ],
)
def test_who_may_not_come_in(set_up: Callable[[Rules], None], error: type[ParleyError]) -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        set_up(rules)
        room = sim.system.entity("room", ROOM)
        with pytest.raises(error):
            await room.ask(Enter("a", 1, "user1"))

    play(scenario)


@pytest.mark.parametrize("room_id", ["room_0", "room_01", "room_", "kitchen", "room_99999999999", "room_4294967296"])
def test_a_name_that_no_room_has(room_id: str) -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        room = sim.system.entity("room", room_id)
        for message in (Enter("a", 1, "user1"), GetRoom(1), CloseRoom("over")):
            with pytest.raises(NotFound):
                await room.ask(message)
        assert rules.asked == 0

    play(scenario, seeds=1)


def test_who_may_look() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        rules.strangers.add(9)
        await Client(sim.system, "a", 1).joined()
        found = await view(sim)
        assert (found.room_id, [member.user_id for member in found.participants], found.seq) == (ROOM, [1], 1)
        with pytest.raises(PermissionDenied):
            await view(sim, user_id=9)
        rules.live = False
        assert (await view(sim, user_id=2)).participants == found.participants

    play(scenario)


def test_a_slow_meeting_holds_up_nobody_inside() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob, cyd = [Client(sim.system, name, number) for number, name in enumerate("abc", 1)]
        await ada.joined()
        await bob.joined()
        rules.held = []
        cyd.join()
        await sim.settle()
        ada.drain()
        ada.send(frames.Offer(room_id=ROOM, to_user_id=2, sdp="v=0"))
        assert (await bob.frame(frames.RelayedOffer)).sdp == "v=0"
        rules.release()
        await cyd.frame(frames.Joined)

    play(scenario)


def test_too_many_at_the_door() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        rules.held = []
        room = sim.system.entity("room", ROOM)
        asks = [asyncio.ensure_future(room.ask(Enter(f"s{number}", number, "user"))) for number in range(1, 10)]
        await sim.settle()
        [refused] = [ask for ask in asks if ask.done()]
        assert isinstance(refused.exception(), ResourceExhausted)
        rules.release()
        assert all(isinstance(found, Entered) for found in await asyncio.gather(*(set(asks) - {refused})))

    play(scenario)


def test_who_gave_up_at_the_door_is_not_let_in() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        rules.held = []
        ada = Client(sim.system, "a", 1)
        ada.join(id="j")
        error = await ada.frame(frames.Error)
        assert (error.code, error.id) == ("DEADLINE_EXCEEDED", "j")
        rules.release()
        await sim.settle()
        assert (await view(sim)).participants == ()
        await ada.joined()

    play(scenario)


def test_the_end_of_the_meeting() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        clients = [Client(sim.system, f"s{number}", number) for number in range(1, 4)]
        for client in clients:
            await client.joined()
        rules.held = []
        late = Client(sim.system, "late", 4)
        late.join(id="late")
        await sim.settle()
        room = sim.system.entity("room", ROOM)
        for _ in range(2):  # closing twice is closing once
            room.tell(CloseRoom("meeting_ended"))
        await sim.settle()
        for client in clients:
            client.drain()
            over = client.got[-1]
            assert isinstance(over, frames.MeetingOver)
            assert (over.meeting_id, over.seq, client.closed) == (1, 4, MEETING_ENDED_CLOSE)
        # Whoever was let in by the meeting just before it ended comes too late at the room.
        rules.release()
        error = await late.frame(frames.Error)
        assert (error.code, error.id) == ("FAILED_PRECONDITION", "late")
        await sim.settle()
        assert all(sim.system.entities.active("peer", client.session) is None for client in clients)

    play(scenario)


def test_the_end_reaches_also_those_who_cannot_be_told() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        deaf = Client(sim.system, "d", 1)
        await deaf.joined()
        cell = sim.system.entities.active("peer", "d")
        assert cell is not None
        cell.capacity = 0
        sim.system.entity("room", ROOM).tell(CloseRoom("meeting_ended"))
        await sim.settle()
        deaf.drain()
        assert deaf.closed == 1013

    play(scenario)


def test_an_empty_room_goes_and_a_new_one_counts_anew() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada = Client(sim.system, "a", 1)
        await ada.joined()
        await asyncio.sleep(60)
        assert sim.system.entities.active("room", ROOM) is not None
        ada.send(frames.Leave(room_id=ROOM))
        await ada.frame(frames.Left)
        await asyncio.sleep(11)
        assert sim.system.entities.active("room", ROOM) is None
        assert (await ada.joined()).seq == 1

    play(scenario)


def test_rooms_that_nobody_got_into_go_too() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        rules.missing = True
        ada = Client(sim.system, "a", 1)
        for number in range(1, 30):
            await ada.refused(frames.Join(room_id=f"room_{number}"), "NOT_FOUND")
        await asyncio.sleep(11)
        assert sim.system.entities.kinds["room"] == 0

    play(scenario, seeds=1)


def test_a_room_that_breaks_is_noticed_by_all_and_entered_anew() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = Client(sim.system, "a", 1), Client(sim.system, "b", 2)
        await ada.joined()
        await bob.joined()
        await ada.frame(frames.UserJoined)
        room = sim.system.entity("room", ROOM)
        with pytest.raises(ParleyError):
            await room.ask(Exit(["a list is no id"], "broken"))  # type: ignore[arg-type]
        for client in (ada, bob):
            error = await client.frame(frames.Error)
            assert error.code == "UNAVAILABLE"
            assert client.closed is None
        await ada.refused(frames.Offer(room_id=ROOM, to_user_id=2, sdp=""), "FAILED_PRECONDITION")
        assert (await bob.joined()).participants == ()
        assert [member.peer_id for member in (await ada.joined()).participants] == ["b"]

    play(scenario)


def test_a_member_who_cannot_be_told_is_none() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        deaf, ada, bob = [Client(sim.system, name, number) for number, name in enumerate("dab", 1)]
        await deaf.joined()
        await ada.joined()
        await deaf.frame(frames.UserJoined)
        cell = sim.system.entities.active("peer", "d")
        assert cell is not None
        cell.capacity = 0  # as if its mailbox were full
        await bob.joined()
        assert (await ada.frame(frames.UserJoined)).participant.peer_id == "b"
        left = await ada.frame(frames.UserLeft)
        assert (left.peer_id, left.reason) == ("d", "overloaded")
        await sim.settle()
        deaf.drain()
        assert deaf.closed == 1013
        bob.drain()
        assert bob.view.keys() == {"a", "b"}

    play(scenario)


def test_relaying_to_one_who_cannot_be_told() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, deaf = Client(sim.system, "a", 1), Client(sim.system, "d", 2)
        await ada.joined()
        await deaf.joined()
        await ada.frame(frames.UserJoined)
        cell = sim.system.entities.active("peer", "d")
        assert cell is not None
        cell.capacity = 0
        room = sim.system.entity("room", ROOM)
        with pytest.raises(NotFound):
            await room.ask(Relay("a", frames.Offer(room_id=ROOM, to_user_id=2, sdp="")))
        await ada.frame(frames.UserLeft)

    play(scenario, peer_options=Options(capacity=64))


def test_an_ended_session_is_not_brought_back_by_news() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        room = sim.system.entity("room", ROOM)
        # A session that is gone before it is let in: an empty one stands in for it, and goes by itself.
        await room.ask(Enter("ghost", 9, "ghost"))
        await asyncio.sleep(30)
        assert sim.system.entities.active("peer", "ghost") is None
        assert sim.system.entities.active("room", ROOM) is None

    play(scenario)


def test_asks_behind_the_end_of_a_room_are_answered() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        rules.held = []
        room = sim.system.entity("room", ROOM)
        entering = asyncio.ensure_future(room.ask(Enter("a", 1, "user1")))
        await sim.settle()
        room.stop()
        rules.release()
        with pytest.raises(ActorStopped):
            await entering

    play(scenario)


# ---- everybody sees the same

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "leave", "drop", "stop", "offer", "settle", "settle"]),
        st.integers(0, 9),
        st.integers(1, 4),
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(steps=STEPS, seed=st.integers(0, 2**16))
def test_everybody_sees_the_same_room_without_a_gap(steps: list[tuple[str, int, int]], seed: int) -> None:
    """Ten sessions of four users come, go and break as they like; `Client` fails at the first gap in what it sees."""

    async def scenario(sim: Simulation) -> None:
        define(sim, Rules())
        clients: dict[int, Client] = {}
        numbers = itertools.count()
        for step, which, to_user in steps:
            client = clients.get(which)
            if client is None or client.closed is not None:
                client = clients[which] = Client(sim.system, f"s{which}.{next(numbers)}", which % 4 + 1)
            match step:
                case "join":
                    client.join()
                case "leave":
                    client.send(frames.Leave(room_id=ROOM))
                case "drop":
                    client.drop()
                    del clients[which]
                case "stop":
                    client.peer.stop()
                case "offer":
                    client.send(frames.Offer(room_id=ROOM, to_user_id=to_user, sdp="v=0"))
                case "settle":
                    await sim.settle()
                    for each in clients.values():
                        each.drain()
        for _ in range(3):  # a client that is cut says goodbye, which the others hear of
            await sim.settle()
            for each in clients.values():
                each.drain()
        inside = (await view(sim)).participants
        present = {member.peer_id for member in inside}
        assert len({member.user_id for member in inside}) == len(inside)
        assert present <= {client.session for client in clients.values()}
        for client in clients.values():
            assert client.view.keys() == (present if client.session in present else set())
        _check_politeness([client for client in clients.values() if client.session in present])

    simulate(scenario, seed=seed)


def _check_politeness(inside: list[Client]) -> None:
    for one, other in itertools.combinations(inside, 2):
        as_seen_by_one, as_seen_by_other = one.view[other.session], other.view[one.session]
        assert as_seen_by_one is not None
        assert as_seen_by_other is not None
        assert as_seen_by_one.polite is not as_seen_by_other.polite
