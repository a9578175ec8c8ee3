"""Publishing and subscribing on this node."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from protocols import events
from protocols.events import Topic
from runtime.engine import ActorSystem, Ref
from runtime.topics.group import DurableGroup, GroupSettings, More, Published
from runtime.topics.journal import GroupName, Journal

if TYPE_CHECKING:
    from collections.abc import Callable


class Topics:
    """The topics of a node. `source` names the node in every envelope; `journal` keeps what durable groups are owed."""

    def __init__(self, system: ActorSystem, journal: Journal, *, source: str) -> None:
        self._system = system
        self._journal = journal
        self._source = source
        self._plain: dict[Topic, dict[Ref, None]] = {topic: {} for topic in Topic}
        self._groups: dict[Topic, dict[GroupName, Ref]] = {topic: {} for topic in Topic}
        self.published = 0

    async def publish(self, event: object) -> events.Envelope:
        """Publish an event. When this returns, the event is in the journal for each durable group of its topic.

        Raises TypeError for what is no event, Unavailable or ResourceExhausted when the journal cannot take it: then
        nobody has heard of it.
        """
        topic = events.topic_of(type(event))
        now = self._system.clock.now()
        envelope = events.envelope(event, message_id=uuid.uuid4().hex, timestamp=now, source=self._source)
        groups = self._groups[topic]
        if groups:
            await self._journal.append(list(groups), events.encode(envelope))
        self.published += 1
        for group in groups.values():
            group.tell(More())
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

        Events are kept for the group from its first subscription on. Raises NameTaken for a group that has a
        subscriber.
        """
        name = GroupName(topic.value, group)
        arguments = (self._journal, name, subscriber, settings or GroupSettings())
        self._groups[topic][name] = self._system.spawn(DurableGroup, *arguments, name=f"{topic.value}.{group}")

    @property
    def depths(self) -> dict[str, int]:
        """Events that wait to be handled, by `topic/group`."""
        return {f"{group.topic}/{group.name}": depth for group, depth in self._journal.depths.items()}
