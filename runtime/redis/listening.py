"""A subscription that outlives its connection: what is published meanwhile is missed, and the listener is told so.

Publishing is at most once. Whoever must not miss anything looks again at each `gap`, which also marks the beginning.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from protocols.errors import ParleyError
from runtime.redis.cancellation import heed_cancellation
from runtime.redis.clients import RedisClients
from runtime.redis.failures import translated

log: Final = structlog.get_logger("parley.redis")

FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 1.0


class Listener:
    """Hears channels. `heard(channel, data)` and `gap()` are called on the loop, one after the other."""

    def __init__(
        self,
        clients: RedisClients,
        channels: Sequence[str],
        heard: Callable[[str, bytes], None],
        gap: Callable[[], None],
        rng: random.Random,
    ) -> None:
        self._clients = clients
        self._channels = tuple(channels)
        self._heard = heard
        self._gap = gap
        self._rng = rng
        self._hears = False

    async def run(self) -> None:
        """Listen until cancelled. No state of Redis ends it; it connects again, waiting a little longer each time."""
        wait_s = FIRST_WAIT_S
        while True:
            self._hears = False
            try:
                await self._listen()
            except ParleyError as error:
                log.warning("subscription lost", channels=self._channels, error=error.detail, again_in_s=wait_s)
            heed_cancellation()
            wait_s = FIRST_WAIT_S if self._hears else min(wait_s * 2, LONGEST_WAIT_S)
            await asyncio.sleep(wait_s * (0.5 + self._rng.random() / 2))

    async def _listen(self) -> None:
        client = await self._clients.listening()
        try:
            with translated():
                async with client.pubsub() as subscription:
                    await subscription.subscribe(*self._channels)
                    while True:
                        message = await subscription.get_message(timeout=None)
                        heed_cancellation()
                        self._take(message)
        finally:
            await client.aclose()

    def _take(self, message: dict[str, Any] | None) -> None:
        if message is None:
            return
        if message["type"] == "message":
            self._heard(message["channel"].decode(), message["data"])
        elif message["type"] == "subscribe":
            self._hears = True
            self._gap()
