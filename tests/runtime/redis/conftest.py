"""A server for all tests of this package, emptied before each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from runtime.redis import RedisClients
from tests.runtime.redis.valkey import url, valkey
from tests.servers import Server


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    with valkey() as running:
        yield running


@pytest.fixture
async def clients(server: Server) -> AsyncIterator[RedisClients]:
    clients = RedisClients(url(server))
    await clients.commands.flushall()
    yield clients
    await clients.aclose()
