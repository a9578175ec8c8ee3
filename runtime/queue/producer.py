"""The application's side of a queue: put tasks in, look them up, cancel them, care for the dead ones.

Calls that come while one is under way go into the next one together. A call whose reply was lost is sent again as it
was, and the queue takes nothing in twice.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from random import Random
from typing import Final

from protocols import task_message
from protocols.errors import FieldFault, InvalidArgument, ParleyError, ResourceExhausted, Unavailable
from protocols.task_message import Priority
from runtime.engine import Backoff
from runtime.queue.task_queue import Entry, Intake, TaskQueue

AT_ONCE: Final = 250
KEY_CHARACTERS: Final = 200
RETRY_AFTER_S: Final = 1.0
AWAY: Final = Backoff(min_s=0.05, max_s=1.0)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """`id`: under which the task is known; that of an earlier task with the same idempotency key if `duplicate`."""

    id: str
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """`max_message_bytes`: of one message, payload included. `max_waiting`: calls that may wait at once."""

    max_message_bytes: int = 2 << 20
    max_waiting: int = 10_000


class _Call:
    __slots__ = ("done", "entry", "until")

    def __init__(self, entry: Entry, until: float, done: asyncio.Future[str | None]) -> None:
        self.entry = entry
        self.until = until
        self.done = done


class Queue:
    """One for each process, over any `tasks`, which it does not own. Close it with `close`."""

    def __init__(
        self,
        tasks: TaskQueue,
        *,
        source: str,
        rng: Random,
        settings: ProducerSettings | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self.tasks: Final = tasks
        self._source = source
        self._rng = rng
        self._settings = settings or ProducerSettings()
        self._now = now
        self._new_id = new_id
        self._caller = new_id()
        self._numbers = count(1)
        self._waiting: list[_Call] = []
        self._sender: asyncio.Task[None] | None = None
        self._closed = False

    async def enqueue(
        self,
        payload: object,
        *,
        idempotency_key: str | None = None,
        delay_s: float = 0.0,
        at: datetime | None = None,
        priority: Priority | None = None,
        max_retries: int | None = None,
        timeout_s: float | None = None,
        visibility_timeout_s: float | None = None,
        task_id: str | None = None,
        wait_s: float = 0.0,
    ) -> Enqueued:
        """Accept a task: from here on it is not lost. To be done after `delay_s` seconds, or `at` a time, or now.

        While the queue is away this tries for `wait_s` seconds, then raises Unavailable, which leaves open whether the
        task was accepted; the same call with the same `task_id` or `idempotency_key` accepts it once. Raises
        ResourceExhausted when the queue is full, InvalidArgument for what it does not take.
        """
        message = task_message.message(
            payload,
            id=task_id or self._new_id(),
            timestamp=self._now(),
            source=self._source,
            priority=priority,
            max_retries=max_retries,
            timeout_s=timeout_s,
            visibility_timeout_s=visibility_timeout_s,
        )
        text = task_message.encode(message)
        self._check(text, idempotency_key, delay_s, at)
        entry = Entry(message.id, message.priority, text, delay_s, at, idempotency_key or "")
        known_as = await self._send(entry, wait_s)
        if known_as is None:
            raise ResourceExhausted(f"{message.priority.queue} is full: try later", retry_after_s=RETRY_AFTER_S)
        return Enqueued(known_as, duplicate=known_as != message.id)

    async def close(self) -> None:
        """Wait for what is under way. Later calls raise Unavailable."""
        self._closed = True
        if self._sender is not None:
            await asyncio.wait([self._sender])

    def _check(self, text: bytes, key: str | None, delay_s: float, at: datetime | None) -> None:
        limit = self._settings.max_message_bytes
        if len(text) > limit:
            raise InvalidArgument(
                f"the task has {len(text)} bytes, the limit is {limit}: store what is large and send its key",
                faults=[FieldFault("payload", f"is over the limit of {limit} bytes")],
            )
        if key is not None and not (0 < len(key) <= KEY_CHARACTERS and key.isprintable()):
            raise InvalidArgument(f"an idempotency key has 1 to {KEY_CHARACTERS} printable characters")
        if delay_s < 0 or (at is not None and at.tzinfo is None):
            raise InvalidArgument("delay_s is 0 or more, and `at` has a time zone")

    async def _send(self, entry: Entry, wait_s: float) -> str | None:
        if self._closed:
            raise Unavailable("the queue is closed")
        if len(self._waiting) >= self._settings.max_waiting:
            raise ResourceExhausted("too many calls wait for the task queue", retry_after_s=RETRY_AFTER_S)
        loop = asyncio.get_running_loop()
        call = _Call(entry, loop.time() + wait_s, loop.create_future())
        self._waiting.append(call)
        if self._sender is None or self._sender.done():
            self._sender = loop.create_task(self._send_all())
        return await call.done

    async def _send_all(self) -> None:
        calls: list[_Call] = []
        try:
            while self._waiting:
                # Who has given up before anything was sent is left out.
                calls = [call for call in self._waiting[:AT_ONCE] if not call.done.done()]
                del self._waiting[:AT_ONCE]
                if calls:
                    await self._send_batch(calls)
        finally:
            # Only a cancellation, or a defect, leaves anybody behind.
            for call in (*calls, *self._waiting):
                call.done.cancel()
            self._waiting.clear()

    async def _send_batch(self, calls: list[_Call]) -> None:
        intake = Intake(self._caller, next(self._numbers), tuple(call.entry for call in calls))
        attempts = 0
        while any(not call.done.done() for call in calls):
            try:
                answers = await self.tasks.take_in(intake)
            except Unavailable as error:
                attempts += 1
                # A connection that died unseen costs one attempt and says nothing of the server: try a second time.
                if attempts > 1:
                    _fail([*calls, *self._waiting], error, asyncio.get_running_loop().time())
                    await asyncio.sleep(AWAY.delay_s(attempts - 1, self._rng))
            except ParleyError as error:
                _fail(calls, error)
            else:
                for call, answer in zip(calls, answers, strict=True):
                    if not call.done.done():
                        call.done.set_result(answer)


def _fail(calls: list[_Call], error: ParleyError, now: float | None = None) -> None:
    """Fail the calls, or those whose time is up."""
    for call in calls:
        if not call.done.done() and (now is None or call.until <= now):
            call.done.set_exception(error)
