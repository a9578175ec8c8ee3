"""saq as its documentation shows it, with many jobs at once; results are kept for a second only."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from tests.bench.benches.queue import peers
from tests.bench.benches.queue.load import STATUS, USER_ID, Tally, enqueue_rate, fill
from tests.bench.benches.queue.server import url
from tests.bench.pace import on_loop, scaled

peers.use("saq")

from redis.asyncio import Redis  # noqa: E402 - the one of saq's folder
from saq import Queue, Worker  # type: ignore[import-not-found]  # noqa: E402

TASKS: Final = 3_000
CONCURRENCY: Final = 256


async def _queue() -> Queue:
    async with Redis.from_url(url()) as redis:
        await redis.flushall()
    queue = Queue.from_url(url())
    await queue.connect()
    return queue


async def _put(queue: Queue) -> None:
    await queue.enqueue("change_status", user_id=USER_ID, presence=STATUS, ttl=1)


async def _enqueue(scale: float) -> float:
    queue = await _queue()
    return await enqueue_rate(lambda: _put(queue), scale)


async def _consume(scale: float) -> float:
    count = scaled(TASKS, scale)
    queue = await _queue()
    await fill(lambda: _put(queue), count)
    over = asyncio.Event()
    tally = Tally(count, over.set)

    async def change_status(context: Any, *, user_id: int, presence: str) -> None:
        tally()

    worker = Worker(queue, functions=[("change_status", change_status)], concurrency=CONCURRENCY)
    running = asyncio.create_task(worker.start())
    await over.wait()
    running.cancel()
    return tally.rate


MEASURES: Final = {
    "enqueue": lambda scale: on_loop(_enqueue(scale)),
    "consume": lambda scale: on_loop(_consume(scale)),
}
