"""Publishing and subscribing: the same on one node alone and among many."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from protocols import events
from protocols.events import Topic
from runtime.engine import ActorSystem, Ref
from runtime.topics.backend import HearingStatistics, TopicsBackend
from runtime.topics.embedded import EmbeddedTopics
from runtime.topics.group import GroupSettings, Published, Tally
from runtime.topics.journal import Journal
from runtime.topics.journal_file import GroupName


@dataclass(frozen=True, slots=True)
class GroupStatistics:
    """Figures of one durable group. `depth` and `dead` count events that are kept now (among many nodes, by all), the
    rest what was done in this life of the node. `away`: offers that met a subscriber which was gone or full. `late`:
    answers that came when the event was another node's already. `subscribed`: on this node.
    """

    depth: int
    dead: int
    delivered: int
    retried: int
    away: int
    subscribed: bool
    late: int = 0


@dataclass(frozen=True, slots=True)
class TopicsStatistics:
    """Figures of the topics: events published by topic, and groups by `topic/name`. `hearing`: among many nodes."""

    published: Mapping[str, int]
    groups: Mapping[str, GroupStatistics]
    hearing: HearingStatistics | None = None


class Topics:
    """The topics of a node. `source` names the node in every envelope; `journal` keeps what durable groups are owed:
    a `Journal` for a node alone, a `RedisTopics` for one among many.
    """

    def __init__(self, system: ActorSystem, journal: Journal | TopicsBackend, *, source: str) -> None:
        self._system = system
        self._backend: TopicsBackend = EmbeddedTopics(journal) if isinstance(journal, Journal) else journal
        self._backend.hear(self._tell_plain)
        self._source = source
        self._plain: dict[Topic, dict[Ref, None]] = {topic: {} for topic in Topic}
        self._groups: dict[GroupName, tuple[Ref, Tally]] = {}
        self._published: dict[Topic, int] = dict.fromkeys(Topic, 0)

    async def publish(self, event: object, *, message_id: str | None = None) -> events.Envelope:
        """Publish an event. When this returns, the event is kept for each durable group of its topic.

        Raises TypeError for what is no event, MalformedEvent for one that nobody could read, Unavailable or
        ResourceExhausted when it cannot be kept: then nobody has heard of it. Among many nodes Unavailable leaves that
        open; whoever tries again under the same `message_id` publishes nothing twice. If it is cancelled, others may
        hear of it all the same.
        """
        topic = events.topic_of(type(event))
        now = self._system.clock.now()
        message_id = uuid.uuid4().hex if message_id is None else message_id
        envelope = events.envelope(event, message_id=message_id, timestamp=now, source=self._source)
        await self._backend.publish(envelope)
        self._published[topic] += 1
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
        before it subscribes in this one is kept too. Among many nodes each event goes to one node that subscribes for
        the group, wherever it was published. Raises NameTaken for a group that has a subscriber, Unavailable
        when the journal is closed, ValueError for a bad name.
        """
        if not group or "/" in group:
            raise ValueError(f"a group's name is not empty and has no slash: {group!r}")
        name = GroupName(topic.value, group)
        settings = settings or GroupSettings()
        tally = self._groups[name][1] if name in self._groups else Tally()
        # Admitted first: the group reads its depth as soon as it runs.
        self._backend.admit(name)
        arguments = (name, subscriber, settings, tally)
        path = f"{topic.value}.{group}"
        actor = self._system.spawn(self._backend.feed, *arguments, name=path, options=settings.options)
        self._groups[name] = (actor, tally)

    async def end_durable(self, topic: Topic, group: str) -> None:
        """End a group's subscription, once what is in flight is settled. Events go on being kept for it: a group that
        is to be no more is forgotten afterwards (`forget` of the journal).
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
        return {str(group): depth for group, depth in self._backend.depths.items()}

    def statistics(self) -> TopicsStatistics:
        """The figures now."""
        dead, late = self._backend.dead_counts, self._backend.late_counts
        groups = {}
        for group, depth in self._backend.depths.items():
            tally = self._groups[group][1] if group in self._groups else Tally()
            subscribed = self._backend.has_listener(group)
            groups[str(group)] = GroupStatistics(
                depth, dead.get(group, 0), tally.delivered, tally.retried, tally.away, subscribed, late.get(group, 0)
            )
        published = {topic.value: count for topic, count in self._published.items()}
        return TopicsStatistics(published, groups, self._backend.hearing)

    def _tell_plain(self, envelope: events.Envelope) -> None:
        for subscriber in list(self._plain[envelope.topic]):
            subscriber.tell(Published(envelope))
