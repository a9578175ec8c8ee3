"""What a node hears on the channels of the topics, and how it finds out what it has missed.

Events are numbered per topic as they are published, so a hole in the numbers says how many went by. A subscription that
falls silent while numbers grow is made anew. What strangers publish has no number, and may be anything.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from protocols import events
from protocols.events import Envelope, MalformedEvent, Topic
from runtime.redis import Listener
from runtime.topics.backend import HearingStatistics
from runtime.topics.redis_calls import RedisCalls

log: Final = structlog.get_logger("parley.topics")

MESSAGE_ID_LENGTH: Final = 200
_NUMBER: Final = re.compile(rb',"number":(\d{1,15})\}\Z')
_AGAIN_AFTER_S: Final = 0.2


def _nobody(_: Envelope) -> None:
    """Nobody listens yet."""


class TopicNumbers:
    """The numbers of one topic: pure bookkeeping."""

    __slots__ = ("_behind_since", "_excused", "_last", "gaps", "missed")

    def __init__(self) -> None:
        self._last: int | None = None
        self._excused: int | None = None
        self._behind_since: float | None = None
        self.missed = 0
        self.gaps = 0

    def heard(self, number: int) -> None:
        """An event came."""
        if self._last is not None and number != self._last + 1:
            self.gaps += 1
            # Numbers that go back: the server has lost its last second, and nobody knows how much was in it.
            self.missed += max(0, number - self._last - 1)
        self._last = number
        self._behind_since = None

    def published(self, number: int, now_s: float) -> float:
        """The server says which number it gave last. Returns for how many seconds nothing has come that should have."""
        if self._excused is None or number < self._excused:
            self._excused = number
        if number <= max(self._excused, self._last or 0):
            self._behind_since = None
            return 0.0
        if self._behind_since is None:
            self._behind_since = now_s
        return now_s - self._behind_since

    def began_again(self) -> None:
        """The subscription is new: what was published before will not come."""
        self._excused = None
        self._behind_since = None


class RedisHearing:
    """`deliver` gets every event, `stir` the name of a topic or group of which there is news, or None for all of them,
    `adopt` what a stranger has published.
    """

    def __init__(
        self,
        calls: RedisCalls,
        rng: random.Random,
        *,
        stir: Callable[[str | None], None],
        adopt: Callable[[Topic, str, bytes], bool],
    ) -> None:
        self.deliver: Callable[[Envelope], None] = _nobody
        self._stir = stir
        self._adopt = adopt
        self._deaf_after_s = calls.settings.deaf_after_s
        self._wake_channel = calls.wake_channel
        self._topics = {calls.settings.prefix + topic.value: topic for topic in Topic}
        channels = [*self._topics, calls.wake_channel]
        self._listener = Listener(calls.clients, channels, self._heard, self._began, rng)
        self._numbers = {topic: TopicNumbers() for topic in Topic}
        self._begun = 0
        self._deaf = asyncio.Event()
        self._heard_count = self._foreign = self._malformed = 0
        self.ready: Final = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            listening = asyncio.create_task(self._listener.run())
            deaf = asyncio.create_task(self._deaf.wait())
            try:
                await asyncio.wait({listening, deaf}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                deaf.cancel()
                while not listening.done():
                    # Again and again: the client may lose a cancellation.
                    listening.cancel()
                    await asyncio.wait({listening}, timeout=_AGAIN_AFTER_S)
            if not listening.cancelled():
                log.error("subscription broken", error=repr(listening.exception()))
            self._deaf.clear()
            await asyncio.sleep(_AGAIN_AFTER_S)

    def check(self, numbers: Mapping[Topic, int], now_s: float) -> None:
        """Compare what was heard with the server's own numbers."""
        silent_s = max(self._numbers[topic].published(number, now_s) for topic, number in numbers.items())
        if silent_s > self._deaf_after_s:
            log.warning("subscription deaf", for_s=round(silent_s, 1))
            self._deaf.set()
            for one in self._numbers.values():
                one.began_again()

    @property
    def statistics(self) -> HearingStatistics:
        """The figures now."""
        numbers = self._numbers.values()
        missed, gaps = sum(one.missed for one in numbers), sum(one.gaps for one in numbers)
        return HearingStatistics(self._heard_count, missed, gaps, self._foreign, self._malformed)

    def _began(self) -> None:
        # Once for every channel. Events may be waiting of which no word was heard.
        self._begun += 1
        if self._begun >= len(self._topics) + 1:
            self.ready.set()
        for one in self._numbers.values():
            one.began_again()
        self._stir(None)

    def _heard(self, channel: str, data: bytes) -> None:
        topic = self._topics.get(channel)
        if topic is None:
            self._stir(data.decode(errors="replace"))
            return
        found = _NUMBER.search(data)
        if found is not None:
            self._numbers[topic].heard(int(found[1]))
            self._stir(topic.value)
        try:
            envelope = _read(topic, data)
        except MalformedEvent as error:
            self._malformed += 1
            if self._malformed & (self._malformed - 1) == 0:  # at 1, 2, 4, 8...: a flood of them is no flood of lines
                log.warning("malformed event", topic=topic.value, so_far=self._malformed, error=error.detail[:200])
            return
        self._heard_count += 1
        if found is None:
            self._foreign += 1
            self._adopt(topic, envelope.message_id, data)
        self.deliver(envelope)


def _read(topic: Topic, data: bytes) -> Envelope:
    envelope = events.decode(data)
    if envelope.topic is not topic:
        raise MalformedEvent(f"event {envelope.type!r} is not of the topic {topic}")
    if not 0 < len(envelope.message_id) <= MESSAGE_ID_LENGTH:
        raise MalformedEvent("message_id is empty or too long")
    return envelope
