"""What `Topics` needs of what carries its events: `EmbeddedTopics` on this node alone, `RedisTopics` among many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from protocols.events import Envelope
from runtime.engine import Ref
from runtime.topics.group import DurableGroup, GroupSettings, Tally
from runtime.topics.journal_file import GroupName


@dataclass(frozen=True, slots=True)
class HearingStatistics:
    """What this node has heard of the events of all nodes. `missed`: events that went by while the subscription had a
    gap, of which there were `gaps`. `foreign`: published by other programs. `malformed`: no events, skipped.
    """

    heard: int = 0
    missed: int = 0
    gaps: int = 0
    foreign: int = 0
    malformed: int = 0


class TopicsBackend(Protocol):
    """Carries events from publishers to subscribers, and keeps what durable groups are owed."""

    def hear(self, heard: Callable[[Envelope], None]) -> None:
        """Call `heard` on the loop for each event from now on, at most once each."""
        ...

    async def publish(self, envelope: Envelope) -> None:
        """Publish an event. When this returns, it is kept for each durable group of its topic.

        Raises Unavailable or ResourceExhausted.
        """
        ...

    def admit(self, group: GroupName) -> None:
        """Keep events for this group from now on, also in later lives of the node."""
        ...

    def feed(self, group: GroupName, subscriber: Ref, settings: GroupSettings, tally: Tally) -> DurableGroup:
        """The actor that feeds a subscriber."""
        ...

    def has_listener(self, group: GroupName) -> bool:
        """Whether a subscriber of this node is fed now."""
        ...

    @property
    def depths(self) -> Mapping[GroupName, int]:
        """Events that wait, by group."""
        ...

    @property
    def dead_counts(self) -> Mapping[GroupName, int]:
        """Dead events, by group."""
        ...

    @property
    def late_counts(self) -> Mapping[GroupName, int]:
        """Answers of this node's subscribers that came when the event was no longer theirs, by group."""
        ...

    @property
    def hearing(self) -> HearingStatistics | None:
        """How well this node hears the others; None where there are none."""
        ...
