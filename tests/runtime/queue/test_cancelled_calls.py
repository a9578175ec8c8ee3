"""Calls that are cancelled in the middle: at any moment, on every backend, nothing is lost and nothing taken twice."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Awaitable
from random import Random

from runtime.queue import Queue, TaskQueue
from runtime.queue.task_queue import Completed, Exchange, Intake
from tests.runtime.queue.hands import ROOMS, STATUS, Hands, entry


async def interrupted(call: Awaitable[object], after_s: float) -> bool:
    """Whether the call was cancelled before it ended."""
    task = asyncio.ensure_future(call)
    await asyncio.wait([task], timeout=after_s)
    if task.done():
        await task
        return False
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def test_interrupted_intakes_can_be_repeated(tasks: TaskQueue) -> None:
    rng, hands = Random(5), Hands(tasks)
    for n in range(100):
        intake = Intake("p", n, (entry(f"{n}-a"), entry(f"{n}-b", key=f"k{n}")))
        if await interrupted(tasks.take_in(intake), rng.random() * 0.0008):
            assert await tasks.take_in(intake) == (f"{n}-a", f"{n}-b")
    claims = await hands.claim(500)
    assert sorted(one.id for one in claims) == sorted(f"{n}-{x}" for n in range(100) for x in "ab")


async def test_interrupted_exchanges_can_be_repeated(tasks: TaskQueue) -> None:
    rng, hands = Random(6), Hands(tasks)
    ids = [f"t{n}" for n in range(300)]
    await hands.put_ids(*ids)
    seen: collections.Counter[str] = collections.Counter()
    settlements: tuple[Completed, ...] = ()
    for n in range(1000):
        exchange = Exchange("w", n, settlements, 3, ROOMS)
        await interrupted(tasks.exchange(exchange), rng.random() * 0.001)
        answer = await tasks.exchange(exchange)
        assert answer.refused == ()
        seen.update(claim.id for claim in answer.claims)
        settlements = tuple(Completed(claim) for claim in answer.claims)
        if not settlements:
            break
    assert seen == collections.Counter(ids)
    assert (await tasks.depths()).counts["done"] == 300


async def test_who_gives_up_enqueueing_leaves_one_task_or_none(tasks: TaskQueue) -> None:
    rng, queue = Random(7), Queue(tasks, source="test", rng=Random(1))
    kept = []
    for n in range(200):
        call = asyncio.create_task(queue.enqueue(STATUS, task_id=f"t{n}"))
        if not await interrupted(call, rng.random() * 0.001):
            kept.append(f"t{n}")
    await queue.close()
    claimed = [claim.id for claim in await Hands(tasks).claim(500)]
    assert len(claimed) == len(set(claimed))
    assert set(kept) <= set(claimed)
