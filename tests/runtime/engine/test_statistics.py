"""Statistics: what an operator sees is what happened."""

from __future__ import annotations

import asyncio

from runtime.engine import Options
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Break, Do, Log, Refuse, Say, Work, Worker, simulated


@simulated
async def test_handled_counts_messages_that_were_handled(sim: Simulation) -> None:
    """In `def` and `async def` handlers, refused and failed ones too, but not those that came too late."""
    ref = sim.system.spawn(Worker, [])
    for i in range(20):
        ref.tell(Say("def"))
        ref.tell(Work("async", 0.1) if i % 2 else Refuse())
    ref.tell(Break())
    ask = ref.ask(Say("expires"), timeout_s=0.5)
    asyncio.ensure_future(ref.ask(Say("cancelled"))).cancel()
    await asyncio.gather(ask, return_exceptions=True)
    await asyncio.sleep(10.0)
    assert sim.system.statistics_of(ref).handled == 41
    assert sim.system.statistics().handled == 41
    ref.stop()
    await ref.wait_stopped()
    assert sim.system.statistics().handled == 41


@simulated
async def test_figures_of_one_actor(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, name="worker", options=Options(capacity=3))
    await ref.ask(Do(lambda self: (self.timers.start("key", Say("tick"), 100.0), self.spawn(Worker, log))))
    ref.tell(Do(lambda self: self.stash()))
    await sim.settle()
    ref.tell(Work("long", 1.0))
    await sim.settle()
    for i in range(5):
        ref.tell(Say(str(i)))
    figures = sim.system.statistics_of(ref)
    assert (figures.path, figures.type, figures.state) == ("worker", "Worker", "running")
    assert (figures.mailbox, figures.handled, figures.refused, figures.stashed) == (3, 3, 2, 1)
    assert (figures.timers, figures.children, figures.failures, figures.restarts) == (1, 1, 0, 0)


@simulated
async def test_figures_of_the_system_outlive_its_actors(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    sim.system.spawn(Worker, log)
    ref.tell(Break())
    await ref.ask(Work("long", 1.0))
    running = asyncio.ensure_future(ref.ask(Work("long", 1.0)))
    ref.tell(Say("waits"))
    await sim.settle()
    figures = sim.system.statistics()
    assert (figures.actors, figures.spawned, figures.stopped) == (2, 2, 0)
    assert (figures.failures, figures.restarts, figures.busy_handlers, figures.asks_pending) == (1, 1, 1, 1)
    assert (figures.mailbox, figures.deepest_mailbox, figures.tasks) == (1, 1, 1)
    await running
    ref.stop()
    await ref.wait_stopped()
    await sim.settle()
    figures = sim.system.statistics()
    assert (figures.actors, figures.spawned, figures.stopped) == (1, 2, 1)
    assert (figures.failures, figures.restarts, figures.busy_handlers, figures.tasks) == (1, 1, 0, 0)
    assert figures.dead_letters == {"failed": 1}


@simulated
async def test_the_tree_shows_state_mailbox_restarts_and_last_error(sim: Simulation) -> None:
    log: Log = []
    top = sim.system.spawn(Worker, log, name="top")
    low = await top.ask(Do(lambda self: self.spawn(Worker, log, name="low")))
    low.tell(Break("secret of the error"))
    await asyncio.sleep(1.0)
    await low.ask(Say("one"))
    low.tell(Say("two"))
    lines = sim.system.tree().splitlines()
    assert lines[0] == "parley: 2 actors, 1 dead letters"
    assert lines[1] == "  top <Worker> running mailbox=0 handled=1"
    assert lines[2].startswith("    low <Worker> running mailbox=1 handled=2 restarts=1 last_error='Broken: ")
    assert sim.system.tree(limit=1).splitlines()[2] == "... and 1 more"
