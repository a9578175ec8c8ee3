"""Keyed timers of one actor: after a while, or again and again, a message arrives in its own mailbox.

A tick whose timer was cancelled or replaced, or whose actor was restarted, is never handled, also when it was in the
mailbox already. A repeating timer has at most one tick in the mailbox: a busy actor gets fewer ticks, not a heap of
late ones.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from runtime.engine.clock import Handle
from runtime.engine.envelope import Envelope

if TYPE_CHECKING:
    from runtime.engine.cell import Cell


class _Timer:
    __slots__ = ("due", "every_s", "handle", "message", "queued", "spent")

    def __init__(self, message: object, due: float, every_s: float | None) -> None:
        self.message = message
        self.due = due
        self.every_s = every_s
        self.handle: Handle | None = None
        self.queued = False
        self.spent = -1


class Timers:
    """The timers of one actor, by key."""

    __slots__ = ("_cell", "_life", "_timers")

    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._life = 0
        self._timers: dict[Hashable, _Timer] = {}

    def start(self, key: Hashable, message: object, after_s: float, *, every_s: float | None = None) -> None:
        """Send `message` to this actor in `after_s` seconds, then every `every_s` seconds if given. Replaces the
        key's timer.
        """
        if after_s < 0 or (every_s is not None and every_s <= 0):
            raise ValueError("after_s is 0 or more and every_s is above 0")
        self.cancel(key)
        timer = _Timer(message, self._cell.system.clock.time() + after_s, every_s)
        self._timers[key] = timer
        self._arm(key, timer)

    def cancel(self, key: Hashable) -> bool:
        """End a timer. False when there is none under this key."""
        timer = self._timers.pop(key, None)
        if timer is None:
            return False
        if timer.handle is not None:
            timer.handle.cancel()
        return True

    def cancel_all(self) -> None:
        """End every timer, also those whose last tick was stashed."""
        self._life += 1
        for key in list(self._timers):
            self.cancel(key)

    def active(self, key: Hashable) -> bool:
        """Whether a timer runs under this key, or its last tick waits in the mailbox."""
        return key in self._timers

    def __len__(self) -> int:
        return len(self._timers)

    def _arm(self, key: Hashable, timer: _Timer) -> None:
        timer.handle = self._cell.system.clock.call_at(timer.due, lambda: self._fire(key, timer))

    def _fire(self, key: Hashable, timer: _Timer) -> None:
        timer.handle = None
        if timer.every_s is not None:
            # From the time it was due, not from now: a late loop makes no drift. Ticks missed altogether are left out.
            late_s = max(0.0, self._cell.system.clock.time() - timer.due)
            timer.due += (late_s // timer.every_s + 1) * timer.every_s
            self._arm(key, timer)
        if not timer.queued:
            timer.queued = True
            self._cell.put_unbounded(Envelope(timer.message, still_counts=lambda: self._due(key, timer)))

    def _due(self, key: Hashable, timer: _Timer) -> bool:
        if self._timers.get(key) is not timer:
            return timer.spent == self._life  # true of a last tick that was stashed when it came
        timer.queued = False
        if timer.every_s is None:
            del self._timers[key]
            timer.spent = self._life
        return True
