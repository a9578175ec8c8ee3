"""Publishing and subscribing on this node."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from protocols import events
from protocols.events import Topic
from runtime.engine import ActorSystem, Ref
from runtime.topics.group import DurableGroup, GroupSettings, Published, Tally
from runtime.topics.journal import Journal
from runtime.topics.journal_file import GroupName


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """Figures of one durable group. `depth` and `dead` count events in the journal now, the rest what was done in this
    life of the node. `away`: offers that met a subscriber which was gone or full.
    """

    depth: int
    dead: int
    delivered: int
    retried: int
    away: int
    subscribed: bool


@dataclass(frozen=True, slots=True)
class TopicsStatistics:
    """Figures of the topics: events published by topic, and groups by `topic/name`."""

    published: Mapping[str, int]
    groups: Mapping[str, GroupStatistics]


class Topics:
    """The topics of a node. `source` names the node in every envelope; `journal` keeps what durable groups are owed."""

    def __init__(self, system: ActorSystem, journal: Journal, *, source: str) -> None:
        self._system = system
        self._journal = journal
        self._source = source
        self._plain: dict[Topic, dict[Ref, None]] = {topic: {} for topic in Topic}
        self._groups: dict[GroupName, tuple[Ref, Tally]] = {}
        self._published: dict[Topic, int] = dict.fromkeys(Topic, 0)

    async def publish(self, event: object) -> events.Envelope:
        """Publish an event. When this returns, the event is in the journal for each durable group of its topic.

        Raises TypeError for what is no event, MalformedEvent for one that nobody could read, Unavailable or
        ResourceExhausted when the journal cannot take it: then nobody has heard of it. If it is cancelled, durable
        groups may hear of it, and nobody else.
        """
        topic = events.topic_of(type(event))
        now = self._system.clock.now()
        envelope = events.envelope(event, message_id=uuid.uuid4().hex, timestamp=now, source=self._source)
        groups = self._journal.groups(topic.value)
        if groups:
            await self._journal.append(groups, events.encode(envelope))
        self._published[topic] += 1
        for subscriber in list(self._plain[topic]):
            subscriber.tell(Published(envelope))
        return envelope

    def subscribe(self, topic: Topic, subscriber: Ref) -> Callable[[], None]:
        """Tell `subscriber` of each event of a topic from now on, at most once each. Returns the way to end it."""
        self._plain[topic][subscriber] = None

        def unsubscribe() -> None:
            self._plain[topic].pop(subscriber, None)

        return unsubscribe

    def subscribe_durable(
        self, topic: Topic, group: str, subscriber: Ref, settings: GroupSettings | None = None
    ) -> None:
        """Ask `subscriber` to handle each event of a topic, at least once each, also those published while it was away.

        Events are kept for the group from its first subscription on, over all lives of the journal: what is published
        before it subscribes in this one is kept too. Raises NameTaken for a group that has a subscriber, Unavailable
        when the journal is closed, ValueError for a bad name.
        """
        if not group or "/" in group:
            raise ValueError(f"a group's name is not empty and has no slash: {group!r}")
        name = GroupName(topic.value, group)
        settings = settings or GroupSettings()
        tally = self._groups[name][1] if name in self._groups else Tally()
        # Admitted first: the group reads its depth as soon as it runs.
        self._journal.admit(name)
        arguments = (self._journal, name, subscriber, settings, tally)
        actor = self._system.spawn(DurableGroup, *arguments, name=f"{topic.value}.{group}", options=settings.options)
        self._groups[name] = (actor, tally)

    async def end_durable(self, topic: Topic, group: str) -> None:
        """End a group's subscription, once what is in flight is settled. Events go on being kept for it: a group that
        is to be no more is forgotten afterwards (`Journal.forget`).
        """
        found = self._groups.get(GroupName(topic.value, group))
        if found is not None:
            found[0].stop()
            await found[0].wait_stopped()

    @property
    def published(self) -> int:
        """Events published on this node so far."""
        return sum(self._published.values())

    @property
    def depths(self) -> dict[str, int]:
        """Events that wait to be handled, by `topic/group`."""
        return {str(group): depth for group, depth in self._journal.depths.items()}

    def statistics(self) -> TopicsStatistics:
        """The figures now."""
        dead = self._journal.dead_counts
        groups = {}
        for group, depth in self._journal.depths.items():
            tally = self._groups[group][1] if group in self._groups else Tally()
            subscribed = self._journal.has_listener(group)
            groups[str(group)] = GroupStatistics(
                depth, dead.get(group, 0), tally.delivered, tally.retried, tally.away, subscribed
            )
        return TopicsStatistics({topic.value: count for topic, count in self._published.items()}, groups)
