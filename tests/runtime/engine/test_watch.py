"""Watching: told once, whenever it died, and by the ref that was watched."""

from __future__ import annotations

import asyncio
from functools import partial

from runtime.engine import Actor, Ref, Terminated, on
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Break, Do, Log, Say, Worker, simulated


class Watcher(Worker):
    @on(Terminated)
    def gone(self, message: Terminated) -> None:
        self.note(f"gone {message.ref.path}")


class Talker(Actor):
    """Says two things to a ref and stops."""

    def receive(self, message: Ref) -> None:
        message.tell(Say("one"))
        message.tell(Say("two"))
        self.stop()


async def watching(sim: Simulation, log: Log, *refs: Ref) -> Ref:
    watcher = sim.system.spawn(Watcher, log)
    for ref in refs:
        await watcher.ask(Do(partial(Worker.watch, ref=ref)))
    return watcher


@simulated
async def test_told_when_it_stops_behind_what_it_had_sent(sim: Simulation) -> None:
    log: Log = []
    talker = sim.system.spawn(Talker, name="talker")
    watcher = await watching(sim, log, talker)
    talker.tell(watcher)
    await sim.settle()
    assert log == ["one", "two", "gone talker"]


@simulated
async def test_told_of_one_that_was_gone_before(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, name="early")
    ref.stop()
    await watching(sim, log, ref, ref)
    await sim.settle()
    assert log == ["gone early"] * 2 or log == ["gone early"]
    log.clear()
    both = sim.system.spawn(Watcher, log)
    await both.ask(Do(lambda self: (self.watch(ref), self.watch(ref))))
    await sim.settle()
    assert log == ["gone early"]


@simulated
async def test_told_once_however_often_it_watched(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, name="worker")
    await watching(sim, log, ref, ref, ref)
    ref.stop()
    await sim.settle()
    assert log == ["gone worker"]


@simulated
async def test_a_restart_is_no_end(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, name="worker")
    await watching(sim, log, ref)
    ref.tell(Break())
    await asyncio.sleep(60)
    assert log == []
    ref.stop()
    await sim.settle()
    assert log == ["gone worker"]


@simulated
async def test_unwatch_also_takes_back_a_notice_in_the_mailbox(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    watcher = await watching(sim, log, ref)

    def stop_and_unwatch(self: Worker) -> None:
        ref.stop()
        assert sim.system.statistics_of(self.ref).mailbox == 1
        self.unwatch(ref)

    await watcher.ask(Do(stop_and_unwatch))
    await watcher.ask(Do(lambda self: self.unwatch(ref)))  # twice does no harm
    await sim.settle()
    assert log == []
    cell = sim.system.cell_of(watcher)
    assert not cell.particulars.watching


@simulated
async def test_watchers_that_die_are_forgotten(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    watcher = await watching(sim, log, ref)
    watcher.stop()
    await watcher.wait_stopped()
    assert not sim.system.cell_of(ref).particulars.watchers
    ref.stop()
    await sim.settle()
    assert (log, sim.system.dead_letters.total) == ([], 0)


@simulated
async def test_watching_each_other_and_oneself(sim: Simulation) -> None:
    log: Log = []
    one, two = sim.system.spawn(Watcher, log, "1", name="one"), sim.system.spawn(Watcher, log, "2", name="two")
    await one.ask(Do(lambda self: (self.watch(two), self.watch(one))))
    await two.ask(Do(lambda self: self.watch(one)))
    one.stop()
    await sim.settle()
    assert log == ["2:gone one"]
    two.stop()
    await sim.settle()
    assert sim.system.dead_letters.total == 0


@simulated
async def test_a_watch_outlives_the_watchers_restart_but_for_its_own_children(sim: Simulation) -> None:
    log: Log = []
    other = sim.system.spawn(Worker, log, name="other")
    watcher = await watching(sim, log, other)
    await watcher.ask(Do(lambda self: self.watch(self.spawn(Worker, log, name="child"))))
    watcher.tell(Break())
    await asyncio.sleep(1.0)
    assert sim.system.statistics_of(watcher).restarts == 1
    assert log == []  # the new instance never heard of that child
    other.stop()
    await sim.settle()
    assert log == ["gone other"]


@simulated
async def test_a_notice_that_was_stashed_comes_again(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, name="worker")
    watcher = await watching(sim, log, ref)
    await watcher.ask(Do(lambda self: self.become(lambda _: self.stash())))
    ref.stop()
    await sim.settle()
    cell = sim.system.cell_of(watcher)
    assert len(cell.particulars.stash) == 1
    assert isinstance(cell.actor, Worker)
    cell.actor.unbecome()
    cell.actor.unstash_all()
    await sim.settle()
    assert log == ["gone worker"]


@simulated
async def test_an_entity_is_reported_by_the_ref_that_was_watched(sim: Simulation) -> None:
    refs: list[Ref] = []

    class Keeper(Actor):
        @on(Terminated)
        def gone(self, message: Terminated) -> None:
            refs.append(message.ref)

        @on(Do)
        def do(self, message: Do) -> object:
            return message.what(self)

    sim.system.entities.define("room", lambda _: Worker([]))
    room = sim.system.entity("room", "1")
    keeper = sim.system.spawn(Keeper)
    await keeper.ask(Do(lambda self: self.watch(room)))
    room.stop()
    await sim.settle()
    assert refs == [room]
    # Watched and taken back, over two lives: nothing is told, and nothing is started for it.
    await keeper.ask(Do(lambda self: self.watch(room)))
    room.stop()
    await keeper.ask(Do(lambda self: self.unwatch(sim.system.entity("room", "1"))))
    await sim.settle()
    assert sim.system.entities.kinds == {"room": 0}
