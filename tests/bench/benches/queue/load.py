"""What every system is given to do, and how it is timed.

enqueue: CALLERS coroutines that put one small task in after the other, in bursts until the window is full.
consume: a worker that finds `count` tasks waiting. Timed from the first task begun to the last one, so that nobody's
start counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final

from tests.bench.pace import rate

CALLERS: Final = 100
EACH: Final = 10
USER_ID: Final = 7
STATUS: Final = "away"


async def enqueue_rate(put: Callable[[], Awaitable[object]], scale: float) -> float:
    """Tasks a second that are put in."""

    async def caller() -> None:
        for _ in range(EACH):
            await put()

    async def burst() -> int:
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return CALLERS * EACH

    return await rate(burst, scale)


async def fill(put: Callable[[], Awaitable[object]], count: int) -> None:
    """Let `count` tasks wait, and a few more, so that the last ones are not a worker's idle end."""
    for _ in range(0, count, CALLERS):
        await asyncio.gather(*(put() for _ in range(CALLERS)))


class Tally:
    """Counts tasks begun, and knows how fast they came. `done` is set, or called, at the last one."""

    def __init__(self, count: int, done: Callable[[], object]) -> None:
        self._count = count
        self._done = done
        self._begun = 0
        self._first = self._last = 0.0

    def __call__(self) -> None:
        self._begun += 1
        if self._begun == 1:
            self._first = perf_counter()
        elif self._begun == self._count:
            self._last = perf_counter()
            self._done()

    @property
    def rate(self) -> float:
        """Tasks a second."""
        return (self._count - 1) / (self._last - self._first)
