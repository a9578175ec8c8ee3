"""A signal that one loop waits for, no longer than until a time on the injected clock."""

from __future__ import annotations

import asyncio

from runtime.engine import Clock


class Signal:
    """Set any number of times, it wakes its one waiter once."""

    __slots__ = ("_clock", "_loop", "_set", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        self._loop = loop
        self._clock = clock
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the waiter, or let the next wait end at once."""
        self._set = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self, within_s: float | None = None) -> bool:
        """Wait until it is set, at most `within_s` seconds. Whether it was; it is not set any more."""
        if not self._set:
            waiter = self._waiter = self._loop.create_future()
            handle = None
            if within_s is not None:
                handle = self._clock.call_at(self._clock.time() + within_s, lambda: _end(waiter))
            try:
                await waiter
            finally:
                self._waiter = None
                if handle is not None:
                    handle.cancel()
        was_set, self._set = self._set, False
        return was_set


def _end(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
