"""The run queue: actors with work, given turns of a bounded number of messages, so that none starves the loop.

One loop callback serves every actor that is ready. It ends after one round, or after a time slice, and comes back
behind whatever input and output the loop has to do meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Final, Protocol

from runtime.engine.clock import Clock

if TYPE_CHECKING:
    from runtime.engine.cell import Cell

QUANTUM: Final = 256
"""Messages that an actor handles in one turn at most."""

SLICE_S: Final = 0.005
"""How long one round may hold the loop before input and output get their turn."""


class Dispatch(Protocol):
    """What cells need of a run queue. The test kit has one that picks by seed."""

    running: Cell | None
    turns: int

    def ready(self, cell: Cell) -> None:
        """Take a cell with work into the queue. A cell is in it at most once; its `scheduled` says so."""


class Dispatcher:
    """Turns in the order in which actors became ready."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Clock, *, quantum: int = QUANTUM) -> None:
        self._call_soon = loop.call_soon
        self._time = clock.time
        self._quantum = quantum
        self._queue: deque[Cell] = deque()
        self._armed = False
        self.running: Cell | None = None
        self.turns = 0

    def ready(self, cell: Cell) -> None:
        """Take a cell with work into the queue."""
        self._queue.append(cell)
        if not self._armed:
            self._armed = True
            self._call_soon(self._round)

    @property
    def depth(self) -> int:
        """Actors that wait for a turn."""
        return len(self._queue)

    def _round(self) -> None:
        queue, quantum, time = self._queue, self._quantum, self._time
        end = time() + SLICE_S
        try:
            for _ in range(len(queue)):
                cell = queue.popleft()
                self.running = cell
                self.turns += 1
                # A context of its own: else a handler would inherit that of whoever told first, or ran before.
                Context().run(cell.turn, quantum)
                if time() >= end:
                    break
        finally:
            # Also when a turn is left by KeyboardInterrupt: a queue that nobody serves would hang the system.
            self.running = None
            if queue:
                self._call_soon(self._round)
            else:
                self._armed = False
