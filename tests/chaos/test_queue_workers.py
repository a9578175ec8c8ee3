"""Workers are killed in the middle of their tasks: none is lost, and what was not running is run once."""

from __future__ import annotations

import collections
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from protocols.tasks import UserStatusChange
from runtime.queue import Queue
from runtime.queue.redis_queue import RedisQueue
from runtime.redis import RedisClients
from tests.chaos.queue_worker import CONCURRENCY
from tests.runtime.queue.hands import Hands, until
from tests.runtime.redis.valkey import url, valkey
from tests.servers import Server, logged

TASKS = 1_000
KILLS = 20
LEASE_S = 1.0

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with valkey() as running:
        yield running


def worker(server: Server, journal: Path, name: str) -> Server:
    command = [sys.executable, "-m", "tests.chaos.queue_worker", url(server), str(journal)]
    return Server(name, command, ready=logged("ready"), ports=(), folder=journal.parent / name)


class Journal:
    """What the handlers noted, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def counts(self, word: str) -> collections.Counter[str]:
        text = self.path.read_text() if self.path.exists() else ""
        # The last line may be cut short: its writer was killed.
        return collections.Counter(line.split()[1] for line in text.splitlines() if line.startswith(f"{word} "))


async def test_twenty_kills_in_the_middle_of_a_thousand_tasks_lose_none(server: Server, tmp_path: Path) -> None:
    journal, rng = Journal(tmp_path / "journal"), Random(4)
    tasks = RedisQueue(RedisClients(url(server)), rng=rng)
    queue, hands = Queue(tasks, source="test", rng=rng), Hands(tasks)
    ids = [
        (
            await queue.enqueue(
                UserStatusChange(user_id=n, status="x"), visibility_timeout_s=LEASE_S, max_retries=KILLS
            )
        ).id
        for n in range(TASKS)
    ]

    async def done_more_than(number: int) -> bool:
        return (await tasks.depths()).counts.get("done", 0) > number

    for kill in range(KILLS):
        victim = worker(server, journal.path, f"worker-{kill}")
        victim.start()
        done = (await tasks.depths()).counts.get("done", 0)
        share = (TASKS - 100) * (kill + 1) // KILLS
        target = max(done, share - rng.randrange(20))
        await until(partial(done_more_than, target), 30)
        victim.kill()

    killed_at = time.monotonic()
    assert (await tasks.depths()).processing > 0

    async def all_back() -> bool:
        await hands.exchange()
        return (await tasks.depths()).processing == 0

    await until(all_back, LEASE_S + 1.0)
    back_after_s = time.monotonic() - killed_at
    last = worker(server, journal.path, "worker-last")
    last.start()
    await until(lambda: done_more_than(TASKS - 1), 30)
    last.kill()
    depths = await tasks.depths()
    assert (depths.processing, depths.dead, sum(depths.waiting.values())) == (0, 0, 0)
    starts, ends = journal.counts("start"), journal.counts("end")
    assert set(ends) == set(ids), f"back after {back_after_s:.2f} s"
    assert starts.total() - TASKS <= KILLS * CONCURRENCY
    assert starts.total() - TASKS <= depths.counts["reaped"]
    await queue.close()
    await tasks.close()
