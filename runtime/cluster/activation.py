"""One entity on this node: on its way in, at work, or on its way out, with what waits for it meanwhile."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from runtime.cluster.parked import Parked
from runtime.engine import lifecycle
from runtime.engine.clock import Handle
from runtime.engine.envelope import Envelope
from runtime.engine.states import RUNNING, STARTING, SUSPENDED

if TYPE_CHECKING:
    from runtime.engine.cell import Cell


class Stage(Enum):
    """Where an entity is on this node."""

    COMING = "coming"
    """It waits for its lease, or for news of who is to carry it."""

    HERE = "here"
    LEAVING = "leaving"
    """It works off its mailbox and stops; what comes now waits, and goes to the next owner."""

    LOST = "lost"
    """Its lease is gone: it stops, and what it would write is refused under its old token."""


class Activation:
    """The state of one entity on this node. `askers` are nodes that wait for it to leave."""

    __slots__ = ("askers", "began", "cell", "entity", "fence", "paused", "queue", "stage", "timer")

    def __init__(self, entity: str, now_s: float) -> None:
        self.entity = entity
        self.stage = Stage.COMING
        self.queue: deque[Parked] = deque()
        self.cell: Cell | None = None
        self.fence = 0
        self.began = now_s
        self.timer: Handle | None = None
        self.askers: set[str] = set()
        self.paused: int | None = None

    def drain(self) -> None:
        """Stop the entity once what is in its mailbox now has been handled."""
        cell = self.cell
        if cell is not None and cell.alive:
            # The mark is a notice of the engine: reached, it stops the actor and is handled by nobody.
            cell.put_unbounded(Envelope(None, still_counts=self._drained))

    def _drained(self) -> bool:
        if self.cell is not None:
            self.cell.stop()
        return False

    def pause(self) -> None:
        """Handle nothing from now on, but what is being handled."""
        cell = self.cell
        if cell is not None and self.paused is None and cell.state in (STARTING, RUNNING):
            self.paused = cell.state if cell.task is None or cell.state == RUNNING else SUSPENDED
            cell.state = SUSPENDED
            cell.steady = False

    def resume(self) -> None:
        """Go on from where `pause` found it."""
        cell, before = self.cell, self.paused
        self.paused = None
        if cell is None or before is None or cell.state != SUSPENDED:
            return
        if before == RUNNING or (before == SUSPENDED and cell.task is None):
            lifecycle.resume(cell)
        else:
            # Its `started` hook is still at work, or has not begun.
            cell.state = STARTING
            if before == STARTING:
                cell.schedule()

    def end_timer(self) -> None:
        """Wait for no time any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
