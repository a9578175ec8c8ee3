"""Timers: keyed, no drift, no heap of late ticks, and none that outlives its instance."""

from __future__ import annotations

import asyncio

import pytest

from runtime.engine import Actor, on
from runtime.engine.timers import Timers
from runtime.testkit import Simulation, VirtualLoop
from tests.runtime.engine.samples import Break, Broken, Do, Log, Say, Work, Worker, simulated


class Ticking(Actor):
    """Notes when each tick came."""

    def __init__(self, times: list[float]) -> None:
        self.times = times

    @on(str)
    def tick(self, _: str) -> None:
        self.times.append(round(self.system.clock.time(), 6))

    @on(Do)
    def do(self, message: Do) -> object:
        return message.what(self)


@simulated
async def test_once_and_again_and_again(sim: Simulation) -> None:
    once, often = [list[float](), list[float]()]
    ref = sim.system.spawn(Ticking, once)
    other = sim.system.spawn(Ticking, often)
    await ref.ask(Do(lambda self: self.timers.start("key", "tick", 1.5)))
    await other.ask(Do(lambda self: self.timers.start("key", "tick", 1.0, every_s=0.5)))
    await asyncio.sleep(3.2)
    assert once == [1.5]
    assert often == [1.0, 1.5, 2.0, 2.5, 3.0]


@simulated
async def test_a_timer_that_would_never_rest_is_no_timer(sim: Simulation) -> None:
    timers = Timers(sim.system.cell_of(sim.system.spawn(Worker, [])))
    for after_s, every_s in ((1.0, 0.0), (-1.0, None)):
        with pytest.raises(ValueError, match="every_s is above 0"):
            timers.start("key", "tick", after_s, every_s=every_s)


@simulated
async def test_a_key_has_one_timer(sim: Simulation) -> None:
    times: list[float] = []
    ref = sim.system.spawn(Ticking, times)
    await ref.ask(Do(lambda self: self.timers.start("key", "tick", 1.0)))
    await ref.ask(Do(lambda self: self.timers.start("key", "tick", 2.0)))
    assert await ref.ask(Do(lambda self: self.timers.active("key")))
    await asyncio.sleep(5)
    assert times == [2.0]
    assert not await ref.ask(Do(lambda self: self.timers.active("key")))
    assert not await ref.ask(Do(lambda self: self.timers.cancel("key")))
    assert sim.system.statistics_of(ref).timers == 0


@simulated
async def test_a_cancelled_tick_is_not_handled_even_from_the_mailbox(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    await ref.ask(Do(lambda self: [self.timers.start(key, Say(key), 1.0) for key in ("a", "b", "c")]))
    ref.tell(Work("long", 2.0))
    await asyncio.sleep(1.5)  # all three ticks wait in the mailbox
    cell = sim.system.cell_of(ref)
    assert len(cell.queue) == 3
    assert cell.particulars.timers is not None
    assert cell.particulars.timers.cancel("a")
    cell.particulars.timers.start("b", Say("b again"), 10.0)
    await asyncio.sleep(20.0)
    assert log == ["long+", "long-", "c", "b again"]
    assert sim.system.dead_letters.total == 0


@simulated
async def test_no_tick_outlives_a_restart(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)

    def arm_and_fail(self: Worker) -> None:
        self.timers.start("now", Say("stale"), 0.0)
        self.timers.start("often", Say("stale"), 0.01, every_s=0.01)
        raise Broken

    ref.tell(Do(arm_and_fail))
    ref.tell(Work("long", 1.0))
    await asyncio.sleep(5)
    assert log == ["long+", "long-"]
    assert sim.system.statistics_of(ref).timers == 0


@simulated
async def test_no_tick_outlives_its_actor(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    await ref.ask(Do(lambda self: self.timers.start("key", Say("stale"), 0.5, every_s=0.5)))
    ref.stop()
    await asyncio.sleep(5)
    assert (log, sim.system.dead_letters.total) == ([], 0)


@simulated
async def test_a_busy_actor_gets_fewer_ticks(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    await ref.ask(Do(lambda self: self.timers.start("key", Say("tick"), 1.0, every_s=1.0)))
    ref.tell(Work("long", 5.5))
    await asyncio.sleep(6.2)
    assert log == ["long+", "long-", "tick", "tick"]  # the one that waited, and that of second 6


@simulated
async def test_a_late_loop_makes_neither_drift_nor_a_second_tick_at_once(sim: Simulation) -> None:
    times: list[float] = []
    loop = sim.system.loop
    assert isinstance(loop, VirtualLoop)
    ref = sim.system.spawn(Ticking, times)
    await ref.ask(Do(lambda self: self.timers.start("key", "tick", 1.0, every_s=1.0)))
    await asyncio.sleep(1.5)
    loop._jumping.passed_s += 3.2  # the loop stood still until 4.7
    await asyncio.sleep(1.5)
    assert times == [1.0, 4.7, 5.0, 6.0]


@simulated
async def test_ticks_that_were_stashed_come_again_but_not_to_another_instance(sim: Simulation) -> None:
    log: Log = []

    def lock(self: Worker) -> None:
        def locked(message: object) -> None:
            if message == "open":
                self.unbecome()
                self.unstash_all()
            else:
                self.stash()

        self.timers.start("once", Say("once"), 1.0)
        self.timers.start("often", Say("often"), 1.0, every_s=10.0)
        self.become(locked)

    ref = sim.system.spawn(Worker, log)
    await ref.ask(Do(lock))
    await asyncio.sleep(1.5)
    assert sim.system.statistics_of(ref).stashed == 2
    ref.tell("open")
    await sim.settle()
    assert sorted(log) == ["often", "once"]

    other = sim.system.spawn(Worker, log)
    await other.ask(Do(lock))
    await asyncio.sleep(1.5)
    log.clear()
    cell = sim.system.cell_of(other)
    assert isinstance(cell.actor, Worker)
    cell.actor.unbecome()
    other.tell(Break())
    await asyncio.sleep(5.0)
    assert log == []
    assert sim.system.statistics_of(other).stashed == 0
