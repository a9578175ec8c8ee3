"""The queue of every backend, empty, and what tests do with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from runtime.engine import ActorSystem
from runtime.queue import QueueLimits, TaskQueue
from runtime.queue.redis_queue import RedisQueue
from runtime.queue.sqlite_queue import SqliteQueue
from runtime.redis import RedisClients
from tests.runtime.queue.hands import Hands
from tests.runtime.redis.valkey import url, valkey
from tests.servers import Server

LIMITS = QueueLimits(waiting=5_000, dead=500)


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    with valkey() as running:
        yield running


@pytest.fixture
async def redis_tasks(server: Server) -> AsyncIterator[RedisQueue]:
    clients = RedisClients(url(server))
    await clients.commands.flushall()
    queue = RedisQueue(clients, rng=Random(1), limits=LIMITS)
    yield queue
    await queue.close()


@pytest.fixture(params=["redis", "sqlite"])
async def tasks(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> AsyncIterator[TaskQueue]:
    if request.param == "redis":
        clients = RedisClients(url(server))
        await clients.commands.flushall()
        queue: TaskQueue = RedisQueue(clients, rng=Random(1), limits=LIMITS)
    else:
        queue = await SqliteQueue.open(tmp_path / "tasks.db", limits=LIMITS)
    yield queue
    await queue.close()


@pytest.fixture
def hands(tasks: TaskQueue) -> Hands:
    return Hands(tasks)


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    system = ActorSystem(rng=Random(1))
    yield system
    await system.stop()
