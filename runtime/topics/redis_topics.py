"""Topics among many nodes: Redis Pub/Sub for plain subscribers, a Redis List for each durable group.

An event is numbered, published and kept for the groups of its topic in one script. A node's own subscribers hear its
events the same way as all others, so all nodes hear those of a topic in one order. A group's events are claimed in the
order in which they were published, by whichever nodes subscribe for it: each goes to one node at a time, and back to
its place when that node gives it up, stops or dies. So handlers of two nodes run side by side; with one node
subscribing, first offers come in order.

While Redis is away a publish fails with Unavailable, groups wait, and everything goes on by itself when it is back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self

import msgspec
import structlog

from protocols import events
from protocols.errors import FailedPrecondition, ParleyError
from protocols.events import Envelope, Topic
from runtime.engine import Ref
from runtime.redis import RedisClients
from runtime.topics.backend import HearingStatistics
from runtime.topics.group import DurableGroup, GroupSettings, Tally
from runtime.topics.journal import LATEST
from runtime.topics.journal_file import DeadEvent, Entry, GroupName, Outcome
from runtime.topics.redis_calls import DEAD, FIGURES, FORGET, RedisCalls, RedisTopicsSettings
from runtime.topics.redis_claims import RedisClaims
from runtime.topics.redis_hearing import RedisHearing
from runtime.topics.redis_publisher import RedisPublisher
from runtime.topics.shared_group import SharedGroup

log: Final = structlog.get_logger("parley.topics")

_DEFAULTS: Final = RedisTopicsSettings()
_dead_head: Final = msgspec.json.Decoder(tuple[str, str, int, str]).decode


class RedisTopics:
    """The backend of one node, opened with `await RedisTopics.open(clients)`, whose clients the caller closes after it.

    Depths and dead events are those of all nodes, as of `poll_s` ago at most, while Redis is there.
    """

    def __init__(self, clients: RedisClients, rng: random.Random, settings: RedisTopicsSettings) -> None:
        self._settings = settings
        self._calls = calls = RedisCalls(clients, settings)
        self._depths: dict[GroupName, int] = {}
        self._dead: dict[GroupName, int] = {}
        self._listeners: dict[GroupName, Callable[[], object]] = {}
        self._noted: set[GroupName] = set()
        self._away = False
        self._publisher = RedisPublisher(calls, self._note_depth)
        self._claims = RedisClaims(calls, self._note)
        self._hearing = RedisHearing(calls, rng, stir=self._stir, adopt=self._publisher.adopt)
        self._tasks = (
            asyncio.create_task(self._hearing.run(), name="topics hearing"),
            asyncio.create_task(self._look(), name="topics figures"),
        )

    @classmethod
    async def open(
        cls, clients: RedisClients, *, rng: random.Random | None = None, settings: RedisTopicsSettings = _DEFAULTS
    ) -> Self:
        """Begin to hear and to publish. Where Redis is away it begins all the same, and catches up when it comes."""
        opened = cls(clients, rng or random.Random(), settings)
        try:
            await asyncio.wait_for(opened._hearing.ready.wait(), settings.call_timeout_s)
        except TimeoutError:
            log.warning("topics begin without Redis", redis=str(clients.address))
        except BaseException:
            await opened.close()
            raise
        return opened

    async def close(self) -> None:
        """Send what was published, and end. May be called twice."""
        await self._publisher.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- plain subscribers and publishers

    def hear(self, heard: Callable[[Envelope], None]) -> None:
        """Call `heard` for each event of any node."""
        self._hearing.deliver = heard

    async def publish(self, envelope: Envelope) -> None:
        """Publish an event. Raises ResourceExhausted, or Unavailable within `publish_timeout_s`.

        Unavailable leaves open whether it was published. Doing it again under its message_id is safe for a while.
        """
        await self._publisher.publish(envelope.topic, envelope.message_id, events.encode(envelope))

    @property
    def hearing(self) -> HearingStatistics:
        """How well this node hears the others."""
        return self._hearing.statistics

    # ---- groups

    def admit(self, group: GroupName) -> None:
        """Keep events for this group, at the latest from the next one on that this node publishes."""
        self._publisher.admit(group)
        self._depths.setdefault(group, 0)

    def feed(self, group: GroupName, subscriber: Ref, settings: GroupSettings, tally: Tally) -> DurableGroup:
        """The actor that feeds a subscriber of this node."""
        return SharedGroup(self, group, subscriber, settings, tally)

    def listen(self, group: GroupName, kept: Callable[[], object]) -> Callable[[], None]:
        """Call `kept` on the loop whenever there may be something new for a group. Returns the way to end it."""
        self._listeners[group] = kept
        self._claims.begin(group)

        def end() -> None:
            if self._listeners.get(group) is kept:
                del self._listeners[group]

        return end

    def has_listener(self, group: GroupName) -> bool:
        """Whether a subscriber of this node is fed now."""
        return group in self._listeners

    async def pending(self, group: GroupName, after: int, limit: int) -> list[Entry]:
        """Claim the oldest events that wait, wherever they are. Raises ParleyErrors."""
        return await self._claims.claim(group, limit)

    def due_in_s(self, group: GroupName) -> float:
        """In how many seconds it is worth to look again."""
        due_in_s = self._claims.due_in_s(group)
        return self._settings.poll_s if due_in_s is None else min(due_in_s, self._settings.poll_s)

    async def settle(self, group: GroupName, outcome: Outcome) -> tuple[int, int]:
        """Write down what became of claimed events. Raises ParleyErrors; doing it again is safe."""
        return await self._claims.settle(group, outcome)

    async def leave(self, group: GroupName) -> None:
        """Give back what this node holds of a group. Raises ParleyErrors."""
        await self._claims.leave(group)

    async def forget(self, group: GroupName) -> int:
        """Let go of a group that nobody will subscribe for any more; returns how many unhandled events go with it.

        Raises FailedPrecondition while a node subscribes for it, or one that did so died less than a lease ago.
        """
        if group not in self._listeners:
            self._publisher.forget(group)
            dropped: int = await self._calls.run(FORGET, group.topic, group.name)
            if dropped >= 0:
                self._depths.pop(group, None)
                return dropped
        raise FailedPrecondition(f"group {group} has a subscriber: end that first")

    @property
    def depths(self) -> Mapping[GroupName, int]:
        """Events that wait, by group."""
        return dict(self._depths)

    @property
    def dead_counts(self) -> Mapping[GroupName, int]:
        """Dead events, by group."""
        return {group: count for group, count in self._dead.items() if count}

    @property
    def late_counts(self) -> Mapping[GroupName, int]:
        """Outcomes of this node that were refused, by group."""
        return self._claims.late

    # ---- dead events, for an operator

    async def dead(self, limit: int = 100, *, before: int = LATEST) -> list[DeadEvent]:
        """The latest dead events, newest first; `before` the `seq` of the last one seen gets the next page."""
        flat = await self._calls.run(DEAD, "list", limit, before)
        return [_dead_event(int(seq), text) for seq, text in zip(flat[::2], flat[1::2], strict=True)]

    async def replay(self, seqs: Iterable[int]) -> int:
        """Offer dead events to their groups again, behind all others, even past the limit. Returns how many there were.

        Those of groups that were forgotten stay where they are.
        """
        return await self._move_dead("replay", seqs)

    async def drop(self, seqs: Iterable[int]) -> int:
        """Delete dead events for good. Returns how many there were."""
        return await self._move_dead("drop", seqs)

    async def _move_dead(self, act: str, seqs: Iterable[int]) -> int:
        flat = await self._calls.run(DEAD, act, *seqs)
        for group, depth, dead in zip(flat[::4], flat[2::4], flat[3::4], strict=True):
            self._note(_group(group), depth, dead)
        return sum(flat[1::4])

    # ---- within

    def _note(self, group: GroupName, depth: int, dead: int) -> None:
        self._note_depth(group, depth)
        self._dead[group] = dead

    def _note_depth(self, group: GroupName, depth: int) -> None:
        self._depths[group] = depth
        self._noted.add(group)

    def _stir(self, what: str | None) -> None:
        for group, kept in list(self._listeners.items()):
            if what is None or what in (group.topic, str(group)):
                kept()

    async def _look(self) -> None:
        """Renew leases and bring the figures up to date, for ever."""
        loop = asyncio.get_running_loop()
        renewed_at = loop.time()
        while True:
            try:
                if loop.time() >= renewed_at + self._settings.lease_s / 3 - self._settings.poll_s:
                    await self._claims.renew()
                    renewed_at = loop.time()
                self._noted.clear()
                self._take_figures(await self._calls.run(FIGURES, *(topic.value for topic in Topic)))
            except ParleyError as error:
                if not self._away:
                    log.warning("topics without Redis", error=error.detail)
                self._away = True
            else:
                if self._away:
                    log.info("topics have Redis again")
                self._away = False
            await asyncio.sleep(self._settings.poll_s)

    def _take_figures(self, found: list[list[bytes | int]]) -> None:
        dead, *by_topic = found
        self._dead = {_group(group): int(count) for group, count in zip(dead[::2], dead[1::2], strict=True)}
        depths: dict[GroupName, int] = {}
        numbers: dict[Topic, int] = {}
        for topic, (number, *groups) in zip(Topic, by_topic, strict=True):
            numbers[topic] = int(number)
            for name, depth in zip(groups[::2], groups[1::2], strict=True):
                depths[_group(f"{topic.value}/".encode() + bytes(name))] = int(depth)
        # What was noted while the figures were on their way may be newer than they are.
        newer = {group: self._depths[group] for group in self._noted if group in self._depths}
        self._depths = dict.fromkeys(self._listeners, 0) | depths | newer
        self._hearing.check(numbers, asyncio.get_running_loop().time())


def _group(text: object) -> GroupName:
    if not isinstance(text, bytes):
        raise TypeError("a group's name comes as bytes")
    topic, _, name = text.decode().partition("/")
    return GroupName(topic, name)


def _dead_event(seq: int, text: bytes) -> DeadEvent:
    head, _, envelope = text.partition(b"\n")
    topic, name, attempts, error = _dead_head(head)
    return DeadEvent(seq, GroupName(topic, name), envelope, attempts, error)
