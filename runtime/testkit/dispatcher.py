"""A dispatcher that picks who runs next, and for how many messages, by a seed.

Whatever order it picks is one that the engine may produce; what holds under every seed holds in every order.
"""

from __future__ import annotations

import asyncio
import random
from contextvars import Context
from typing import Final

from runtime.engine.cell import Cell

MAX_QUANTUM: Final = 8


class SeededDispatcher:
    """Turns in an order that `rng` decides."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: random.Random) -> None:
        self._loop = loop
        self._rng = rng
        self._ready: list[Cell] = []
        self._armed = False
        self.running: Cell | None = None
        self.turns = 0

    def ready(self, cell: Cell) -> None:
        """Take a cell with work in."""
        self._ready.append(cell)
        self._arm()

    def _arm(self) -> None:
        if self._ready and not self._armed:
            self._armed = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._armed = False
        index = self._rng.randrange(len(self._ready))
        self._ready[index], self._ready[-1] = self._ready[-1], self._ready[index]
        self.running = cell = self._ready.pop()
        self.turns += 1
        try:
            Context().run(cell.turn, self._rng.randint(1, MAX_QUANTUM))
        finally:
            self.running = None
            self._arm()
