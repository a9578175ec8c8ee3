"""Entities: started by their first message, at rest when idle, and nothing lost or overtaken in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from runtime.engine import (
    Actor,
    ActorStopped,
    Directive,
    HandlerFailed,
    MailboxFull,
    NameTaken,
    NoSuchActor,
    Options,
    Reason,
    Supervision,
    on,
)
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Break, Broken, Do, Hooked, Log, Say, Work, Worker, reasons, simulated


def rooms(log: Log) -> Callable[[str], Actor]:
    return lambda room: Hooked(log, room)


class SlowToRest(Hooked):
    """Takes a second to go to rest."""

    async def stopped(self) -> None:  # type: ignore[override]
        await asyncio.sleep(1.0)
        self.note("stopped")


@simulated
async def test_an_entity_starts_at_its_first_message(sim: Simulation) -> None:
    log: Log = []
    sim.system.entities.define("room", rooms(log))
    one = sim.system.entity("room", "1")
    assert (one.path, log) == ("room/1", [])
    one.tell(Say("hello"))
    assert await sim.system.entity("room", "2").ask(Say("asked")) == "asked"
    await sim.settle()
    assert sorted(log) == ["1:hello", "1:started", "2:asked", "2:started"]
    assert sim.system.entities.kinds == {"room": 2}
    assert one == sim.system.entity("room", "1")
    assert len({one, sim.system.entity("room", "1"), sim.system.entity("room", "2")}) == 2


@simulated
async def test_unknown_and_doubly_defined_kinds(sim: Simulation) -> None:
    with pytest.raises(NoSuchActor, match="kind 'room'"):
        sim.system.entity("room", "1")
    sim.system.entities.define("room", rooms([]))
    with pytest.raises(NameTaken):
        sim.system.entities.define("room", rooms([]))


@simulated
async def test_idle_entities_rest_and_come_back(sim: Simulation) -> None:
    log: Log = []
    sim.system.entities.define("room", rooms(log), rest_after_s=10.0)
    ref = sim.system.entity("room", "1")
    for _ in range(5):
        await asyncio.sleep(7.0)
        await ref.ask(Say("busy"))
    assert "1:stopped" not in log
    await asyncio.sleep(20.1)
    assert log[-1] == "1:stopped"
    assert sim.system.entities.kinds == {"room": 0}
    await ref.ask(Say("again"))
    assert log[-2:] == ["1:started", "1:again"]


@simulated
async def test_those_who_may_not_rest_or_are_at_work_do_not(sim: Simulation) -> None:
    log: Log = []

    class Busy(Hooked):
        def may_rest(self) -> bool:
            if self.id == "breaks":
                raise Broken
            return self.id != "holds state"

    sim.system.entities.define("room", lambda room: Busy(log, room), rest_after_s=10.0)
    for name in ("holds state", "breaks", "idle"):
        sim.system.entity("room", name).tell(Say("hello"))
    sim.system.entity("room", "works").tell(Work("long", 100.0))
    sim.system.entity("room", "stashed").tell(Do(lambda self: self.stash()))
    await asyncio.sleep(50.0)
    assert [line for line in log if line.endswith(":stopped")] == ["idle:stopped"]
    assert sim.system.statistics_of(sim.system.lookup("room/works")).path == "room/works"
    assert sim.system.statistics().failures == 0


@simulated
async def test_messages_that_come_while_it_goes_to_rest_are_held_in_order(sim: Simulation) -> None:
    log: Log = []
    sim.system.entities.define("room", lambda room: SlowToRest(log, room))
    ref = sim.system.entity("room", "1")
    await ref.ask(Say("first life"))
    ref.stop()
    await sim.settle()
    asks = []
    for i in range(0, 9, 3):
        assert ref.tell(Say(str(i)))
        asks.append(asyncio.ensure_future(ref.ask(Say(str(i + 1)))))
        await ref.wait_tell(Say(str(i + 2)))
    assert await asyncio.gather(*asks) == ["1", "4", "7"]
    await sim.settle()
    assert log == ["1:started", "1:first life", "1:stopped", "1:started", *(f"1:{i}" for i in range(9))]
    assert reasons(sim) == []


@simulated
async def test_no_more_are_held_than_a_mailbox_holds(sim: Simulation) -> None:
    log: Log = []
    sim.system.entities.define("room", lambda room: SlowToRest(log, room), options=Options(capacity=2))
    ref = sim.system.entity("room", "1")
    await ref.ask(Say("first life"))
    ref.stop()
    await sim.settle()
    assert [ref.tell(Say(str(i))) for i in range(3)] == [True, True, False]
    with pytest.raises(MailboxFull):
        await ref.ask(Say("asked"))
    with pytest.raises(MailboxFull):
        await ref.wait_tell(Say("waits"))
    await asyncio.sleep(5.0)
    assert log[-2:] == ["1:0", "1:1"]
    assert [reason for _, reason in reasons(sim)] == [Reason.MAILBOX_FULL] * 3


@simulated
async def test_held_asks_expire_and_may_be_cancelled(sim: Simulation) -> None:
    log: Log = []
    sim.system.entities.define("room", lambda room: SlowToRest(log, room))
    ref = sim.system.entity("room", "1")
    await ref.ask(Say("first life"))
    ref.stop()
    await sim.settle()
    cancelled, expired = ref.ask(Say("cancelled")), ref.ask(Say("expired"), timeout_s=0.5)
    cancelled.cancel()
    await asyncio.gather(expired, return_exceptions=True)
    await asyncio.sleep(5.0)
    assert reasons(sim) == [(Say("cancelled"), Reason.CANCELLED), (Say("expired"), Reason.EXPIRED)]


@simulated
async def test_held_messages_when_the_system_stops(sim: Simulation) -> None:
    log: Log = []
    sim.system.entities.define("room", lambda room: SlowToRest(log, room))
    ref = sim.system.entity("room", "1")
    await ref.ask(Say("first life"))
    ref.stop()
    await sim.settle()
    ref.tell(Say("told"))
    ask = ref.ask(Say("asked"))
    await sim.system.stop()
    with pytest.raises(ActorStopped):
        await ask
    assert reasons(sim) == [(Say("told"), Reason.STOPPED), (Say("asked"), Reason.STOPPED)]
    assert log.count("1:started") == 1
    assert not ref.tell(Say("late"))
    with pytest.raises(ActorStopped):
        await ref.ask(Say("late"))
    with pytest.raises(ActorStopped):
        await ref.wait_tell(Say("late"))


@simulated
async def test_a_factory_that_fails_fails_the_message_and_no_more(sim: Simulation) -> None:
    log: Log = []
    broken = [True, True, False]

    def factory(room: str) -> Actor:
        if broken.pop(0):
            raise Broken
        return Hooked(log, room)

    sim.system.entities.define("room", factory)
    ref = sim.system.entity("room", "1")
    assert not ref.tell(Say("told"))
    with pytest.raises(HandlerFailed, match="room/1 cannot start"):
        await ref.ask(Say("asked"))
    assert await ref.ask(Say("works")) == "works"
    assert reasons(sim) == [(Say("told"), Reason.FAILED), (Say("asked"), Reason.FAILED)]


@simulated
async def test_one_that_fails_again_and_again_stops_alone_and_starts_afresh(sim: Simulation) -> None:
    log: Log = []
    rules = Supervision(max_restarts=2, per_child=True, exceeded=Directive.STOP)
    sim.system.entities.define("room", rooms(log), supervision=rules)
    bad, good = sim.system.entity("room", "bad"), sim.system.entity("room", "good")
    await good.ask(Say("here"))
    for _ in range(3):
        bad.tell(Break())
    await asyncio.sleep(60)
    assert log.count("bad:restarting Broken") == 2
    assert log[-1] == "bad:stopped"
    assert await bad.ask(Say("afresh")) == "afresh"
    assert log.count("good:started") == 1


@simulated
async def test_forwarding_to_an_entity_starts_it(sim: Simulation) -> None:
    log: Log = []
    sim.system.entities.define("room", rooms(log))
    door = sim.system.spawn(Worker, log)
    assert await door.ask(Do(lambda self: self.forward(sim.system.entity("room", "1"), Say("in")))) == "in"
    door.tell(Do(lambda self: self.forward(sim.system.entity("room", "2"), Say("told"))))
    await sim.settle()
    assert log == ["1:started", "1:in", "2:started", "2:told"]


@simulated
async def test_waiting_for_an_entity_to_stop(sim: Simulation) -> None:
    log: Log = []
    sim.system.entities.define("room", lambda room: SlowToRest(log, room))
    ref = sim.system.entity("room", "1")
    ref.stop()
    await ref.wait_stopped()  # was never active
    assert log == []
    ref.tell(Say("hello"))
    await sim.settle()
    ref.stop()
    await ref.wait_stopped()
    assert log[-1] == "1:stopped"


@simulated
async def test_an_entity_knows_its_id(sim: Simulation) -> None:
    class Knows(Actor):
        @on(str)
        def who(self, _: str) -> tuple[str, str]:
            return self.id, self.path

    sim.system.entities.define("room", lambda _: Knows())
    assert await sim.system.entity("room", "room_12").ask("?") == ("room_12", "room/room_12")
