"""The watchdog: handlers that hang are seen, and failed where that is wanted; so is a loop that stands still."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import pytest

from runtime.engine import Actor, ActorSystem, Directive, HandlerFailed, HandlerHung, LoopWatch, OnHang, Options, on
from runtime.testkit import Simulation, simulate
from tests.runtime.engine.samples import Do, DoAsync, Hooked, Log, Say, Work, Worker, simulated, supervising

FAILS = Options(handler_limit_s=2.0, on_hang=OnHang.FAIL)


def test_a_hanging_handler_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(sim: Simulation) -> None:
        ref = sim.system.spawn(Worker, [], name="slow", options=Options(handler_limit_s=2.0))
        ref.tell(Work("long", 1.5))
        assert await ref.ask(Work("long", 20.0), timeout_s=60) == "long"
        assert sim.system.statistics().hung_handlers == 1
        assert sim.system.statistics_of(ref).failures == 0

    with caplog.at_level(logging.ERROR):
        simulate(scenario)
    (record,) = [record for record in caplog.records if "handler hangs" in record.getMessage()]
    assert "actor='slow'" in record.getMessage()
    assert "message='Work'" in record.getMessage()


@simulated
async def test_a_hanging_handler_fails_where_that_is_wanted(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Hooked, log, options=FAILS)
    ask = asyncio.ensure_future(ref.ask(Work("hangs", 1e6), timeout_s=60))
    ref.tell(Say("next"))
    with pytest.raises(HandlerFailed) as caught:
        await ask
    assert isinstance(caught.value.__cause__, HandlerHung)
    assert 2.0 <= sim.now_s <= 3.1
    await asyncio.sleep(1.0)
    assert log == ["started", "hangs+", "restarting HandlerHung", "started", "next"]


@simulated
async def test_one_that_ignores_its_cancellation_is_failed_all_the_same(sim: Simulation) -> None:
    log: Log = []
    gate = asyncio.Event()

    async def stubborn(_: Worker) -> None:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                log.append("ignored")

    ref = sim.system.spawn(Hooked, log, options=FAILS)
    ask = asyncio.ensure_future(ref.ask(DoAsync(stubborn), timeout_s=60))
    ref.tell(Say("next"))
    with pytest.raises(HandlerFailed):
        await ask
    await asyncio.sleep(1.0)
    assert log == ["started", "ignored", "restarting HandlerHung", "started", "next"]
    gate.set()
    await sim.settle()
    assert await ref.ask(Say("end")) == "end"


@simulated
async def test_one_that_ends_in_time_after_all_is_forgiven(sim: Simulation) -> None:
    """It took its cancellation for something else and went on; what comes after it is not taken for it."""
    log: Log = []

    async def swallow(_: Worker) -> str:
        try:
            await asyncio.sleep(1e6)
        except asyncio.CancelledError:
            log.append("swallowed")
        return "done"

    async def time_limit(_: Worker) -> str:
        try:
            async with asyncio.timeout(1.0):
                await asyncio.sleep(1e6)
        except TimeoutError:
            return "timed out"
        return "never"

    ref = sim.system.spawn(Worker, log, options=FAILS)
    first = asyncio.ensure_future(ref.ask(DoAsync(swallow), timeout_s=60))
    second = asyncio.ensure_future(ref.ask(DoAsync(time_limit), timeout_s=60))
    assert [await first, await second] == ["done", "timed out"]
    assert sim.system.statistics_of(ref).failures == 0

    async def cancels_itself(_: Worker) -> None:
        raise asyncio.CancelledError

    with pytest.raises(HandlerFailed) as caught:
        await ref.ask(DoAsync(cancels_itself))
    assert "from inside" in str(caught.value.__cause__)


@simulated
async def test_a_hanging_started_hook_is_seen_too(sim: Simulation) -> None:
    class Slow(Actor):
        async def started(self) -> None:
            await asyncio.sleep(1e6)

    parent = sim.system.spawn(Worker, [], options=supervising(otherwise=Directive.STOP))
    ref = await parent.ask(Do(lambda self: self.spawn(Slow, options=FAILS)))
    await ref.wait_stopped()
    assert sim.system.statistics().hung_handlers == 1


@simulated
async def test_resuming_after_a_hang_goes_on_with_the_mailbox(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Worker, [], options=supervising(otherwise=Directive.RESUME))
    ref = await parent.ask(Do(lambda self: self.spawn(Worker, log, options=FAILS)))
    ref.tell(Work("hangs", 1e6))

    async def limited(_: Worker) -> str:
        try:
            async with asyncio.timeout(0.5):
                await asyncio.sleep(1e6)
        except TimeoutError:
            return "works"
        return "never"

    assert await ref.ask(DoAsync(limited), timeout_s=60) == "works"


@simulated
async def test_an_idle_system_sets_no_timer(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])
    await ref.ask(Work("short", 0.1))
    await asyncio.sleep(3.0)
    assert sim.system.watchdog._timer is None


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Poll until `condition()` holds. Real time: for what threads do."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_loop_that_stands_still_is_seen_with_the_actor_that_holds_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    system = ActorSystem()
    watch = LoopWatch(system, limit_s=0.05)
    watch.start()

    class Blocker(Actor):
        @on(float)
        def block(self, longest_s: float) -> None:
            end = time.monotonic() + longest_s
            while watch.stalls == 0 and time.monotonic() < end:
                time.sleep(0.01)

    try:
        ref = system.spawn(Blocker, name="blocker")
        with caplog.at_level(logging.ERROR):
            await ref.ask(10.0, timeout_s=20)
            await until(lambda: "stands still" in caplog.text)  # the thread counts first
        assert watch.stalls == 1
        text = caplog.text
        assert "actor='blocker'" in text
        assert "in block" in text
    finally:
        began = time.monotonic()
        watch.stop()
        await system.stop()
    assert time.monotonic() - began < 10


async def test_the_loop_watch_stops_at_once_and_without_a_false_alarm() -> None:
    system = ActorSystem()
    watch = LoopWatch(system, limit_s=3600.0)
    watch.start()
    await until(watch._thread.is_alive)
    watch.stop()  # would wait for an hour if it waited for a beat
    assert not watch._thread.is_alive()
    assert watch.stalls == 0
    await system.stop()
