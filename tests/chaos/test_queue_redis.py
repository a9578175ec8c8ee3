"""Redis is killed, stopped, or turned into a replica under a working queue: every actor lives and no task is lost."""

from __future__ import annotations

import asyncio
import collections
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest

from protocols.errors import Unavailable
from protocols.tasks import UserStatusChange
from runtime.engine import ActorSystem, Backoff, Ref
from runtime.queue import Handlers, Queue, QueueWorker, TaskContext, WorkerSettings
from runtime.queue.redis_queue import RedisQueue
from runtime.redis import RedisClients, RedisSettings
from tests.runtime.queue.hands import until
from tests.runtime.redis.valkey import DURABLE, url, valkey
from tests.servers import Server

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

SETTINGS = WorkerSettings(
    concurrency=32, batch=16, poll_s=0.1, heartbeat_s=0.2, away=Backoff(min_s=0.02, max_s=0.2), drain_s=5.0
)


class Working:
    """A worker, and a producer that goes on all the time. `accepted` and `runs` are by id."""

    def __init__(self, system: ActorSystem, tasks: RedisQueue, queue: Queue) -> None:
        self.system = system
        self.tasks = tasks
        self.queue = queue
        self.accepted: set[str] = set()
        self.refused = 0
        self.runs: collections.Counter[str] = collections.Counter()
        handlers = Handlers()
        handlers.add(UserStatusChange, self.status)
        self.worker: Ref = system.spawn(QueueWorker, tasks, handlers, SETTINGS, options=SETTINGS.options)

    async def status(self, task: UserStatusChange, context: TaskContext) -> None:
        self.runs[context.message.id] += 1
        await asyncio.sleep(0.005)

    async def produce(self, wait_s: float) -> None:
        while True:
            try:
                known = await self.queue.enqueue(UserStatusChange(user_id=1, status="x"), wait_s=wait_s)
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.01)
            else:
                self.accepted.add(known.id)
            await asyncio.sleep(0.001)

    async def grows(self, by: int) -> None:
        """Wait until so many more tasks were run."""
        goal = self.runs.total() + by

        async def grown() -> bool:
            return self.runs.total() >= goal

        await until(grown, 30)

    async def all_run(self) -> None:
        async def run() -> bool:
            return self.accepted <= set(self.runs)

        await until(run, 30)
        assert self.system.statistics_of(self.worker).restarts == 0


@asynccontextmanager
async def working(server: Server, wait_s: float, reply_timeout_s: float = 5.0) -> AsyncIterator[Working]:
    system = ActorSystem(rng=Random(1))
    tasks = RedisQueue(RedisClients(url(server), RedisSettings(reply_timeout_s=reply_timeout_s)), rng=Random(1))
    queue = Queue(tasks, source="test", rng=Random(2))
    work = Working(system, tasks, queue)
    producers = [asyncio.create_task(work.produce(wait_s)) for _ in range(4)]
    try:
        await work.grows(50)
        yield work
        await work.grows(50)
        for producer in producers:
            producer.cancel()
        await asyncio.wait(producers)
        await work.all_run()
    finally:
        for producer in producers:
            producer.cancel()
        await asyncio.wait(producers)
        await queue.close()
        await system.stop()
        await tasks.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with valkey(*DURABLE) as running:
        yield running


async def test_redis_is_killed_and_comes_back(server: Server) -> None:
    async with working(server, wait_s=60) as work:
        for _ in range(3):
            server.kill()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(server.start)
            await work.grows(50)
        assert work.refused == 0


async def test_while_redis_is_away_calls_fail_fast_and_afterwards_all_goes_on(server: Server) -> None:
    async with working(server, wait_s=0) as work:
        server.kill()

        async def refused() -> bool:
            return work.refused > 5

        await until(refused)
        await asyncio.to_thread(server.start)


async def test_a_stall_runs_nothing_twice(server: Server) -> None:
    async with working(server, wait_s=60, reply_timeout_s=0.2) as work:
        for _ in range(2):
            os.kill(server.pid, signal.SIGSTOP)
            await asyncio.sleep(0.5)  # calls time out meanwhile, and are repeated
            os.kill(server.pid, signal.SIGCONT)
            await work.grows(50)
    assert set(work.runs.values()) == {1}


@pytest.mark.parametrize("trouble", ["READONLY", "NOSCRIPT", "CLIENT KILL", "OOM"])
async def test_what_a_server_may_answer_ends_nothing(server: Server, trouble: str) -> None:
    clients = RedisClients(url(server))
    command = clients.commands.execute_command
    steps: dict[str, tuple[Callable[[], Awaitable[object]], Callable[[], Awaitable[object]]]] = {
        "READONLY": (lambda: command("REPLICAOF", "127.0.0.1", "1"), lambda: command("REPLICAOF", "NO", "ONE")),
        "NOSCRIPT": (lambda: command("SCRIPT", "FLUSH"), lambda: command("SCRIPT", "FLUSH")),
        "CLIENT KILL": (
            lambda: command("CLIENT", "KILL", "TYPE", "normal"),
            lambda: command("CLIENT", "KILL", "TYPE", "pubsub"),
        ),
        "OOM": (lambda: command("CONFIG", "SET", "maxmemory", "1"), lambda: command("CONFIG", "SET", "maxmemory", "0")),
    }
    begin, end = steps[trouble]
    try:
        async with working(server, wait_s=60) as work:
            await begin()
            await asyncio.sleep(0.3)
            await end()
            await work.grows(50)
    finally:
        await clients.aclose()
