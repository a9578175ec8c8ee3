"""A Redis for the tests of this package, emptied before each that uses it, and the places that keep one contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtime.redis import RedisClients
from tests.runtime.redis.valkey import url, valkey
from tests.runtime.topics.places import Place
from tests.servers import Server


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    with valkey() as running:
        yield running


@pytest.fixture
async def redis(server: Server) -> AsyncIterator[RedisClients]:
    """Clients of an empty Redis, for what a stranger or an operator would do there."""
    clients = RedisClients(url(server))
    await clients.commands.flushall()
    await clients.commands.script_flush()
    yield clients
    await clients.aclose()


@pytest.fixture
def redis_url(server: Server, redis: RedisClients) -> str:
    return url(server)


@pytest.fixture(params=["embedded", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Place:
    return Place(request.param, tmp_path, redis_url)
