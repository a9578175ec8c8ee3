"""A durable group: hands the events of its journal to one subscriber until each is handled.

Events are offered in the order in which they were published, up to `window` at a time, and each until its handler
returns; one that failed comes again after a delay, possibly behind its successors. A subscriber that is away or full
costs no attempt; one that raises or takes too long does, and after `max_attempts` the event goes to the dead events.
What was handled right before a crash is offered again: a subscriber that must not act twice remembers `message_id`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import structlog

from protocols import events
from protocols.errors import Code, ParleyError
from runtime.engine import Actor, Backoff, Options, Ref, on
from runtime.topics.journal_file import Entry, GroupName, Outcome

log: Final = structlog.get_logger("parley.topics")

AWAY: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.CANCELLED})
"""Answers that say something of the subscriber's state and nothing of the event."""

REASON_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class Published:
    """To a subscriber: an event, in its envelope."""

    envelope: events.Envelope


@dataclass(frozen=True, slots=True)
class GroupSettings:
    """`window`: events in flight at once. `handle_timeout_s`: how long the subscriber may take for one; an event that
    is behind others may wait as long for each. `drain_timeout_s`: how long a stopping group waits for its answers.
    """

    window: int = 32
    max_attempts: int = 8
    handle_timeout_s: float = 30.0
    drain_timeout_s: float = 2.0
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        if self.window < 1 or self.max_attempts < 1:
            raise ValueError("window and max_attempts are at least 1")
        if self.handle_timeout_s <= 0 or self.drain_timeout_s < 0:
            raise ValueError("handle_timeout_s is above 0 and drain_timeout_s is 0 or more")

    @property
    def options(self) -> Options:
        """Options of the group's actor: time to drain and to write down what came of it."""
        return Options(stop_timeout_s=self.drain_timeout_s + 3.0)


@dataclass(slots=True)
class Tally:
    """What a group did in this life of the node. `away`: offers that met no subscriber and cost no attempt."""

    delivered: int = 0
    retried: int = 0
    away: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """To a group: the journal, or the subscriber, has something new."""


@dataclass(frozen=True, slots=True)
class _Again:
    seq: int


@dataclass(slots=True)
class Offer:
    """An event that is with the subscriber, or waits to be offered again."""

    published: Published
    attempts: int
    refusals: int = 0


class GroupJournal(Protocol):
    """Where a group's events come from, and where it says what became of them."""

    def listen(self, group: GroupName, kept: Callable[[], object]) -> Callable[[], None]:
        """Call `kept` whenever there is something new. Returns the way to end it."""
        ...

    async def pending(self, group: GroupName, after: int, limit: int) -> list[Entry]:
        """The oldest unhandled events behind place `after`, at most `limit`. Raises ParleyErrors."""
        ...

    async def settle(self, group: GroupName, outcome: Outcome) -> tuple[int, int]:
        """Write down what became of events. Returns how many are handled and how many dead. Raises ParleyErrors."""
        ...


class DurableGroup(Actor):
    """Feeds one subscriber from the journal."""

    def __init__(
        self, journal: GroupJournal, group: GroupName, subscriber: Ref, settings: GroupSettings, tally: Tally
    ) -> None:
        self._journal = journal
        self._group = group
        self._subscriber = subscriber
        self._settings = settings
        self._tally = tally
        # From the start of the journal, also after a restart: what was in flight then is offered again.
        self._last = 0
        self._open: dict[int, Offer] = {}
        self._in_flight: dict[int, asyncio.Future[object]] = {}
        self._answers: list[tuple[int, BaseException | None]] = []
        self._handled: list[int] = []
        self._failed: list[int] = []
        self._dead: list[tuple[int, str]] = []
        self._back: list[tuple[int, float]] = []
        self._journal_refusals = 0
        self._over = False
        self._end_listening: Callable[[], None]

    def started(self) -> None:
        """Begin with what an earlier life left."""
        self._end_listening = self._journal.listen(self._group, self._nudge)
        self._nudge()

    async def stopped(self) -> None:
        """Wait a little for what is in flight, so that a clean stop makes nobody handle an event twice."""
        await self._drain()

    async def restarting(self, error: BaseException) -> None:
        """As before a stop."""
        await self._drain()

    @on(Work)
    async def work(self, _: Work) -> None:
        """Write down what came of the events in flight, and offer the next, as far as the window allows."""
        try:
            await self._write_down()
            await self._offer_next()
        except ParleyError as error:
            # What came of the events is kept here and written down later; until then they fill the window.
            self._journal_refusals += 1
            log.warning("journal away", group=str(self._group), error=error.detail)
            self.timers.start("work", Work(), self._journal_delay_s())
        else:
            self._journal_refusals = 0

    @on(_Again)
    def again(self, message: _Again) -> None:
        """Offer an event once more."""
        self._offer(message.seq, self._open[message.seq])

    # ---- towards the subscriber

    async def _offer_next(self) -> None:
        room = self._room()
        if room <= 0:
            return
        for entry in await self._journal.pending(self._group, self._last, room):
            self._last = entry.seq
            self._begin(entry)

    def _room(self) -> int:
        return self._settings.window - len(self._open)

    def _begin(self, entry: Entry) -> None:
        try:
            published = Published(events.decode(entry.envelope))
        except events.MalformedEvent as error:
            # Published by another version of this program: a further attempt would not read it either.
            self._give_up(entry.seq, error)
            self._nudge()
        else:
            self._open[entry.seq] = offer = Offer(published, entry.attempts)
            self._offer(entry.seq, offer)

    def _offer(self, seq: int, offer: Offer) -> None:
        limit_s = self._settings.handle_timeout_s * (len(self._in_flight) + 1)
        answer = asyncio.ensure_future(self._subscriber.ask(offer.published, limit_s))
        self._in_flight[seq] = answer
        answer.add_done_callback(partial(self._answered, seq))

    def _answered(self, seq: int, answer: asyncio.Future[object]) -> None:
        # On the loop, beside a handler: it only leaves the answer for the next `work`.
        del self._in_flight[seq]
        self._answers.append((seq, asyncio.CancelledError() if answer.cancelled() else answer.exception()))
        self._nudge()

    def _nudge(self) -> None:
        # A tick, of which there is one at most: no flood of events fills the mailbox, and none is missed at the end.
        if not self._over and not self.timers.active("work"):
            self.timers.start("work", Work(), 0.0)

    # ---- what came of it

    def _take_answers(self) -> None:
        answers, self._answers = self._answers, []
        for seq, error in answers:
            offer = self._open[seq]
            if error is None:
                self._handled_one(seq)
            elif isinstance(error, asyncio.CancelledError) or (isinstance(error, ParleyError) and error.code in AWAY):
                self._tally.away += 1
                self._subscriber_away(seq, offer)
            else:
                self._attempt_failed(seq, offer, error)

    def _handled_one(self, seq: int) -> None:
        self._handled.append(seq)
        del self._open[seq]

    def _subscriber_away(self, seq: int, offer: Offer) -> None:
        offer.refusals += 1
        self._later(seq, offer.refusals)

    def _attempt_failed(self, seq: int, offer: Offer, error: BaseException) -> None:
        offer.attempts += 1
        offer.refusals = 0
        if offer.attempts >= self._settings.max_attempts:
            self._give_up(seq, error)
            return
        log.warning("event not handled", group=str(self._group), seq=seq, attempts=offer.attempts, error=_text(error))
        self._failed.append(seq)
        self._tally.retried += 1
        self._offer_later(seq, offer)

    def _offer_later(self, seq: int, offer: Offer) -> None:
        self._later(seq, offer.attempts)

    def _give_up(self, seq: int, error: BaseException) -> None:
        log.error("event given up", group=str(self._group), seq=seq, error=_text(error))
        self._open.pop(seq, None)
        self._dead.append((seq, _text(error)))

    def _later(self, seq: int, attempt: int) -> None:
        self.timers.start(seq, _Again(seq), self._settings.backoff.delay_s(attempt, self.system.rng))

    def _journal_delay_s(self) -> float:
        return self._settings.backoff.delay_s(self._journal_refusals, self.system.rng)

    async def _write_down(self) -> None:
        self._take_answers()
        if not (self._handled or self._failed or self._dead or self._back):
            return
        outcome = Outcome(tuple(self._handled), tuple(self._failed), tuple(self._dead), tuple(self._back))
        delivered, _ = await self._journal.settle(self._group, outcome)
        self._tally.delivered += delivered
        self._handled.clear()
        self._failed.clear()
        self._dead.clear()
        self._back.clear()

    async def _drain(self) -> None:
        self._over = True
        self._end_listening()
        if self._in_flight:
            await asyncio.wait(list(self._in_flight.values()), timeout=self._settings.drain_timeout_s)
        try:
            await self._write_down()
        except ParleyError as error:
            log.warning("events handled before the stop come again", group=str(self._group), error=error.detail)


def _text(error: BaseException) -> str:
    """An error as the journal keeps it: short, and without what no file can hold (lone surrogates)."""
    return f"{type(error).__name__}: {error}"[:REASON_LENGTH].encode(errors="replace").decode()
