"""A lane: some like connections, lent to one caller each, in the order of asking, with a bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import aiosqlite

from protocols.errors import ResourceExhausted, Unavailable

RETRY_AFTER_S: Final = 1.0


class Lane:
    """Lends its connections. More than `max_waiting` callers in the queue are refused with ResourceExhausted."""

    __slots__ = ("_closed", "_free", "_idle", "_max_waiting", "refused", "size", "waiting")

    def __init__(self, connections: Iterable[aiosqlite.Connection], max_waiting: int) -> None:
        self._idle = list(connections)
        self._free = asyncio.Semaphore(len(self._idle))
        self._max_waiting = max_waiting
        self._closed = False
        self.size: Final = len(self._idle)
        self.waiting = 0
        self.refused = 0

    @property
    def working(self) -> int:
        """How many connections are lent."""
        return self.size - len(self._idle)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[aiosqlite.Connection]:
        """Borrow a connection. A caller that is cancelled gives it back like any other."""
        await self._acquire()
        try:
            if self._closed:
                raise Unavailable("the stores are closed")
            lent = self._idle.pop()
            try:
                yield lent
            finally:
                self._idle.append(lent)
        finally:
            self._free.release()

    async def close(self) -> None:
        """Return when every connection is back. Whoever waits for one, or asks for one later, gets Unavailable."""
        self._closed = True
        for _ in range(self.size):
            await self._free.acquire()
        for _ in range(self.size):
            self._free.release()

    async def _acquire(self) -> None:
        if self.waiting >= self._max_waiting and self._free.locked():
            self.refused += 1
            raise ResourceExhausted("too many callers wait for the database", retry_after_s=RETRY_AFTER_S)
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
