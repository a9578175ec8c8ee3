"""dramatiq as its documentation shows it: its API blocks, so one thread enqueues, and eight do the tasks."""

from __future__ import annotations

import threading
from typing import Final

from tests.bench.benches.queue import peers
from tests.bench.benches.queue.load import STATUS, USER_ID, Tally
from tests.bench.benches.queue.server import url
from tests.bench.pace import on_loop, rate, scaled

peers.use("dramatiq")

import dramatiq  # type: ignore[import-not-found]  # noqa: E402
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]  # noqa: E402

TASKS: Final = 3_000
THREADS: Final = 8
BURST: Final = 200


def _broker() -> RedisBroker:
    broker = RedisBroker(url=url())
    broker.client.flushall()
    dramatiq.set_broker(broker)
    return broker


async def _enqueue(scale: float) -> float:
    _broker()

    @dramatiq.actor(actor_name="change_status")  # type: ignore[untyped-decorator]
    def change_status(user_id: int, status: str) -> None:
        raise AssertionError("nobody works here")

    async def burst() -> int:
        for _ in range(BURST):
            change_status.send(USER_ID, STATUS)
        return BURST

    return await rate(burst, scale)


def _consume(scale: float) -> float:
    count = scaled(TASKS, scale)
    broker = _broker()
    over, lock = threading.Event(), threading.Lock()
    tally = Tally(count, over.set)

    @dramatiq.actor(actor_name="change_status")  # type: ignore[untyped-decorator]
    def change_status(user_id: int, status: str) -> None:
        with lock:
            tally()

    for _ in range(count):
        change_status.send(USER_ID, STATUS)
    worker = dramatiq.Worker(broker, worker_threads=THREADS)
    worker.start()
    over.wait()
    return tally.rate


MEASURES: Final = {
    "enqueue": lambda scale: on_loop(_enqueue(scale)),
    "consume": _consume,
}
