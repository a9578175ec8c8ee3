"""A durable group whose events any node may have: this node's part of it.

As `DurableGroup`, but what this node's subscriber does not handle goes back, so that another node's may: at once when
the subscriber is away (then this node claims no more for a while), after a delay when it failed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from protocols.errors import ParleyError
from runtime.engine import Ref, on
from runtime.topics.group import DurableGroup, GroupJournal, GroupSettings, Offer, Tally, Work
from runtime.topics.journal_file import GroupName

log: Final = structlog.get_logger("parley.topics")

MARGIN_S: Final = 0.05
"""The delay of an event begins when Redis hears of it. It should be back at the front when this node makes room."""


class SharedJournal(GroupJournal, Protocol):
    """What a shared group needs beyond the events themselves."""

    def due_in_s(self, group: GroupName) -> float:
        """In how many seconds it is worth to look again."""
        ...

    async def leave(self, group: GroupName) -> None:
        """Give back what this node holds of a group."""
        ...


@dataclass(frozen=True, slots=True)
class _Cooled:
    seq: int


class SharedGroup(DurableGroup):
    """Feeds one subscriber of this node with what it claims."""

    def __init__(
        self, journal: SharedJournal, group: GroupName, subscriber: Ref, settings: GroupSettings, tally: Tally
    ) -> None:
        super().__init__(journal, group, subscriber, settings, tally)
        self._shared = journal
        self._away_in_a_row = 0
        self._resume_at = 0.0
        self._cooling: set[int] = set()

    @on(_Cooled)
    def cooled(self, message: _Cooled) -> None:
        """The delay of an event that failed here is over."""
        self._cooling.discard(message.seq)
        self._nudge()

    def _room(self) -> int:
        # As if they were still here: a subscriber that fails at everything must not go through all that waits.
        return super()._room() - len(self._cooling)

    async def _offer_next(self) -> None:
        wait_s = self._resume_at - self.system.clock.time()
        if wait_s <= 0:
            await super()._offer_next()
            wait_s = self._shared.due_in_s(self._group)
        self.timers.start("look", Work(), wait_s)

    def _handled_one(self, seq: int) -> None:
        super()._handled_one(seq)
        self._away_in_a_row = 0

    def _subscriber_away(self, seq: int, offer: Offer) -> None:
        del self._open[seq]
        self._back.append((seq, 0.0))
        now = self.system.clock.time()
        if now >= self._resume_at:
            # Once for all that were refused together.
            self._away_in_a_row += 1
            self._resume_at = now + self._settings.backoff.delay_s(self._away_in_a_row, self.system.rng)

    def _offer_later(self, seq: int, offer: Offer) -> None:
        del self._open[seq]
        delay_s = self._settings.backoff.delay_s(offer.attempts, self.system.rng)
        self._back.append((seq, delay_s))
        self._cooling.add(seq)
        self.timers.start(seq, _Cooled(seq), delay_s + MARGIN_S)

    def _journal_delay_s(self) -> float:
        # Soon, for the others have it as soon as Redis is back.
        return min(super()._journal_delay_s(), self._shared.due_in_s(self._group))

    async def _drain(self) -> None:
        await super()._drain()
        try:
            await self._shared.leave(self._group)
        except ParleyError as error:
            log.warning("events stay claimed until their lease ends", group=str(self._group), error=error.detail)
