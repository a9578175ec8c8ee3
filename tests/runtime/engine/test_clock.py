"""Time comes in as an argument."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from runtime.engine import ActorSystem, LoopClock
from runtime.testkit import Simulation
from runtime.testkit.simulation import EPOCH_S
from tests.runtime.engine.samples import simulated


async def test_the_loops_clock() -> None:
    loop = asyncio.get_running_loop()
    clock = LoopClock(loop, wall=lambda: 86400.0)
    assert clock.now() == datetime(1970, 1, 2, tzinfo=UTC)
    called: asyncio.Future[float] = loop.create_future()
    due = clock.time() + 0.01
    clock.call_at(due, lambda: called.set_result(clock.time()))
    cancelled = clock.call_at(due, lambda: called.set_exception(AssertionError("was cancelled")))
    cancelled.cancel()
    # A loop may round a timer to its own tick, a millisecond at most.
    assert await called >= due - 0.002
    system = ActorSystem(clock=clock)
    assert system.clock is clock
    await system.stop()


@simulated
async def test_the_engine_has_no_other_time(sim: Simulation) -> None:
    assert sim.system.clock.time() == sim.now_s == 0.0
    assert sim.system.clock.now().timestamp() == EPOCH_S
    await asyncio.sleep(86400.0)
    assert sim.now_s == 86400.0
    assert sim.system.clock.now().timestamp() == EPOCH_S + 86400.0
