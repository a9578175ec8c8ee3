"""Time as an argument: monotonic seconds for deadlines and timers, UTC for what people read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Handle(Protocol):
    """A scheduled call that may be taken back."""

    def cancel(self) -> None:
        """Take it back; once it ran, this does nothing."""


class Clock(Protocol):
    """What the engine needs of time."""

    def time(self) -> float:
        """Monotonic seconds from an arbitrary zero."""

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """Call back when `time()` reaches `when`."""

    def now(self) -> datetime:
        """Wall-clock time, UTC."""


class LoopClock:
    """The clock of an event loop. `wall` gives Unix seconds; on a virtual loop it is virtual as well."""

    __slots__ = ("_loop", "_wall", "time")

    def __init__(self, loop: asyncio.AbstractEventLoop, wall: Callable[[], float] = time.time) -> None:
        self._loop = loop
        self._wall = wall
        self.time = loop.time

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """Call back on the loop when `time()` reaches `when`."""
        return self._loop.call_at(when, callback)

    def now(self) -> datetime:
        """Wall-clock time, UTC."""
        return datetime.fromtimestamp(self._wall(), UTC)
