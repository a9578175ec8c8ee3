"""Restarts that overlap: with a sibling's, with a stop, or with a handler that does not end."""

from __future__ import annotations

import asyncio

import pytest

from runtime.engine import ActorStopped, Backoff, Options, Reason, Strategy, on
from runtime.testkit import Simulation
from tests.runtime.engine.samples import (
    Break,
    Broken,
    Do,
    Hooked,
    Log,
    Parent,
    Say,
    Work,
    Worker,
    child,
    reasons,
    simulated,
    state,
    supervising,
)

ALL = Strategy.ONE_FOR_ALL


@simulated
async def test_stop_of_one_while_its_group_restarts(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "abc", options=supervising(ALL))
    a, b, c = [await child(sim, parent, name) for name in "abc"]
    c.tell(Work("long", 2.0))
    await sim.settle()
    a.tell(Break())
    await sim.settle()
    assert state(sim, b) == "restarting"
    log.clear()
    b.stop()
    await b.wait_stopped()
    assert "b:stopped" in log
    assert "b:started" not in log
    assert await a.ask(Say("a")) == "a"
    assert await c.ask(Say("c")) == "c"


@simulated
async def test_stop_of_the_parent_while_a_group_restarts(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "abc", options=supervising(ALL))
    a, _, c = [await child(sim, parent, name) for name in "abc"]
    c.tell(Work("long", 2.0))
    await sim.settle()
    a.tell(Break())
    await sim.settle()
    parent.stop()
    await parent.wait_stopped()
    assert [line for line in log if line.endswith(":stopped")] == [
        "c:stopped",
        "b:stopped",
        "a:stopped",
        "parent:stopped",
    ]
    assert sim.system.statistics().actors == 0


@simulated
async def test_a_siblings_failure_during_its_groups_restart_counts_once(sim: Simulation) -> None:
    log: Log = []

    class Fragile(Hooked):
        @on(float)
        async def later(self, after_s: float) -> None:
            await asyncio.sleep(after_s)
            raise Broken

    parent = sim.system.spawn(Worker, log, options=supervising(ALL, max_restarts=1))
    a, b = await parent.ask(Do(lambda self: [self.spawn(Fragile, log, n) for n in "ab"]))
    b.tell(1.0)
    await sim.settle()
    a.tell(Break())
    await asyncio.sleep(3.0)
    assert sorted(log) == [f"{n}:{what}" for n in "ab" for what in ("restarting Broken", "started", "started")]
    assert sim.system.statistics_of(b).failures == 1
    assert sim.system.statistics_of(parent).failures == 0


@simulated
async def test_a_failure_during_the_backoff_of_a_sibling_joins_its_restart(sim: Simulation) -> None:
    """Started after the first failure, so no part of that restart; its own failure must not restart anybody twice."""
    log: Log = []
    rules = supervising(ALL, backoff=Backoff(min_s=1.0, jitter=0.0))
    parent = sim.system.spawn(Parent, log, "ab", options=rules)
    a = await child(sim, parent, "a")
    a.tell(Break())
    await asyncio.sleep(0.5)
    late = await parent.ask(Do(lambda self: self.spawn(Hooked, log, "late")))
    await sim.settle()
    log.clear()
    late.tell(Break())
    await asyncio.sleep(10.0)
    assert log[:3] == ["late:restarting Broken", "b:restarting Broken", "a:restarting Broken"]
    assert sorted(log[3:]) == ["a:started", "b:started", "late:started"]
    assert sim.system.statistics_of(a).restarts == 1


@simulated
async def test_a_failure_while_a_sibling_is_taken_down_leaves_that_alone(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "ab", options=supervising(ALL))
    a, b = [await child(sim, parent, name) for name in "ab"]
    b.tell(Work("long", 2.0))
    await sim.settle()
    a.tell(Break())
    await sim.settle()
    late = await parent.ask(Do(lambda self: self.spawn(Hooked, log, "late")))
    late.tell(Break())
    await asyncio.sleep(10.0)
    for ref in (a, b, late):
        assert sim.system.statistics_of(ref).restarts == 1
        assert await ref.ask(Say("on")) == "on"
    assert sorted(line for line in log if "restarting" in line) == [
        f"{n}:restarting Broken" for n in ("a", "b", "late")
    ]


@simulated
async def test_a_factory_that_fails_while_its_group_restarts(sim: Simulation) -> None:
    log: Log = []
    broken = [False, True, False]

    def factory(name: str) -> Hooked:
        if name == "a" and broken.pop(0):
            raise Broken("cannot be made")
        return Hooked(log, name)

    parent = sim.system.spawn(Worker, log, options=supervising(ALL))
    a, b = await parent.ask(Do(lambda self: [self.spawn(factory, n) for n in "ab"]))
    await sim.settle()
    b.tell(Break())
    await asyncio.sleep(1.0)
    for ref in (a, b):
        assert await ref.ask(Say("on")) == "on"


@simulated
async def test_a_restart_while_a_child_stops_waits_for_it(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "a")
    a = await child(sim, parent, "a")
    a.tell(Work("long", 3.0))
    await sim.settle()
    log.clear()
    a.stop()
    parent.tell(Break())
    await asyncio.sleep(10.0)
    assert log == ["parent:restarting Broken", "a:long-", "a:stopped", "parent:started", "a:started"]


@simulated
async def test_a_handler_that_ignores_its_cancellation_is_left_behind_and_not_heard_again(sim: Simulation) -> None:
    log: Log = []
    gate = asyncio.Event()

    class Stubborn(Hooked):
        @on(str)
        async def stubborn(self, text: str) -> str:
            while not gate.is_set():
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    self.note("ignored")
            self.note("left behind")
            return text

    options = Options(stop_timeout_s=1.0)
    parent = sim.system.spawn(Worker, log, options=supervising(ALL))
    stubborn = await parent.ask(Do(lambda self: self.spawn(Stubborn, log, "x", options=options)))
    other = await parent.ask(Do(lambda self: self.spawn(Hooked, log, "y")))
    await sim.settle()
    ask = asyncio.ensure_future(stubborn.ask("hello", timeout_s=60))
    await sim.settle()
    log.clear()
    other.tell(Break())
    with pytest.raises(ActorStopped):
        await ask
    # The next life works on while the old handler still runs, and does not notice when that ends.
    work = asyncio.ensure_future(stubborn.ask(Work("new", 5.0), timeout_s=60))
    await asyncio.sleep(1.0)
    assert "x:new+" in log
    gate.set()
    await sim.settle()
    assert log[-1] == "x:left behind"
    stubborn.tell(Say("behind"))
    await sim.settle()
    assert log[-1] == "x:left behind"
    assert await work == "new"
    assert await stubborn.ask(Say("end")) == "end"
    assert log[-3:] == ["x:new-", "x:behind", "x:end"]
    assert reasons(sim) == [(Break(), Reason.FAILED), ("hello", Reason.FAILED)]
