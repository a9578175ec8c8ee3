"""taskiq with its fastest Redis broker, a plain list: a task is taken out before it is done, and a crash loses it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from tests.bench.benches.queue import peers
from tests.bench.benches.queue.load import STATUS, USER_ID, Tally, enqueue_rate, fill
from tests.bench.benches.queue.server import url
from tests.bench.pace import on_loop, scaled

peers.use("taskiq")

from redis.asyncio import Redis  # noqa: E402 - the one of taskiq's folder
from taskiq.receiver import Receiver  # type: ignore[import-not-found]  # noqa: E402
from taskiq_redis import ListQueueBroker  # type: ignore[import-not-found]  # noqa: E402

TASKS: Final = 3_000
CONCURRENCY: Final = 256


async def _broker() -> ListQueueBroker:
    async with Redis.from_url(url()) as redis:
        await redis.flushall()
    broker = ListQueueBroker(url(), max_connection_pool_size=100)
    await broker.startup()
    return broker


async def _enqueue(scale: float) -> float:
    broker = await _broker()

    @broker.task(task_name="change_status")  # type: ignore[untyped-decorator]
    async def change_status(user_id: int, status: str) -> None:
        raise AssertionError("nobody works here")

    return await enqueue_rate(lambda: change_status.kiq(USER_ID, STATUS), scale)


async def _consume(scale: float) -> float:
    count = scaled(TASKS, scale)
    broker = await _broker()
    over = asyncio.Event()
    tally = Tally(count, over.set)

    @broker.task(task_name="change_status")  # type: ignore[untyped-decorator]
    async def change_status(user_id: int, status: str) -> None:
        tally()

    await fill(lambda: change_status.kiq(USER_ID, STATUS), count)
    receiver = Receiver(broker, ThreadPoolExecutor(1), max_async_tasks=CONCURRENCY, max_prefetch=CONCURRENCY)
    finish = asyncio.Event()
    running = asyncio.create_task(receiver.listen(finish))
    await over.wait()
    finish.set()
    running.cancel()
    return tally.rate


MEASURES: Final = {
    "enqueue": lambda scale: on_loop(_enqueue(scale)),
    "consume": lambda scale: on_loop(_consume(scale)),
}
