"""The time limits of asks: one shared sweep in place of a timer each.

Asks with the same limit expire in the order in which they began, so each distinct limit has a queue whose head is the
next to expire, and one timer stands for the earliest head. Answered asks are swept out when they reach the head, or
all at once when a queue has doubled; so the queue stays within twice the asks in flight plus `SLACK`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from runtime.engine.clock import Clock, Handle
from runtime.engine.errors import AskTimeout

SLACK: Final = 1024


class _Limit:
    """The asks of one time limit, oldest first, as alternating deadline and future: no object for the pair."""

    __slots__ = ("compact_at", "entries", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.entries: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self.compact_at = SLACK


class Asks:
    """Every ask in flight that has a time limit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._time = clock.time
        self._limits: dict[float, _Limit] = {}
        self._timer: Handle | None = None
        self._due = float("inf")
        self.expired = 0

    def add(self, future: asyncio.Future[Any], limit_s: float) -> float:
        """Give `future` a time limit in seconds; past it, it fails with AskTimeout. Returns its deadline."""
        limit = self._limits.get(limit_s)
        if limit is None:
            limit = self._limits[limit_s] = _Limit(limit_s)
        deadline = self._time() + limit_s
        entries = limit.entries
        entries.append((deadline, future))
        if len(entries) > limit.compact_at:
            self._compact(limit)
        if deadline < self._due:
            self._arm(deadline)
        return deadline

    @property
    def pending(self) -> int:
        """How many asks wait for an answer."""
        return sum(not future.done() for limit in self._limits.values() for _, future in limit.entries)

    def close(self) -> None:
        """Let go of the timer. Asks still in flight are the caller's to fail."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = float("inf")

    def fail_all(self, error: Exception) -> None:
        """Fail every ask that still waits, when the system ends."""
        for limit in self._limits.values():
            for _, future in limit.entries:
                if not future.done():
                    future.set_exception(error)
        self._limits.clear()

    def _compact(self, limit: _Limit) -> None:
        limit.entries = deque(entry for entry in limit.entries if not entry[1].done())
        limit.compact_at = 2 * len(limit.entries) + SLACK

    def _arm(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = deadline
        self._timer = self._clock.call_at(deadline, self._sweep)

    def _sweep(self) -> None:
        self._timer, self._due = None, float("inf")
        now = self._time()
        # A limit that is in use now and then must not leave its queue behind for ever (limits derive from deadlines).
        for seconds, limit in list(self._limits.items()):
            self._expire(limit, now)
            if not limit.entries:
                del self._limits[seconds]
        heads = [limit.entries[0][0] for limit in self._limits.values()]
        if heads and min(heads) < float("inf"):
            # At least a millisecond on: clocks that round must not make this spin.
            self._arm(max(min(heads), now + 0.001))

    def _expire(self, limit: _Limit, now: float) -> None:
        entries = limit.entries
        while entries and (entries[0][0] <= now or entries[0][1].done()):
            _, future = entries.popleft()
            if not future.done():
                self.expired += 1
                future.set_exception(AskTimeout(f"no answer within {limit.seconds:g} s"))
