"""Parley as an application uses it: a Queue, and one supervised QueueWorker with its defaults, leases on."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final

from protocols.tasks import UserStatusChange
from runtime.engine import ActorSystem
from runtime.queue import Handlers, Queue, QueueWorker, TaskContext, WorkerSettings
from runtime.queue.redis_queue import RedisQueue
from runtime.redis import RedisClients
from tests.bench.benches.queue.load import STATUS, USER_ID, Tally, enqueue_rate, fill
from tests.bench.benches.queue.server import url
from tests.bench.pace import on_loop, scaled

TASKS: Final = 30_000


async def _emptied() -> RedisQueue:
    clients = RedisClients(url())
    await clients.commands.flushall()
    return RedisQueue(clients, rng=Random())


def _task() -> UserStatusChange:
    return UserStatusChange(user_id=USER_ID, status=STATUS)


async def _enqueue(scale: float) -> float:
    tasks = await _emptied()
    queue = Queue(tasks, source="bench", rng=Random())
    try:
        return await enqueue_rate(lambda: queue.enqueue(_task()), scale)
    finally:
        await queue.close()
        await tasks.close()


async def _consume(scale: float) -> float:
    count = scaled(TASKS, scale)
    tasks = await _emptied()
    queue = Queue(tasks, source="bench", rng=Random())
    await fill(lambda: queue.enqueue(_task()), count)
    over = asyncio.Event()
    tally = Tally(count, over.set)

    async def handle(task: UserStatusChange, context: TaskContext) -> None:
        tally()

    handlers, settings = Handlers(), WorkerSettings()
    handlers.add(UserStatusChange, handle, concurrency=settings.concurrency)
    system = ActorSystem()
    try:
        system.spawn(QueueWorker, tasks, handlers, settings, options=settings.options)
        await over.wait()
    finally:
        await system.stop()
        await queue.close()
        await tasks.close()
    return tally.rate


MEASURES: Final = {
    "enqueue": lambda scale: on_loop(_enqueue(scale)),
    "consume": lambda scale: on_loop(_consume(scale)),
}
