"""How many requests are being answered: the cap on them, and the wait for the last one when the node drains."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from protocols.errors import ResourceExhausted, Unavailable


class Traffic:
    """Counts the requests in flight."""

    def __init__(self, max_requests: int) -> None:
        self._max_requests = max_requests
        self._idle = asyncio.Event()
        self._idle.set()
        self.requests = 0
        self.draining = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """One request, from head to answer. Raises ResourceExhausted past the cap, Unavailable while draining."""
        if self.draining:
            raise Unavailable("this node is stopping: try another, or again shortly", retry_after_s=1)
        if self.requests >= self._max_requests:
            raise ResourceExhausted("too many requests at once: try again shortly", retry_after_s=1)
        self.requests += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.requests -= 1
            if not self.requests:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until no request is in flight."""
        await self._idle.wait()
