"""An event loop whose time is virtual: when nothing is ready, time jumps to the next timer.

`asyncio.sleep`, `asyncio.timeout` and the engine's timers all run on it, so a day takes no longer than its work. It
is for code without sockets and threads: with nothing ready and no timer left, nothing can ever happen again, and the
loop says so.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any, NoReturn


class Deadlock(Exception):
    """Nothing is ready and no timer is set: what is awaited will never come."""


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that lets time pass in place of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Deadlock("nothing is ready and no timer is set: what is awaited will never come")
            self.passed_s += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop on virtual time, beginning at 0.0 seconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumping.passed_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:  # type: ignore[override]
        """Refused: a thread runs in real time, which this loop does not wait for."""
        raise RuntimeError("no threads on virtual time")
