"""An event loop whose time is virtual: when nothing is ready, time jumps to the next timer.

`asyncio.sleep`, `asyncio.timeout` and the engine's timers all run on it, so a day takes no longer than its work. It
is for code without sockets and threads: with nothing ready and no timer left, nothing can ever happen again, and the
loop says so.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any, Final, NoReturn

RESOLUTION_S: Final = 1e-6
"""Timers that are due within this time of each other fire together."""


class Deadlock(Exception):
    """Nothing is ready and no timer is set: what is awaited will never come."""


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that lets time pass in place of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0
        self.waiting: list[asyncio.Future[None]] = []

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.waiting:
            for waiter in self.waiting:
                if not waiter.done():
                    waiter.set_result(None)
            self.waiting.clear()
        elif timeout is None:
            raise Deadlock("nothing is ready and no timer is set: what is awaited will never come")
        else:
            self.passed_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop on virtual time, beginning at 0.0 seconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # With that of the machine's clock, a timer due half a year on would be lost in rounding, and never fire.
        self._clock_resolution = RESOLUTION_S

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.passed_s

    async def quiet(self) -> None:
        """Wait until nothing more can happen at this instant: the next thing is a timer, or never."""
        waiter: asyncio.Future[None] = self.create_future()
        self._jumping.waiting.append(waiter)
        await waiter

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:  # type: ignore[override]
        """Refused: a thread runs in real time, which this loop does not wait for."""
        raise RuntimeError("no threads on virtual time")
