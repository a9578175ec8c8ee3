"""Inboxes in Redis: a list for each node, read in batches through a processing list, and a bell that ends a wait.

The bell is a list of its own with at most one entry, waited for on a connection of its own: a wait that is cut off
loses nothing but a ring, and the inbox is looked into every `LISTEN_S` anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from redis import asyncio as waiting

from protocols.errors import ParleyError
from runtime.cluster import redis_scripts as scripts
from runtime.cluster.patience import within
from runtime.redis import RedisClients, translated
from runtime.redis.clients import AsyncClient

LISTEN_S: Final = 1
KEEP_MS: Final = 600_000
"""How long the inbox of a node outlives the last parcel that was put into it."""

BATCH: Final = 256
HANG_UP_S: Final = 0.5


class RedisTransport:
    """A node's way to the others through the Redis of `clients`."""

    def __init__(
        self, clients: RedisClients, prefix: str = "parley", *, inbox_parcels: int = 20_000, call_timeout_s: float = 2.0
    ) -> None:
        self._clients = clients
        self._prefix = prefix
        self._limit = inbox_parcels
        self._call_timeout_s = call_timeout_s
        self._listener: waiting.Redis | None = None
        self._inbox = self._bell = self._processing = ""
        self._done = -1

    async def open(self, node: str) -> None:
        """Begin to be this node, and be no other any more."""
        await self._drop()
        self._done = -1
        self._inbox, self._bell, self._processing = (
            self._key(node, "inbox"),
            self._key(node, "bell"),
            self._key(node, "processing"),
        )

    async def send(self, parcels: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Put parcels into inboxes; those for different nodes travel side by side."""
        if len(parcels) == 1:
            return [await self._send(*parcels[0])]
        sending = (self._send(node, parcel) for node, parcel in parcels)
        outcomes = await asyncio.gather(*sending, return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if len(failed) == len(outcomes):
            raise failed[0]
        # In a Redis cluster a part may be away: what goes there is sent again like what found its inbox full.
        return [outcome is True for outcome in outcomes]

    async def receive(self) -> list[bytes]:
        """Acknowledge the last batch and wait for the next."""
        while True:
            if 0 <= self._done < BATCH:
                # It was all there was. What came since has rung, or finds the bell rung: no look is needed before.
                await self._listen()
            done, self._done = self._done, -1
            claim = scripts.CLAIM.run(self._clients.commands, (self._inbox, self._processing), (done, BATCH))
            batch: list[bytes] = await within(self._call_timeout_s, claim)
            self._done = len(batch)
            if batch:
                return batch

    async def close(self) -> None:
        """Drop the inbox."""
        await self._hang_up()
        await self._drop()

    async def _drop(self) -> None:
        if self._inbox:
            with translated():
                keys = (self._inbox, self._bell, self._processing)
                await within(self._call_timeout_s, self._clients.commands.delete(*keys))

    async def _send(self, node: str, parcel: bytes) -> bool:
        keys = (self._key(node, "inbox"), self._key(node, "bell"))
        call = scripts.SEND.run(self._clients.commands, keys, (self._limit, KEEP_MS, parcel))
        return bool(await within(self._call_timeout_s, call))

    async def _listen(self) -> None:
        try:
            client: AsyncClient = self._clients.commands
            if not self._clients.is_cluster:  # whose client finds the server of the key, and has connections enough
                if self._listener is None:
                    self._listener = await self._clients.listening()
                client = self._listener
            with translated():
                await within(LISTEN_S + self._call_timeout_s, client.blpop([self._bell], LISTEN_S))
        except BaseException:
            await self._hang_up()
            raise

    async def _hang_up(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(ParleyError), translated():
                # A connection may be as hard to close as it was to hear from.
                await within(HANG_UP_S, listener.aclose())

    def _key(self, node: str, what: str) -> str:
        return f"{{{self._prefix}:{node}}}:{what}"
