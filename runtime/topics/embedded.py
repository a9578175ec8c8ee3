"""Topics of one node alone: its own subscribers hear of an event as soon as the journal has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from protocols import events
from protocols.events import Envelope
from runtime.engine import Ref
from runtime.topics.backend import HearingStatistics
from runtime.topics.group import DurableGroup, GroupSettings, Tally
from runtime.topics.journal import Journal
from runtime.topics.journal_file import GroupName


def _nobody(_: Envelope) -> None:
    """Nobody listens yet."""


class EmbeddedTopics:
    """A backend on a journal, which its owner opens and closes."""

    late_counts: Final[Mapping[GroupName, int]] = {}
    hearing: Final[HearingStatistics | None] = None

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._heard: Callable[[Envelope], None] = _nobody

    def hear(self, heard: Callable[[Envelope], None]) -> None:
        """Call `heard` for each event."""
        self._heard = heard

    async def publish(self, envelope: Envelope) -> None:
        """Put an event into the journal for the groups of its topic, then tell of it."""
        groups = self._journal.groups(envelope.topic.value)
        if groups:
            await self._journal.append(groups, events.encode(envelope))
        self._heard(envelope)

    def admit(self, group: GroupName) -> None:
        """Keep events for this group."""
        self._journal.admit(group)

    def feed(self, group: GroupName, subscriber: Ref, settings: GroupSettings, tally: Tally) -> DurableGroup:
        """The actor that feeds a subscriber from the journal."""
        return DurableGroup(self._journal, group, subscriber, settings, tally)

    def has_listener(self, group: GroupName) -> bool:
        """Whether a subscriber is fed now."""
        return self._journal.has_listener(group)

    @property
    def depths(self) -> Mapping[GroupName, int]:
        """Events that wait, by group."""
        return self._journal.depths

    @property
    def dead_counts(self) -> Mapping[GroupName, int]:
        """Dead events, by group."""
        return self._journal.dead_counts
