"""The limit: redis-py alone, in pipelines and batches, with none of a queue's promises.

enqueue: one pipeline of LPUSH for all callers at once. consume: LMPOP of as many as Parley's worker claims at once; a
task is counted, and forgotten.
"""

from __future__ import annotations

from typing import Any, Final

from redis.asyncio import Redis

from tests.bench.benches.queue.load import CALLERS, Tally
from tests.bench.benches.queue.server import url
from tests.bench.pace import on_loop, rate, scaled

TASKS: Final = 100_000
AT_ONCE: Final = 128
MESSAGE: Final = (
    b'{"id":"0123456789abcdef0123456789abcdef","type":"user.status_change","priority":"normal",'
    b'"timestamp":"2026-01-01T12:00:00.000000Z","retry_count":0,"max_retries":3,"timeout":60.0,'
    b'"visibility_timeout":30.0,"source":"bench","payload":{"user_id":7,"status":"away"}}'
)


async def _push(redis: Redis) -> int:
    pipeline = redis.pipeline(transaction=False)
    for _ in range(CALLERS):
        pipeline.lpush("bare", MESSAGE)
    await pipeline.execute()
    return CALLERS


async def _enqueue(scale: float) -> float:
    async with Redis.from_url(url(), protocol=2) as redis:
        await redis.flushall()
        return await rate(lambda: _push(redis), scale)


async def _consume(scale: float) -> float:
    count = scaled(TASKS, scale)
    async with Redis.from_url(url(), protocol=2) as redis:
        await redis.flushall()
        for _ in range(0, count, CALLERS):
            await _push(redis)
        over = False

        def end() -> None:
            nonlocal over
            over = True

        tally = Tally(count, end)
        while not over:
            popped: Any = await redis.lmpop(1, "bare", direction="RIGHT", count=AT_ONCE)
            for _ in popped[1]:
                tally()
        return tally.rate


MEASURES: Final = {
    "enqueue": lambda scale: on_loop(_enqueue(scale)),
    "consume": lambda scale: on_loop(_consume(scale)),
}
