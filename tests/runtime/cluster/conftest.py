"""A server for the package, and nodes on it in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from runtime.redis import RedisClients
from tests.runtime.cluster.nodes import Nodes
from tests.runtime.redis.valkey import url, valkey
from tests.servers import Server


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    with valkey() as running:
        yield running


@pytest.fixture
async def nodes(server: Server) -> AsyncIterator[Nodes]:
    clients = RedisClients(url(server))
    await clients.commands.flushall()
    await clients.aclose()
    nodes = Nodes(url(server))
    yield nodes
    await nodes.stop()
