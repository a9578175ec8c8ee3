"""A process with one queue worker, for tests that kill it: `python -m tests.chaos.queue_worker URL JOURNAL`.

Its handler notes `start ID` and `end ID` in the journal, a line each.
"""

from __future__ import annotations

import asyncio
import os
import sys
from random import Random

import uvloop

from protocols.tasks import UserStatusChange
from runtime.engine import ActorSystem
from runtime.queue import Handlers, QueueWorker, TaskContext, WorkerSettings
from runtime.queue.redis_queue import RedisQueue
from runtime.redis import RedisClients

CONCURRENCY = 16


async def main(url: str, journal: str) -> None:
    lines = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        os.write(lines, f"start {context.message.id}\n".encode())
        await asyncio.sleep(0.01)
        os.write(lines, f"end {context.message.id}\n".encode())

    handlers = Handlers()
    handlers.add(UserStatusChange, status, concurrency=CONCURRENCY)
    settings = WorkerSettings(concurrency=CONCURRENCY, heartbeat_s=0.2, poll_s=0.2)
    tasks = RedisQueue(RedisClients(url), rng=Random())
    ActorSystem().spawn(QueueWorker, tasks, handlers, settings, options=settings.options)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
