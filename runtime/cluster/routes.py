"""Where this node sends what is for an entity, and how order is kept when the entity moves.

A sender that learns of a new owner does not change over at once: what it sent the old way might be overtaken. It sends
a flush that way, behind its messages, and holds new ones until it hears where the flush ended: at the owner, then, by
way of every node that passed messages on.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection

from protocols.cluster import Flush
from runtime.cluster.activations import Activations
from runtime.cluster.errors import NodeAway
from runtime.cluster.station import Station
from runtime.engine import MailboxFull, Reason
from runtime.engine.clock import Handle
from runtime.engine.envelope import Envelope


class _Route:
    """`held` is not None while the way to `node` is being flushed."""

    __slots__ = ("flush_id", "held", "node", "timer")

    def __init__(self, node: str) -> None:
        self.node = node
        self.held: deque[Envelope] | None = None
        self.flush_id = 0
        self.timer: Handle | None = None


class Routes:
    """The ways to entities that this node has sent to."""

    def __init__(self, station: Station, activations: Activations) -> None:
        self._station = station
        self._activations = activations
        self._routes: dict[str, _Route] = {}
        self._ids = itertools.count(1)
        self._flushing: dict[int, str] = {}
        # The entities whose messages are held: those must not take the short way either.
        self.held: set[str] = set()
        activations.moved = self._moved

    def put(self, entity: str, envelope: Envelope) -> bool:
        """Send what is for an entity on its way. False: refused, and who sent it was told."""
        route = self._routes.get(entity)
        if route is None:
            owner = self._station.view.owner(entity)
            if owner is None:
                error = NodeAway(f"no node carries {entity.partition('/')[0]!r} entities now")
                self._station.refuse(envelope, error, target=entity)
                return False
            route = self._remember(entity, owner)
        if route.held is not None:
            if len(route.held) >= self._station.settings.hold:
                error_full = MailboxFull(f"too many messages wait for {entity} to move")
                self._station.refuse(envelope, error_full, Reason.MAILBOX_FULL, entity)
                return False
            route.held.append(envelope)
            return True
        return self._send(entity, route.node, envelope)

    def view_changed(self, gone: Collection[str]) -> None:
        """Change over to new owners, behind a flush where the former one is still there."""
        view, node = self._station.view, self._station.node
        for entity, route in list(self._routes.items()):
            if route.node in gone:
                self._change_over(entity, route)
            elif route.held is None and route.node != (owner := view.owner(entity)) and owner is not None:
                if route.node == node:
                    # While the entity is still here, it goes first, and `_moved` says when it has.
                    if entity not in self._activations:
                        route.node = owner
                else:
                    self._flush(entity, route)

    def flushed(self, flush_id: int, by: str) -> None:
        """All that was sent before is with node `by`."""
        entity = self._flushing.pop(flush_id, None)
        route = self._routes.get(entity) if entity is not None else None
        if entity is None or route is None or route.flush_id != flush_id:
            return
        route.node = by
        owner = self._station.view.owner(entity)
        if owner in (by, None):
            self._open(entity, route)
        elif by == self._station.node:
            route.node = by
            self._open(entity, route)
        else:
            self._flush(entity, route)

    def begin_again(self) -> None:
        """This node has a new id: flushes of the old one are answered to nobody."""
        for entity, route in self._routes.items():
            if route.held is not None:
                self._flush(entity, route)

    def _moved(self, entity: str, owner: str) -> None:
        """What this node held for an entity is on its way to the owner; what comes now goes the same way."""
        route = self._routes.get(entity)
        if route is not None and route.held is None and route.node == self._station.node:
            route.node = owner

    def close(self) -> None:
        """Let go of timers, and refuse what is held."""
        for entity, route in self._routes.items():
            self._end_timer(route)
            for envelope in route.held or ():
                self._station.refuse(envelope, NodeAway("this node is leaving"), target=entity)
        self._routes.clear()
        self.held.clear()

    def _flush(self, entity: str, route: _Route) -> None:
        if route.held is None:
            route.held = deque()
            self.held.add(entity)
        self._end_timer(route)
        route.flush_id = next(self._ids)
        self._flushing[route.flush_id] = entity
        self._station.outbox.put_always(route.node, Flush(entity, route.flush_id))
        clock = self._station.system.clock
        limit = clock.time() + self._station.settings.flush_s
        route.timer = clock.call_at(limit, lambda: self._change_over(entity, route))

    def _change_over(self, entity: str, route: _Route) -> None:
        """Send to the present owner from now on: the former one is gone, or does not answer."""
        owner = self._station.view.owner(entity)
        if owner is None and route.held is None:
            del self._routes[entity]
            return
        route.node = owner or self._station.node
        self._open(entity, route)

    def _open(self, entity: str, route: _Route) -> None:
        self._end_timer(route)
        self._flushing.pop(route.flush_id, None)
        held, route.held = route.held, None
        self.held.discard(entity)
        for envelope in held or ():
            self._send(entity, route.node, envelope)

    def _send(self, entity: str, node: str, envelope: Envelope) -> bool:
        if node == self._station.node:
            return self._activations.put(entity, envelope)
        return self._station.send(node, entity, envelope)

    def _remember(self, entity: str, owner: str) -> _Route:
        if len(self._routes) >= self._station.settings.routes:
            self._routes = {name: route for name, route in self._routes.items() if route.held is not None}
        route = self._routes[entity] = _Route(owner)
        return route

    def _end_timer(self, route: _Route) -> None:
        if route.timer is not None:
            route.timer.cancel()
            route.timer = None
