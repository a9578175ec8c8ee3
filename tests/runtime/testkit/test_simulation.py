"""The test kit: virtual time, an order decided by a seed, and nothing left over."""

from __future__ import annotations

import asyncio
import time

import pytest

from runtime.engine import Actor, on
from runtime.testkit import Deadlock, Simulation, VirtualLoop, explore, simulate
from tests.runtime.engine.samples import Log, Say, Work, Worker


def in_virtual_time(work: object) -> object:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)  # type: ignore[arg-type]
    finally:
        loop.close()


def test_a_year_passes_at_once() -> None:
    async def scenario() -> float:
        async with asyncio.timeout(366 * 86400):
            await asyncio.sleep(365 * 86400)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert in_virtual_time(scenario()) == pytest.approx(365 * 86400 + 0.001)
    assert time.monotonic() - began < 10


def test_waiting_for_what_never_comes_is_said() -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    work = forever()
    with pytest.raises(Deadlock):
        in_virtual_time(work)

    async def scenario(sim: Simulation) -> None:
        ref = sim.system.spawn(Worker, [])
        await ref.ask(Work("done", 1.0))
        await forever()

    with pytest.raises(Deadlock):
        simulate(scenario)


def test_threads_are_refused() -> None:
    async def scenario() -> None:
        await asyncio.to_thread(time.monotonic)

    with pytest.raises(RuntimeError, match="no threads"):
        in_virtual_time(scenario())


def orders(seed: int) -> Log:
    log: Log = []

    async def scenario(sim: Simulation) -> None:
        refs = [sim.system.spawn(Worker, log, name) for name in "abcd"]
        for i in range(20):
            for ref in refs:
                ref.tell(Say(str(i)))
        await sim.settle()

    simulate(scenario, seed=seed)
    return log


def test_the_seed_decides_the_order_and_nothing_else_does() -> None:
    found = [orders(seed) for seed in range(5)]
    assert found == [orders(seed) for seed in range(5)]
    assert len({tuple(log) for log in found}) == 5
    assert len({tuple(sorted(log)) for log in found}) == 1


def test_explore_names_the_seed_that_fails() -> None:
    async def scenario(sim: Simulation) -> None:
        assert sim.seed != 3

    assert explore(scenario, range(3)) == 3
    with pytest.raises(AssertionError) as caught:
        explore(scenario, range(10))
    assert caught.value.__notes__ == ["under seed 3"]


def test_a_task_that_is_left_over_is_a_failure() -> None:
    async def scenario(_: Simulation) -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(1e6)))

    tasks: list[asyncio.Task[None]] = []
    with pytest.raises(AssertionError, match="tasks left over"):
        simulate(scenario)


def test_settling_lets_all_happen_but_no_time_pass() -> None:
    class Steps(Actor):
        @on(int)
        async def step(self, count: int) -> None:
            for _ in range(count):
                await asyncio.sleep(0)
            done.append(count)
            if count:
                self.ref.tell(count - 1)

    async def scenario(sim: Simulation) -> None:
        log: Log = []
        sim.system.spawn(Steps).tell(5)
        sim.system.spawn(Worker, log).tell(Work("later", 0.001))
        await sim.settle()
        assert done == [5, 4, 3, 2, 1, 0]
        assert log == ["later+"]
        assert sim.now_s == 0.0
        await asyncio.gather(sim.settle(), sim.settle())
        await sim.settle()

    done: list[int] = []
    simulate(scenario)


def test_options_go_to_the_system() -> None:
    async def scenario(sim: Simulation) -> str:
        assert sim.system.ask_timeout_s == 7.0
        return sim.system.name

    assert simulate(scenario, name="node", ask_timeout_s=7.0) == "node"
