"""A durable group: hands the events of its journal to one subscriber until each is handled.

Events are offered in the order in which they were published, up to `window` at a time, and each until its handler
returns; one that failed comes again after a delay, possibly behind its successors. A subscriber that is away, full or
slow to come up costs no attempt; one that raises does, and after `max_attempts` the event goes to the dead events.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from protocols import events
from protocols.errors import Code, ParleyError
from runtime.engine import Actor, Backoff, Ref, on
from runtime.topics.journal import Entry, GroupName, Journal

log: Final = structlog.get_logger("parley.topics")

AWAY: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.CANCELLED})
"""Answers that say something of the subscriber's state and nothing of the event."""


@dataclass(frozen=True, slots=True)
class Published:
    """To a subscriber: an event, in its envelope."""

    envelope: events.Envelope


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """`window`: events in flight at once. `handle_timeout_s`: how long the subscriber may take for one."""

    window: int = 32
    max_attempts: int = 8
    handle_timeout_s: float = 30.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class More:
    """To a group: there is something new in the journal."""


@dataclass(frozen=True, slots=True)
class _Settled:
    entry: Entry
    error: BaseException | None


@dataclass(frozen=True, slots=True)
class _Again:
    entry: Entry


class DurableGroup(Actor):
    """Feeds one subscriber from the journal."""

    def __init__(self, journal: Journal, group: GroupName, subscriber: Ref, settings: GroupSettings) -> None:
        self._journal = journal
        self._group = group
        self._subscriber = subscriber
        self._settings = settings
        # From the start of the journal, also after a restart: what was in flight then is offered again.
        self._last = 0
        self._open: dict[int, Entry] = {}
        self._refusals = 0

    def started(self) -> None:
        """Begin with what an earlier life left."""
        self.ref.tell(More())

    @on(More)
    async def more(self, _: More) -> None:
        """Offer the next events, as far as the window allows."""
        room = self._settings.window - len(self._open)
        if room <= 0:
            return
        for entry in await self._journal.pending(self._group, self._last, room):
            self._last = entry.seq
            self._open[entry.seq] = entry
            self._offer(entry)

    @on(_Again)
    def again(self, message: _Again) -> None:
        """Offer an event once more."""
        self._offer(message.entry)

    @on(_Settled)
    async def settled(self, message: _Settled) -> None:
        """The subscriber has answered."""
        entry, error = message.entry, message.error
        if error is None:
            self._refusals = 0
            await self._journal.handled(self._group, [entry.seq])
            self._done(entry)
        elif isinstance(error, ParleyError) and error.code in AWAY:
            self._refusals += 1
            self._later(entry, self._refusals)
        else:
            await self._failed(entry, error)

    async def _failed(self, entry: Entry, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"[:500]
        attempts = entry.attempts + 1
        if attempts >= self._settings.max_attempts:
            log.error("event given up", group=self._group.name, topic=self._group.topic, seq=entry.seq, error=reason)
            await self._journal.bury(self._group, entry.seq, reason)
            self._done(entry)
        else:
            log.warning("event not handled", group=self._group.name, seq=entry.seq, attempts=attempts, error=reason)
            await self._journal.failed(entry.seq)
            self._later(Entry(entry.seq, entry.envelope, attempts), attempts)

    def _offer(self, entry: Entry) -> None:
        answer = self._subscriber.ask(Published(events.decode(entry.envelope)), self._settings.handle_timeout_s)
        asyncio.ensure_future(answer).add_done_callback(lambda done: self._report(entry, done))

    def _report(self, entry: Entry, done: asyncio.Future[object]) -> None:
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        self.ref.tell(_Settled(entry, error))

    def _later(self, entry: Entry, attempt: int) -> None:
        delay_s = self._settings.backoff.delay_s(attempt, self.system.rng)
        self.timers.start(entry.seq, _Again(entry), delay_s)

    def _done(self, entry: Entry) -> None:
        self._open.pop(entry.seq, None)
        self.ref.tell(More())
