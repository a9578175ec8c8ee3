"""arq as its documentation shows it, with many jobs at once and no pause between its polls; results are not kept."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from tests.bench.benches.queue import peers
from tests.bench.benches.queue.load import STATUS, USER_ID, Tally, enqueue_rate, fill
from tests.bench.benches.queue.server import url
from tests.bench.pace import on_loop, scaled

peers.use("arq")

from arq.connections import ArqRedis, RedisSettings, create_pool  # type: ignore[import-not-found]  # noqa: E402
from arq.worker import Worker, func  # type: ignore[import-not-found]  # noqa: E402

TASKS: Final = 3_000
CONCURRENCY: Final = 256


async def _pool() -> ArqRedis:
    pool = await create_pool(RedisSettings.from_dsn(url()))
    await pool.flushall()
    return pool


async def _enqueue(scale: float) -> float:
    pool = await _pool()
    return await enqueue_rate(lambda: pool.enqueue_job("change_status", USER_ID, STATUS), scale)


async def _consume(scale: float) -> float:
    count = scaled(TASKS, scale)
    pool = await _pool()
    await fill(lambda: pool.enqueue_job("change_status", USER_ID, STATUS), count)
    over = asyncio.Event()
    tally = Tally(count, over.set)

    async def change_status(context: dict[str, Any], user_id: int, status: str) -> None:
        tally()

    worker = Worker(
        functions=[func(change_status, name="change_status", keep_result=0)],
        redis_pool=pool,
        max_jobs=CONCURRENCY,
        poll_delay=0.001,
        handle_signals=False,
    )
    running = asyncio.create_task(worker.async_run())
    await over.wait()
    running.cancel()
    return tally.rate


MEASURES: Final = {
    "enqueue": lambda scale: on_loop(_enqueue(scale)),
    "consume": lambda scale: on_loop(_consume(scale)),
}
