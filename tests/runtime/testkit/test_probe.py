"""Probes: what a test holds in its hand to talk to actors."""

from __future__ import annotations

import asyncio

import pytest

from runtime.testkit import Simulation
from tests.runtime.engine.samples import Do, Say, Work, Worker, simulated


@simulated
async def test_messages_are_kept_until_asked_for(sim: Simulation) -> None:
    probe = sim.probe("probe")
    for message in ("a", 1, "b"):
        probe.ref.tell(message)
    assert await probe.next() == "a"
    assert await probe.expect(int) == 1
    with pytest.raises(AssertionError, match="expected int, got 'b'"):
        await probe.expect(int)
    for message in ("c", "d"):
        probe.ref.tell(message)
    await sim.settle()
    assert probe.drain() == ["c", "d"]
    assert probe.ref.path == "probe"


@simulated
async def test_waiting_is_in_the_systems_time(sim: Simulation) -> None:
    probe = sim.probe()
    with pytest.raises(AssertionError, match="within 3600 s"):
        await probe.next(within_s=3600)
    assert sim.now_s == 3600.0
    await probe.expect_none(for_s=60)
    assert sim.now_s == 3660.0
    ref = sim.system.spawn(Worker, [])
    ref.tell(Work("long", 5.0))
    ref.tell(Do(lambda _: probe.ref.tell(Say("late"))))
    with pytest.raises(AssertionError, match="expected nothing"):
        await probe.expect_none(for_s=10)
    with pytest.raises(AssertionError, match="expected nothing"):
        await probe.expect_none(for_s=10)
    assert sim.now_s == pytest.approx(3665.0)
    assert await probe.expect(Say) == Say("late")


@simulated
async def test_asks_wait_for_the_tests_answer(sim: Simulation) -> None:
    probe = sim.probe()
    ask = asyncio.ensure_future(probe.ref.ask("question"))
    assert await probe.next() == "question"
    assert not ask.done()
    probe.answer(42)
    assert await ask == 42
    probe.ref.tell("told")
    await probe.next()
    with pytest.raises(AssertionError, match="takes no answer"):
        probe.answer(43)
