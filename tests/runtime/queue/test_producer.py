"""The application's side: what is accepted, what is refused and why, and what a queue that is away means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from protocols import task_message
from protocols.errors import Internal, InvalidArgument, ParleyError, ResourceExhausted, Unavailable
from protocols.tasks import UserProfileUpdate
from runtime.queue import ProducerSettings, Queue, TaskQueue
from runtime.queue.task_queue import Intake
from tests.runtime.queue.hands import NOON, STATUS, Hands


class Script:
    """Stands in for a queue: answers as told, and notes what it was asked."""

    def __init__(self, *answers: ParleyError | None, gate: asyncio.Event | None = None) -> None:
        self.answers = list(answers)
        self.asked: list[Intake] = []
        self.gate = gate

    async def take_in(self, intake: Intake) -> tuple[str | None, ...]:
        self.asked.append(intake)
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return tuple(entry.id for entry in intake.entries)


def producer(tasks: Any, **settings: int) -> Queue:
    return Queue(tasks, source="node-1", rng=Random(1), settings=ProducerSettings(**settings), now=lambda: NOON)


@pytest.fixture
async def queue(tasks: TaskQueue) -> AsyncIterator[Queue]:
    queue = producer(tasks)
    yield queue
    await queue.close()


async def test_an_accepted_task_carries_what_the_contract_says(queue: Queue) -> None:
    known = await queue.enqueue(STATUS, task_id="t-1", max_retries=5, timeout_s=1.5, visibility_timeout_s=7)
    assert (known.id, known.duplicate) == ("t-1", False)
    [claim] = await Hands(queue.tasks).claim()
    message = task_message.decode(claim.text)
    assert (message.id, message.type, message.source, message.timestamp) == (
        "t-1",
        "user.status_change",
        "node-1",
        NOON,
    )
    assert (message.max_retries, message.timeout, message.visibility_timeout) == (5, 1.5, 7)
    assert message.payload == STATUS


async def test_the_same_key_finds_the_first_task(queue: Queue) -> None:
    first = await queue.enqueue(STATUS, idempotency_key="k")
    assert await queue.enqueue(STATUS, idempotency_key="k") == type(first)(first.id, duplicate=True)


async def test_a_task_may_be_for_later(queue: Queue) -> None:
    await queue.enqueue(STATUS, delay_s=60)
    await queue.enqueue(STATUS, at=datetime.now(UTC) + timedelta(minutes=1))
    assert (await queue.tasks.depths()).delayed == 2


async def test_calls_at_once_go_in_together() -> None:
    gate = asyncio.Event()
    script = Script(gate=gate)
    queue = producer(script)
    calls = [asyncio.create_task(queue.enqueue(STATUS)) for _ in range(20)]
    await asyncio.sleep(0)
    gate.set()
    assert len({known.id for known in await asyncio.gather(*calls)}) == 20
    assert sum(len(intake.entries) for intake in script.asked) == 20
    assert len(script.asked) <= 2
    await queue.close()


async def test_a_message_over_the_limit_is_refused_with_the_limit() -> None:
    queue = producer(Script(), max_message_bytes=1000)
    with pytest.raises(InvalidArgument, match="1000"):
        await queue.enqueue(UserProfileUpdate(user_id=1, updates={"bio": "x" * 1000}))


@pytest.mark.parametrize(
    "given",
    [
        {"idempotency_key": ""},
        {"idempotency_key": "k" * 201},
        {"idempotency_key": "a\nb"},
        {"delay_s": -1.0},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001 - a naive time is what is refused
        {"task_id": "two words"},
        {"task_id": "x" * 129},
        {"timeout_s": 0.0},
        {"visibility_timeout_s": float("inf")},
        {"max_retries": -1},
    ],
)
async def test_what_no_task_has_is_refused(given: dict[str, Any]) -> None:
    script = Script()
    with pytest.raises(InvalidArgument):
        await producer(script).enqueue(STATUS, **given)
    assert script.asked == []


async def test_only_tasks_are_taken() -> None:
    with pytest.raises(TypeError, match="no task"):
        await producer(Script()).enqueue("a text")


async def test_a_queue_that_is_away_fails_a_call_fast() -> None:
    script = Script(*[Unavailable("away")] * 3)
    queue = producer(script)
    with pytest.raises(Unavailable):
        await queue.enqueue(STATUS)
    assert len(script.asked) == 2
    assert script.asked[0] == script.asked[1]
    await queue.close()


async def test_a_call_may_wait_until_the_queue_is_back_and_is_repeated_as_it_was() -> None:
    script = Script(*[Unavailable("away")] * 4)
    queue = producer(script)
    known = await queue.enqueue(STATUS, wait_s=30)
    assert {intake.entries[0].id for intake in script.asked} == {known.id}
    assert {intake.number for intake in script.asked} == {1}
    await queue.close()


async def test_who_waits_does_not_hold_up_who_does_not() -> None:
    script = Script(*[Unavailable("away")] * 1000)
    queue = producer(script)
    patient = asyncio.create_task(queue.enqueue(STATUS, wait_s=3600))
    await asyncio.sleep(0.05)
    with pytest.raises(Unavailable):
        await queue.enqueue(STATUS)
    assert not patient.done()
    script.answers.clear()
    await patient
    await queue.close()


async def test_a_refusal_reaches_all_that_it_concerns_and_no_more() -> None:
    queue = producer(Script(Internal("a defect")))
    with pytest.raises(Internal):
        await queue.enqueue(STATUS)
    await queue.enqueue(STATUS)
    await queue.close()


async def test_a_call_given_up_before_it_was_sent_is_not_sent() -> None:
    gate = asyncio.Event()
    script = Script(gate=gate)
    queue = producer(script)
    calls: Sequence[asyncio.Task[Any]] = [asyncio.create_task(queue.enqueue(STATUS, task_id=f"t{n}")) for n in range(1)]
    await asyncio.sleep(0.01)
    late = asyncio.create_task(queue.enqueue(STATUS, task_id="late"))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait([late])
    gate.set()
    await asyncio.gather(*calls)
    await queue.close()
    assert [entry.id for intake in script.asked for entry in intake.entries] == ["t0"]


async def test_calls_are_bounded() -> None:
    gate = asyncio.Event()
    queue = producer(Script(gate=gate), max_waiting=3)
    calls = [asyncio.create_task(queue.enqueue(STATUS)) for _ in range(10)]
    await asyncio.sleep(0.01)
    gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(one, ResourceExhausted) for one in results) >= 6
    await queue.close()


async def test_a_closed_queue_takes_nothing() -> None:
    queue = producer(Script())
    await queue.close()
    with pytest.raises(Unavailable, match="closed"):
        await queue.enqueue(STATUS)
