"""Restarts that are interrupted, or fail themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from runtime.engine import Actor, Directive, Reason, on
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


@simulated
async def test_stop_during_backoff(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Hooked, log)
    ref.tell(Break())
    await sim.settle()
    assert state(sim, ref) == "restarting"
    ref.tell(Say("kept"))
    ref.stop()
    await ref.wait_stopped()
    await asyncio.sleep(60)
    assert log == ["started", "stopped"]
    assert (Say("kept"), Reason.STOPPED) in reasons(sim)


@simulated
async def test_the_mailbox_takes_messages_during_backoff(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Hooked, log)
    ref.tell(Break())
    await sim.settle()
    assert ref.tell(Say("kept"))
    await sim.settle()
    assert log == ["started"]
    assert await ref.ask(Say("asked")) == "asked"
    assert log == ["started", "restarting Broken", "started", "kept", "asked"]


@simulated
async def test_a_factory_that_fails_at_restart_is_tried_again(sim: Simulation) -> None:
    log: Log = []
    broken = [False, True, True, False]

    def factory() -> Hooked:
        if broken.pop(0):
            raise Broken("cannot be made")
        return Hooked(log)

    ref = sim.system.spawn(factory)
    ref.tell(Break())
    ref.tell(Say("kept"))
    await asyncio.sleep(10.0)
    assert log == ["started", "restarting Broken", "restarting Broken", "restarting Broken", "started", "kept"]
    assert sim.system.statistics_of(ref).failures == 3


@simulated
async def test_a_factory_that_never_works_again_is_given_up(sim: Simulation) -> None:
    log: Log = []
    made: list[int] = []

    def factory() -> Hooked:
        made.append(1)
        if len(made) > 1:
            raise Broken("cannot be made")
        return Hooked(log)

    ref = sim.system.spawn(factory)
    ref.tell(Break())
    await ref.wait_stopped()
    assert len(made) == 6


def raises(error: BaseException) -> Callable[[Worker], None]:
    def setup(_: Worker) -> None:
        raise error

    return setup


@pytest.mark.parametrize("error", [Broken("no"), asyncio.CancelledError()])
def test_started_that_fails_is_a_failure(error: BaseException) -> None:
    @simulated
    async def scenario(sim: Simulation) -> None:
        log: Log = []
        ref = sim.system.spawn(Hooked, log, "", raises(error))
        ref.tell(Say("never"))
        await ref.wait_stopped()
        assert log.count("started") == 6
        assert log[-1] == "stopped"
        assert "never" not in log

    scenario()


@simulated
async def test_async_started_that_fails_or_is_resumed(sim: Simulation) -> None:
    log: Log = []

    class Slow(Worker):
        async def started(self) -> None:
            await asyncio.sleep(1.0)
            raise Broken

    restarts = sim.system.spawn(Worker, log, options=supervising(max_restarts=2, exceeded=Directive.STOP))
    ref = await restarts.ask(Do(lambda self: self.spawn(Slow, log)))
    await ref.wait_stopped()
    assert sim.now_s == pytest.approx(3.0, abs=0.01)
    resumes = sim.system.spawn(Worker, log, options=supervising(otherwise=Directive.RESUME))
    ref = await resumes.ask(Do(lambda self: self.spawn(Slow, log)))
    assert await ref.ask(Say("kept meanwhile")) == "kept meanwhile"


@pytest.mark.parametrize("error", [Broken("no"), asyncio.CancelledError()])
def test_hooks_that_fail_hold_nothing_up(error: BaseException) -> None:
    @simulated
    async def scenario(sim: Simulation) -> None:
        log: Log = []

        class Bad(Worker):
            def restarting(self, _: BaseException) -> None:
                log.append("restarting")
                raise error

            async def stopped(self) -> None:
                log.append("stopped")
                raise error

        class AsyncBad(Bad):
            async def restarting(self, _: BaseException) -> None:  # type: ignore[override]
                log.append("restarting")
                raise error

            def stopped(self) -> None:  # type: ignore[override]
                log.append("stopped")
                raise error

        for kind in (Bad, AsyncBad):
            ref = sim.system.spawn(kind, [])
            ref.tell(Break())
            assert await ref.ask(Say("new")) == "new"
            ref.stop()
            await ref.wait_stopped()
            assert log == ["restarting", "stopped"]
            log.clear()

    scenario()


@simulated
async def test_a_restart_stops_the_children_after_the_hook(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "ab")
    old = await child(sim, parent, "a")
    log.clear()
    parent.tell(Break())
    await asyncio.sleep(1.0)
    assert log[:4] == ["parent:restarting Broken", "b:stopped", "a:stopped", "parent:started"]
    assert old.stopped  # type: ignore[attr-defined]
    assert (await child(sim, parent, "a")) is not old


@simulated
async def test_behaviour_and_stash_do_not_outlive_the_instance_but_stashed_messages_do(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)

    def locked(self: Worker) -> Callable[[object], object]:
        def behave(message: object) -> object:
            if message == "fail":
                raise Broken
            self.stash()
            return None

        return behave

    ref.tell(Do(lambda self: self.become(locked(self))))
    kept = asyncio.ensure_future(ref.ask(Say("first")))
    for message in (Say("second"), "fail", Say("third")):
        ref.tell(message)
    assert await kept == "first"
    await sim.settle()
    assert log == ["first", "second", "third"]


@simulated
async def test_an_actor_that_handles_what_its_own_failure_left(sim: Simulation) -> None:
    """A failed handler that stashed or forwarded its message first: that message lives on, and is handled once."""
    log: Log = []
    other = sim.system.spawn(Worker, log, "other")

    class Stasher(Actor):
        first = True

        @on(Say)
        def say(self, message: Say) -> str:
            if Stasher.first:
                Stasher.first = False
                self.stash()
                raise Broken
            return "second time"

        @on(Work)
        def work(self, message: Work) -> None:
            self.forward(other)
            raise Broken

    ref = sim.system.spawn(Stasher)
    assert await ref.ask(Say("x")) == "second time"
    assert await ref.ask(Work("y", 0.1)) == "y"
    assert reasons(sim) == []
    assert sim.system.statistics_of(ref).failures == 2
