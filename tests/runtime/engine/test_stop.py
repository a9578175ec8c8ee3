"""Stopping: ordered, limited in time, from anywhere, and awaited by many."""

from __future__ import annotations

import asyncio

import pytest

from runtime.engine import Actor, ActorStopped, Options, Reason, Ref, SpawnRefused, on
from runtime.testkit import Simulation
from tests.runtime.engine.samples import (
    Do,
    DoAsync,
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
)


@simulated
async def test_children_stop_first_in_reverse_order_of_start(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "abc")
    await child(sim, parent, "a")
    log.clear()
    parent.stop()
    assert not parent.tell(Say("late"))
    await parent.wait_stopped()
    assert log == ["c:stopped", "b:stopped", "a:stopped", "parent:stopped"]


@simulated
async def test_stop_waits_for_the_running_handler_and_drops_the_rest(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Hooked, log)
    running = asyncio.ensure_future(ref.ask(Work("running", 3.0)))
    queued = asyncio.ensure_future(ref.ask(Say("queued")))
    await sim.settle()
    ref.stop()
    ref.stop()
    assert await running == "running"
    with pytest.raises(ActorStopped):
        await queued
    await ref.wait_stopped()
    assert log == ["started", "running+", "running-", "stopped"]
    assert reasons(sim) == [(Say("queued"), Reason.STOPPED)]


@simulated
async def test_each_has_its_own_limit_and_is_then_cancelled(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "ab", Options(stop_timeout_s=2.0))
    asks = [(await child(sim, parent, name)).ask(Work("endless", 1e6), timeout_s=1e7) for name in "ab"]
    await sim.settle()
    began = sim.now_s
    parent.stop()
    for ask in asks:
        with pytest.raises(ActorStopped, match="interrupted"):
            await ask
    await parent.wait_stopped()
    assert sim.now_s - began == pytest.approx(4.0, abs=0.1)
    assert [reason for _, reason in reasons(sim)] == [Reason.FAILED] * 2


@simulated
async def test_no_patience_at_all(sim: Simulation) -> None:
    """Told to stop before the task of its handler took its first step: the handler is begun, and cancelled."""
    log: Log = []
    ref = sim.system.spawn(Worker, log, options=Options(stop_timeout_s=0.0))
    ask = asyncio.ensure_future(ref.ask(Work("long", 60.0), timeout_s=100))
    while not sim.system.tasks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    ref.stop()
    with pytest.raises(ActorStopped):
        await ask
    await ref.wait_stopped()
    assert log == ["long+"]
    assert sim.now_s == 0.0


@simulated
async def test_stop_from_its_own_handlers(sim: Simulation) -> None:
    log: Log = []

    def stop_and_go_on(self: Worker) -> str:
        self.stop()
        assert state(sim, self.ref) == "stopping"
        with pytest.raises(SpawnRefused):
            self.spawn(Worker, log)
        self.note("still here")
        return "answered"

    async def stop_and_wait(self: Worker) -> str:
        self.stop()
        await asyncio.sleep(1.0)
        self.note("still here")
        return "answered"

    for message in (Do(stop_and_go_on), DoAsync(stop_and_wait)):
        ref = sim.system.spawn(Hooked, log)
        ask = asyncio.ensure_future(ref.ask(message))
        ref.tell(Say("never"))
        assert await ask == "answered"
        await ref.wait_stopped()
        assert log == ["started", "still here", "stopped"]
        log.clear()


@simulated
async def test_stop_from_a_handler_that_gave_its_message_away(sim: Simulation) -> None:
    log: Log = []
    other = sim.system.spawn(Worker, log, "other")

    def after(give_away: str) -> Do:
        def run(self: Worker) -> None:
            match give_away:
                case "defer":
                    self.defer()
                case "stash":
                    self.stash()
                case _:
                    self.forward(other, Say("x"))
            self.stop()
            assert state(sim, self.ref) == "stopping"  # not gone while its handler is on the stack
            assert self.children == ()

        return Do(run)

    for way in ("defer", "stash", "forward"):
        ref = sim.system.spawn(Worker, log)
        ref.tell(after(way))
        ref.tell(Say("never"))
        await ref.wait_stopped()
        assert state(sim, ref) == "stopped"
    await sim.settle()
    assert log == ["other:x"]
    assert [reason for _, reason in reasons(sim)] == [Reason.STOPPED] * 4  # three "never", and what was stashed


@simulated
async def test_stop_from_started(sim: Simulation) -> None:
    log: Log = []

    def refuse_children(self: Worker) -> None:
        self.stop()
        with pytest.raises(SpawnRefused):
            self.spawn(Worker, log)

    ref = sim.system.spawn(Hooked, log, "", refuse_children)
    ref.tell(Say("never"))
    await ref.wait_stopped()
    assert log == ["started", "stopped"]

    class Plain(Actor):
        def started(self) -> None:
            self.stop()

    plain = sim.system.spawn(Plain)
    await plain.wait_stopped()
    await sim.settle()
    assert state(sim, plain) == "stopped"
    assert not plain.tell("late")


@simulated
async def test_stop_while_started_is_awaited(sim: Simulation) -> None:
    log: Log = []

    class Slow(Hooked):
        async def started(self) -> None:  # type: ignore[override]
            await asyncio.sleep(3.0)
            self.note("started")

    patient = sim.system.spawn(Slow, log, "patient")
    impatient = sim.system.spawn(Slow, log, "impatient", options=Options(stop_timeout_s=1.0))
    await sim.settle()
    for ref in (patient, impatient):
        ref.tell(Say("never"))
        ref.stop()
    await asyncio.gather(patient.wait_stopped(), impatient.wait_stopped())
    assert log == ["impatient:stopped", "patient:started", "patient:stopped"]


@simulated
async def test_stop_before_the_first_turn(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    ref.tell(Say("never"))
    ref.stop()
    await ref.wait_stopped()
    await sim.settle()
    assert log == []


@simulated
async def test_a_handler_that_ignores_its_cancellation_does_not_hold_the_stop_up(sim: Simulation) -> None:
    log: Log = []
    gate = asyncio.Event()

    class Stubborn(Hooked):
        @on(str)
        async def stubborn(self, _: str) -> str:
            while not gate.is_set():
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    self.note("ignored")
            return "late"

    ref = sim.system.spawn(Stubborn, log, "", options=Options(stop_timeout_s=1.0))
    ask = asyncio.ensure_future(ref.ask("hello", timeout_s=60))
    await sim.settle()
    ref.stop()
    with pytest.raises(ActorStopped):
        await ask
    await ref.wait_stopped()
    assert log == ["started", "ignored", "stopped"]
    assert sim.system.statistics().busy_handlers == 0
    gate.set()
    await sim.settle()
    assert state(sim, ref) == "stopped"


@simulated
async def test_a_hook_that_ignores_its_cancellation_does_not_hold_the_stop_up(sim: Simulation) -> None:
    gate = asyncio.Event()

    class Stubborn(Actor):
        async def stopped(self) -> None:
            while not gate.is_set():
                try:
                    await gate.wait()
                except asyncio.CancelledError:
                    continue

    ref = sim.system.spawn(Stubborn, options=Options(stop_timeout_s=1.0))
    ref.stop()
    await ref.wait_stopped()
    assert sim.now_s < 10
    gate.set()


@simulated
async def test_many_may_wait_and_one_of_them_may_give_up(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])
    waiters = [asyncio.ensure_future(ref.wait_stopped()) for _ in range(5)]
    await sim.settle()
    waiters[2].cancel()
    await sim.settle()
    assert len(sim.system.cell_of(ref).particulars.waiters) == 4
    ref.stop()
    done = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(one) for one in done] == [type(None)] * 2 + [asyncio.CancelledError] + [type(None)] * 2
    await ref.wait_stopped()  # gone: at once


@simulated
async def test_stop_of_another_from_a_handler(sim: Simulation) -> None:
    log: Log = []
    victim = sim.system.spawn(Worker, log, "victim")
    killer = sim.system.spawn(Worker, log, "killer")

    def kill(_: Worker) -> bool:
        victim.tell(Say("never"))
        victim.stop()
        return state(sim, victim) == "stopped"

    assert await killer.ask(Do(kill))
    assert log == []


@simulated
async def test_the_system_stops_twice_and_then_takes_no_more(sim: Simulation) -> None:
    log: Log = []
    refs: list[Ref] = [sim.system.spawn(Hooked, log, name) for name in "abc"]
    await sim.settle()
    log.clear()
    await asyncio.gather(sim.system.stop(), sim.system.stop())
    await sim.system.stop()
    assert log == ["c:stopped", "b:stopped", "a:stopped"]
    with pytest.raises(SpawnRefused):
        sim.system.spawn(Worker, log)
    assert not refs[0].tell(Say("late"))
    figures = sim.system.statistics()
    assert (figures.actors, figures.spawned, figures.stopped, figures.tasks) == (0, 3, 3, 0)
    assert sim.system.tree().startswith("parley: 0 actors")


@simulated
async def test_a_child_that_fails_while_its_parent_stops(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "ab")
    a, b = [await child(sim, parent, name) for name in "ab"]
    b.tell(Work("long", 2.0))
    await sim.settle()
    parent.stop()
    await asyncio.sleep(1.0)
    a.tell(Do(lambda _: 1 / 0))
    await parent.wait_stopped()
    assert log[-4:] == ["b:stopped", "a:started", "a:stopped", "parent:stopped"] or log[-3:] == [
        "b:stopped",
        "a:stopped",
        "parent:stopped",
    ]
