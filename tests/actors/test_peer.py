"""Sessions: what a client may send, in which order it is answered, and how a session ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from protocols import frames
from protocols.frames import Negotiation
from protocols.signaling import Attach, Deliver, Detach, FromClient
from runtime.engine import NoSuchActor
from runtime.testkit import Probe, Simulation
from tests.actors.clients import ROOM, Client, Rules
from tests.actors.test_room import play, view


def negotiation(kind: type[Negotiation], **parts: Any) -> Negotiation:
    usual: dict[str, Any] = {"room_id": ROOM, "to_user_id": 2}
    usual |= {"candidate": {"candidate": "x"}} if kind is frames.IceCandidate else {"sdp": "v=0"}
    return kind(**{**usual, **parts})


KINDS: list[type[Negotiation]] = [frames.Offer, frames.Answer, frames.IceCandidate]


async def pair(sim: Simulation) -> tuple[Client, Client]:
    """Two clients in one room."""
    ada, bob = Client(sim.system, "a", 1), Client(sim.system, "b", 2)
    await ada.joined()
    await bob.joined()
    await ada.frame(frames.UserJoined)
    return ada, bob


def test_negotiation_goes_from_one_to_the_other() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = await pair(sim)
        cyd = Client(sim.system, "c", 3)
        await cyd.joined()
        for client in (ada, bob):
            await client.frame(frames.UserJoined)
        ada.send(frames.Offer(room_id=ROOM, to_user_id=2, from_user_id=1, sdp="offer"))
        offer = await bob.frame(frames.RelayedOffer)
        assert offer == frames.RelayedOffer(room_id=ROOM, from_user_id=1, to_user_id=2, sdp="offer")
        bob.send(frames.Answer(room_id=ROOM, to_user_id=1, sdp="answer"))
        assert (await ada.frame(frames.RelayedAnswer)).sdp == "answer"
        for candidate in ({"candidate": "x", "sdpMid": "0"}, "", None):
            bob.send(frames.IceCandidate(room_id=ROOM, to_user_id=1, candidate=candidate))
            assert (await ada.frame(frames.RelayedCandidate)).candidate == candidate
        await sim.settle()
        cyd.drain()
        assert len(cyd.got) == 1  # nobody else hears of it

    play(scenario)


def test_what_one_sends_another_comes_in_that_order() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = await pair(sim)
        sent = [str(number) for number in range(300)]
        for number in sent:
            ada.send(frames.IceCandidate(room_id=ROOM, to_user_id=2, candidate=number))
            if sim.rng.random() < 0.1:
                await sim.settle()
            bob.send(frames.IceCandidate(room_id=ROOM, to_user_id=1, candidate=number))
        await sim.settle()
        for client in (ada, bob):
            client.drain()
            got = [frame.candidate for frame in client.got if isinstance(frame, frames.RelayedCandidate)]
            assert got == sent

    play(scenario)


def test_answers_come_in_the_order_of_the_frames() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada = Client(sim.system, "a", 1)
        rules.held = []
        ada.join(id="1")
        ada.send(frames.Ping(id="2"))
        ada.send(frames.Offer(id="3", room_id=ROOM, to_user_id=9, sdp=""))
        ada.send(frames.Leave(id="4", room_id=ROOM))
        ada.send(frames.Ping(id="5"))
        await sim.settle()
        ada.drain()
        assert ada.got == []  # the room is being asked, and what came later waits for it
        rules.release()
        await sim.settle()
        ada.drain()
        assert [(frame.id, type(frame).__name__) for frame in ada.got] == [
            ("1", "Joined"),
            ("2", "Pong"),
            ("3", "Error"),
            ("4", "Left"),
            ("5", "Pong"),
        ]

    play(scenario)


@pytest.mark.parametrize(
    "frame",
    [
        frames.Join(id="x", room_id=ROOM, user_id=2),
        frames.Leave(id="x", room_id=ROOM, user_id=2),
        *(negotiation(kind, id="x", from_user_id=2, to_user_id=3) for kind in KINDS),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_a_frame_that_claims_to_be_from_another_is_refused(frame: frames.AnyClientFrame) -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada = Client(sim.system, "a", 1)
        await ada.refused(frame, "PERMISSION_DENIED")
        await ada.joined()
        await ada.refused(frame, "PERMISSION_DENIED")
        assert [member.user_id for member in (await view(sim)).participants] == [1]

    play(scenario, seeds=2)


def test_a_frame_that_claims_the_truth_is_taken() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada = Client(sim.system, "a", 1)
        ada.join(user_id=1, username="somebody else")
        await ada.frame(frames.Joined)
        bob = Client(sim.system, "b", 2)
        [seen] = (await bob.joined()).participants
        assert seen.username == "user1"  # the token's name

    play(scenario, seeds=1)


@pytest.mark.parametrize("kind", KINDS)
def test_negotiation_that_cannot_be_passed_on(kind: type[Negotiation]) -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada = Client(sim.system, "a", 1)
        await ada.refused(negotiation(kind, id="1"), "FAILED_PRECONDITION")
        await ada.joined()
        await ada.refused(negotiation(kind, id="2"), "NOT_FOUND")
        await ada.refused(negotiation(kind, id="3", to_user_id=1), "INVALID_ARGUMENT")
        await ada.refused(negotiation(kind, id="4", room_id="room_2"), "FAILED_PRECONDITION")
        ada.send(frames.Leave(room_id=ROOM))
        await ada.frame(frames.Left)
        await ada.refused(negotiation(kind, id="5"), "FAILED_PRECONDITION")

    play(scenario, seeds=2)


def test_other_frames_that_do_not_fit() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada = Client(sim.system, "a", 1)
        await ada.refused(frames.Leave(id="1", room_id=ROOM), "FAILED_PRECONDITION")
        await ada.refused(frames.Auth(id="2", token="secret"), "FAILED_PRECONDITION")
        for room_id in ("kitchen", "room_01", "room_", "", "a/b"):
            await ada.refused(frames.Join(id="3", room_id=room_id), "NOT_FOUND")
        assert sim.system.entities.kinds["room"] == 0
        await ada.joined()
        await ada.refused(frames.Join(id="4", room_id="room_2"), "FAILED_PRECONDITION")
        rules.strangers.add(2)
        bob = Client(sim.system, "b", 2)
        error = await bob.refused(frames.Join(id="5", room_id=ROOM), "PERMISSION_DENIED")
        assert error.message == "stranger"

    play(scenario, seeds=2)


def test_a_token_for_one_room_opens_no_other() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada = Client(sim.system, "a", 1, only_room=ROOM)
        await ada.refused(frames.Join(id="1", room_id="room_2"), "PERMISSION_DENIED")
        await ada.joined()

    play(scenario, seeds=2)


def test_a_room_change_is_leaving_and_joining() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = await pair(sim)
        # Sent together: what the first room still had to say is not mixed into the second.
        ada.send(frames.Leave(room_id=ROOM))
        ada.join("room_2")
        bob.send(frames.IceCandidate(room_id=ROOM, to_user_id=1, candidate="late"))
        Client(sim.system, "c", 3).join()
        await sim.settle()
        ada.drain()
        after = [frame for frame in ada.got if getattr(frame, "room_id", "") == "room_2"]
        assert [type(frame) for frame in after] == [frames.Joined]
        at = ada.got.index(after[0])
        assert all(getattr(frame, "room_id", "") != ROOM for frame in ada.got[at:])

    play(scenario, seeds=30)


def test_coming_back_at_once_shows_no_event_twice() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = await pair(sim)
        for _ in range(5):
            ada.send(frames.Leave(room_id=ROOM))
            ada.join()
            bob.send(frames.Leave(room_id=ROOM))
            bob.join()
        await sim.settle()
        for client in (ada, bob):
            client.drain()  # fails at a gap
            assert client.view.keys() == {"a", "b"}

    play(scenario, seeds=30)


def test_a_session_of_nobody_goes_away() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        system = sim.system
        system.entity("peer", "early").tell(FromClient(frames.Ping()))
        system.entity("peer", "late").tell(Detach("gone"))
        await sim.settle()
        assert system.entities.kinds["peer"] == 0
        system.entity("peer", "told").tell(Deliver(frames.Pong()))
        await sim.settle()
        assert system.entities.kinds["peer"] == 1
        await asyncio.sleep(11)
        assert system.entities.kinds["peer"] == 0

    play(scenario)


def test_a_session_is_attached_once_and_to_what_is_there() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada = Client(sim.system, "a", 1)
        other = Probe(sim.system, "other")
        with pytest.raises(Exception, match="has a connection already"):
            await ada.peer.ask(Attach(9, "eve", other.ref.path))
        ada.send(frames.Ping())
        await ada.frame(frames.Pong)
        with pytest.raises(NoSuchActor):
            await sim.system.entity("peer", "x").ask(Attach(9, "eve", "nowhere"))

    play(scenario)


def test_a_session_that_breaks_tells_its_client_and_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = await pair(sim)

        def broken(*_: object, **__: object) -> None:
            raise RuntimeError("a defect")

        with monkeypatch.context() as patch:
            patch.setattr(frames, "Pong", broken)
            bob.send(frames.Ping())
            error = await bob.frame(frames.Error)
        assert (error.code, bob.closed) == ("UNAVAILABLE", 1013)
        assert (await ada.frame(frames.UserLeft)).reason == "lost"
        await sim.settle()
        assert sim.system.entities.active("peer", "b") is None

    play(scenario)


def test_a_connection_that_takes_no_more_ends_the_session() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = await pair(sim)
        cell = sim.system.cell_of(bob.connection.ref)
        cell.capacity = 0
        ada.send(frames.Offer(room_id=ROOM, to_user_id=2, sdp=""))
        assert (await ada.frame(frames.UserLeft)).peer_id == "b"
        await sim.settle()
        assert sim.system.entities.active("peer", "b") is None

    play(scenario)


def test_a_refusal_that_names_a_time_is_passed_on_with_it() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        rules.held = []
        clients = [Client(sim.system, f"s{number}", number) for number in range(1, 11)]
        for client in clients:
            client.join(id="j")
        await sim.settle()
        for client in clients:
            client.drain()
        refused = [client.got[0] for client in clients if client.got]
        assert [
            (frame.code, frame.id, frame.retry_after_s) for frame in refused if isinstance(frame, frames.Error)
        ] == [("RESOURCE_EXHAUSTED", "j", 1.0)] * 2
        rules.release()
        await sim.settle()

    play(scenario)


def test_an_attached_session_does_not_rest() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        ada, bob = await pair(sim)
        await asyncio.sleep(3600)
        ada.send(frames.Offer(room_id=ROOM, to_user_id=2, sdp="still there"))
        assert (await bob.frame(frames.RelayedOffer)).sdp == "still there"

    play(scenario, seeds=1)


def test_frames_after_the_close_are_passed_over() -> None:
    async def scenario(sim: Simulation, rules: Rules) -> None:
        old, new = Client(sim.system, "old", 1), Client(sim.system, "new", 1)
        await old.joined()
        await new.joined()
        old.send(frames.Ping())
        old.send(frames.Join(room_id=ROOM))
        await sim.settle()
        old.drain()
        assert [type(frame) for frame in old.got] == [frames.Joined, frames.Error]
        assert [member.peer_id for member in (await view(sim)).participants] == ["new"]

    play(scenario)
