"""The queue that the settings name: in Redis where there is a URL, else in a file of the data folder."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

from runtime.queue.limits import QueueLimits
from runtime.queue.redis_queue import RedisQueue
from runtime.queue.sqlite_queue import SqliteQueue
from runtime.queue.task_queue import TaskQueue
from runtime.redis import RedisClients

FILE: Final = "tasks.db"


async def open_queue(
    *, redis_url: str | None, data_dir: Path, prefix: str = "", limits: QueueLimits | None = None, rng: Random
) -> TaskQueue:
    """Open it. Redis need not answer yet. Raises InvalidArgument for a bad URL, Unavailable for a file out of use."""
    if redis_url:
        return RedisQueue(RedisClients(redis_url), rng=rng, prefix=prefix, limits=limits)
    return await SqliteQueue.open(data_dir / FILE, limits=limits)
