"""The one writer of a node's events: whatever is published while a batch is on its way goes into the next one together.

So events of one node keep their order, and many publishers share a round trip. A publish ends within
`publish_timeout_s`: taken in, or with an error. A batch whose answer was lost is sent once more if time allows; the
script knows by `message_id` what it has taken in before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from protocols.errors import Internal, ParleyError, ResourceExhausted, Unavailable
from protocols.events import Topic
from runtime.topics.journal_file import GroupName
from runtime.topics.redis_calls import PUBLISH, RETRY_AFTER_S, RedisCalls, ms

log: Final = structlog.get_logger("parley.topics")

BATCH_EVENTS: Final = 256
BATCH_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Item:
    """An event to take in, sent before `last_call` or not at all. `done` None: a stranger's, for which nobody waits."""

    topic: Topic
    message_id: str
    envelope: bytes
    last_call: float
    done: asyncio.Future[None] | None


class RedisPublisher:
    """`depths` is told how deep the groups are that an event went to."""

    def __init__(self, calls: RedisCalls, depths: Callable[[GroupName, int], None]) -> None:
        self._calls = calls
        self._settings = calls.settings
        self._tell_depth = depths
        self._waiting: deque[_Item] = deque()
        self._unsaved: dict[GroupName, None] = {}
        self._wake = asyncio.Event()
        self._closed = False
        # Half for waiting, half for the call itself.
        self._half_s = calls.settings.publish_timeout_s / 2
        self._task = asyncio.create_task(self._write(), name="topics publisher")

    async def publish(self, topic: Topic, message_id: str, envelope: bytes) -> None:
        """Take an event in. Raises ResourceExhausted, or Unavailable, which leaves open whether it was.

        A caller that is cancelled does not take the event back.
        """
        if len(self._waiting) >= self._settings.publish_queue:
            limit = self._settings.publish_queue
            raise ResourceExhausted(f"{limit} events of this node wait to be published", retry_after_s=RETRY_AFTER_S)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(topic, message_id, envelope, done)
        await done

    def adopt(self, topic: Topic, message_id: str, envelope: bytes) -> bool:
        """Keep for durable groups what a stranger has published. Not done where too much waits."""
        if self._closed or len(self._waiting) >= self._settings.publish_queue:
            return False
        self._put(topic, message_id, envelope, None)
        return True

    def admit(self, group: GroupName) -> None:
        """Keep the events of a group that are published after this. Raises Unavailable when closed."""
        self._check_open()
        self._unsaved[group] = None
        self._wake.set()

    def forget(self, group: GroupName) -> None:
        """Admit it no more."""
        self._unsaved.pop(group, None)

    async def close(self) -> None:
        """Send what was published before. May be called twice."""
        self._closed = True
        self._wake.set()
        # Not awaited itself: whoever gives up waiting must not cancel the writer.
        await asyncio.wait({self._task})

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("topics are closed on this node")

    def _put(self, topic: Topic, message_id: str, envelope: bytes, done: asyncio.Future[None] | None) -> None:
        self._check_open()
        last_call = asyncio.get_running_loop().time() + self._half_s
        self._waiting.append(_Item(topic, message_id, envelope, last_call, done))
        self._wake.set()

    async def _write(self) -> None:
        try:
            while self._waiting or not self._closed:
                self._wake.clear()
                if not self._waiting and not self._unsaved:
                    await self._wake.wait()
                batch = self._take()
                if batch or self._unsaved:
                    await self._send(batch)
        finally:
            self._closed = True
            self._fail(self._waiting, Unavailable("topics are closed on this node"))

    def _take(self) -> list[_Item]:
        batch: list[_Item] = []
        size = 0
        now = asyncio.get_running_loop().time()
        while self._waiting and len(batch) < BATCH_EVENTS and size < BATCH_BYTES:
            item = self._waiting.popleft()
            if item.last_call < now:
                self._fail(
                    [item], Unavailable("Redis is too slow: the event was not sent", retry_after_s=RETRY_AFTER_S)
                )
            else:
                batch.append(item)
                size += len(item.envelope)
        return batch

    async def _send(self, batch: Sequence[_Item]) -> None:
        groups, self._unsaved = self._unsaved, {}
        error: ParleyError
        try:
            await self._call(groups, batch)
        except ParleyError as raised:
            error = raised
        except Exception as defect:
            log.exception("events not published", events=len(batch))
            error = Internal(f"the events could not be published: {type(defect).__name__}")
        else:
            return
        self._unsaved = {**groups, **self._unsaved}
        self._fail(batch, error)
        # What came meanwhile was not sent. It need not find out for itself that nobody is there.
        self._fail(self._waiting, error)
        self._waiting.clear()
        if not batch and not self._closed:
            # Groups alone: they go along with the next event, or are seen to at the next claim.
            await self._wake.wait()

    async def _call(self, groups: dict[GroupName, None], batch: Sequence[_Item]) -> None:
        arguments: list[str | bytes | int] = [self._settings.limit, ms(self._settings.remembered_s), len(groups)]
        for group in groups:
            arguments += (group.topic, group.name)
        for item in batch:
            arguments += ("a" if item.done is None else "p", item.topic.value, item.message_id, item.envelope)
        ends_at = asyncio.get_running_loop().time() + self._half_s
        try:
            verdicts, depths = await self._calls.run(PUBLISH, *arguments, within_s=self._half_s)
        except Unavailable:
            left_s = ends_at - asyncio.get_running_loop().time()
            if left_s <= self._half_s / 2:
                raise
            # Refused or cut off at once, as by a server that has just come back.
            verdicts, depths = await self._calls.run(PUBLISH, *arguments, within_s=left_s)
        for place in range(0, len(depths), 2):
            topic, _, name = depths[place].decode().partition("/")
            self._tell_depth(GroupName(topic, name), depths[place + 1])
        for item, verdict in zip(batch, verdicts, strict=True):
            self._answer(item, verdict)

    def _answer(self, item: _Item, verdict: bytes) -> None:
        word, _, name = verdict.decode().partition(" ")
        if word == "full":
            self._fail([item], _full(item.topic, name, self._settings.limit))
        elif item.done is not None and not item.done.done():
            item.done.set_result(None)

    def _fail(self, items: Sequence[_Item] | deque[_Item], error: ParleyError) -> None:
        for item in items:
            if item.done is None:
                log.warning("stranger's event not kept", topic=item.topic.value, id=item.message_id, error=error.detail)
            elif not item.done.done():
                item.done.set_exception(type(error)(error.detail, retry_after_s=error.retry_after_s))


def _full(topic: Topic, name: str, limit: int) -> ResourceExhausted:
    detail = f"group {name!r} of {topic} has {limit} unhandled events"
    return ResourceExhausted(detail, retry_after_s=RETRY_AFTER_S)
