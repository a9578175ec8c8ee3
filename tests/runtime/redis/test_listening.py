"""A subscription that outlives its connection, and says where it has a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from runtime.redis import Listener, RedisClients
from tests.runtime.redis.valkey import url, valkey
from tests.servers import Server


class Ears:
    """Notes what is heard."""

    def __init__(self, clients: RedisClients) -> None:
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.gaps: asyncio.Queue[None] = asyncio.Queue()
        self.listener = Listener(
            clients,
            ["one", "two"],
            lambda *it: self.heard.put_nowait(it),
            lambda: self.gaps.put_nowait(None),
            Random(1),
        )


@pytest.fixture
async def fragile() -> AsyncIterator[Server]:
    async with valkey() as running:
        yield running


async def test_it_connects_again_and_says_that_there_was_a_gap(fragile: Server) -> None:
    clients = RedisClients(url(fragile))
    ears = Ears(clients)
    listening = asyncio.create_task(ears.listener.run())
    async with asyncio.timeout(20):
        for _ in range(3):
            for _ in ears.listener._channels:
                await ears.gaps.get()
            await clients.commands.publish("two", "news")
            assert await ears.heard.get() == ("two", b"news")
            fragile.kill()
            await asyncio.to_thread(fragile.start)
    listening.cancel()
    await asyncio.wait([listening])
    await clients.aclose()


async def test_a_server_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    server = valkey(folder=tmp_path)
    clients = RedisClients(url(server))
    ears = Ears(clients)
    listening = asyncio.create_task(ears.listener.run())
    await asyncio.sleep(0.1)
    async with server, asyncio.timeout(20):
        await ears.gaps.get()
        listening.cancel()
        await asyncio.wait([listening])
        await clients.aclose()
