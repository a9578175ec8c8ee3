"""Runs a scenario on virtual time under a seed, and sees to it that nothing is left over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from runtime.engine import ActorSystem, LoopClock
from runtime.testkit.dispatcher import SeededDispatcher
from runtime.testkit.probe import Probe
from runtime.testkit.virtual_loop import VirtualLoop

T = TypeVar("T")

EPOCH_S: Final = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
"""The wall-clock time at which every simulation begins."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a scenario works with. `rng` is the seed's: use it for every choice that the scenario makes."""

    system: ActorSystem
    loop: VirtualLoop
    rng: random.Random
    seed: int

    def probe(self, name: str | None = None) -> Probe:
        """A new probe."""
        return Probe(self.system, name)

    @property
    def now_s(self) -> float:
        """Virtual seconds since the beginning."""
        return self.system.clock.time()

    async def settle(self) -> None:
        """Let everything that is ready run, without letting time pass."""
        await self.loop.quiet()


def simulate(scenario: Callable[[Simulation], Awaitable[T]], *, seed: int = 0, **options: Any) -> T:
    """Run a scenario to its end and stop its system. `options` go to ActorSystem.

    AssertionError when tasks are left over: every task has an owner that ends it.
    """
    loop = VirtualLoop()
    rng = random.Random(seed)

    async def run() -> T:
        clock = LoopClock(loop, wall=lambda: EPOCH_S + loop.time())
        system = ActorSystem(
            clock=clock,
            rng=random.Random(rng.random()),
            dispatcher=SeededDispatcher(loop, random.Random(rng.random())),
            **options,
        )
        try:
            return await scenario(Simulation(system, loop, rng, seed))
        finally:
            await system.stop()
            await asyncio.sleep(0)  # tasks that are done report it one step later
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left over: {left}"

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(run())


def explore(scenario: Callable[[Simulation], Awaitable[object]], seeds: Iterable[int], **options: Any) -> int:
    """Run a scenario under many seeds and return how many. The first failure is raised with its seed as a note."""
    count = 0
    for seed in seeds:
        try:
            simulate(scenario, seed=seed, **options)
        except BaseException as error:
            error.add_note(f"under seed {seed}")
            raise
        count += 1
    return count
