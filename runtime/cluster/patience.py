"""How long the cluster waits: for one call of the store, and after a failure before the next try."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from random import Random
from typing import TypeVar

from protocols.errors import Unavailable
from runtime.cluster.signal import Signal
from runtime.engine import Clock

T = TypeVar("T")


async def within(seconds: float, call: Awaitable[T]) -> T:
    """The answer of a call. Unavailable when none comes in time: whether it was done is not known."""
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise Unavailable(f"no answer within {seconds:g} s") from None


def retry_s(failures: int, first_s: float, most_s: float, rng: Random) -> float:
    """Seconds before the next try after so many failures in a row: doubled each time, up to half of it left out."""
    grown: float = min(first_s * 2 ** min(max(failures - 1, 0), 16), most_s)
    return grown * (0.5 + rng.random() / 2)


async def pause(seconds: float, clock: Clock) -> None:
    """Let time pass on the injected clock."""
    await Signal(asyncio.get_running_loop(), clock).wait(seconds)
