"""How every system is timed and weighed, alike for all.

Rates: a step (one burst, one batch) runs once to warm up, the garbage is collected, and then steps run until
`WINDOW_S` (times the scale) is full. Automatic garbage collection stays on, at Python's own thresholds, as in
production.
Weights: private memory (`Private_Dirty` of the kernel's roll-up, so that thread stacks and memory of C libraries
count, which tracemalloc does not see) before and after making many, the garbage collected each time, divided by how
many.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeVar

import uvloop

T = TypeVar("T")

WINDOW_S: Final = 0.25
BURST: Final = 1_000
"""Messages of a `tell` burst, and asks of an `ask` step: within a mailbox's default bound."""

CALLERS: Final = 64
ASKS_EACH: Final = 25
"""Asks of each of the concurrent callers in a step."""

HERD: Final = 500


def on_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a fresh uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def rate(
    step: Callable[[], Awaitable[int]], scale: float, *, after: Callable[[], Awaitable[None]] | None = None
) -> float:
    """Operations a second. A step returns how many it did; `after` clears up behind each step and is not timed."""
    await step()
    if after is not None:
        await after()
    gc.collect()
    window = WINDOW_S * scale
    done, spent = 0, 0.0
    while spent < window:
        began = perf_counter()
        done += await step()
        spent += perf_counter() - began
        if after is not None:
            await after()
    return done / spent


def scaled(count: int, scale: float) -> int:
    """How many to make: `count` at most, fewer in a quick run, never so few that a page is most of the figure."""
    return max(int(count * min(scale, 1.0)), count // 50, 1)


def settled_bytes() -> int:
    """Private memory of this process, in bytes, after collecting the garbage."""
    gc.collect()
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/smaps_rollup has no Private_Dirty")


def herds(count: int) -> Iterator[int]:
    """The sizes of the groups in which `count` actors are made and get their first message.

    All at once would weigh what the making itself needs at its peak, which the allocator keeps.
    """
    for made in range(0, count, HERD):
        yield min(HERD, count - made)


def all_handled(count: int, told: int) -> None:
    """Raise unless every message told was handled once."""
    if count != told:
        raise AssertionError(f"{told} messages were told, {count} were handled")
