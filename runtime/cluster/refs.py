"""Refs to what may live on another node: an entity, wherever it is placed, and a certain actor of a certain node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Protocol

from protocols.cluster import Want
from runtime.cluster.parked import Wish
from runtime.engine.envelope import Envelope
from runtime.engine.ref import FarRef

if TYPE_CHECKING:
    from runtime.engine.cell import Cell
    from runtime.engine.system import ActorSystem


class Ways(Protocol):
    """What far refs need of their node."""

    system: ActorSystem

    def short_way(self, entity: str) -> Cell | None:
        """The cell of an entity that may be told and asked directly, here and now."""

    def to_entity(self, entity: str, envelope: Envelope) -> bool:
        """Send to an entity. False: refused, and a dead letter says why."""

    def to_actor(self, address: str, envelope: Envelope) -> bool:
        """Send to a certain actor. False: refused, and a dead letter says why."""

    def stop_at(self, address: str) -> None:
        """Have what is at an address stopped."""

    def cell_at(self, address: str) -> Cell | None:
        """The cell of an actor that is on this node."""

    def stand_in(self, address: str) -> Cell:
        """What to watch in its place."""


class _Far(FarRef):
    """What both kinds have in common: everything but the way."""

    __slots__ = ("_ways", "address")

    def __init__(self, ways: Ways, address: str) -> None:
        self._ways = ways
        self.address = address

    def _send(self, envelope: Envelope) -> bool:
        raise NotImplementedError

    def tell(self, message: object) -> bool:
        """Send a message. True says that it is on its way; what becomes of it later shows where it ends."""
        return self._send(Envelope(message))

    def ask(self, message: object, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Send a message; the future holds its answer."""
        return self._await(message, timeout_s, Want.ANSWER)

    def wait_tell(self, message: object, timeout_s: float | None = None) -> Awaitable[None]:
        """Send a message, and wait until it is in the mailbox."""
        return self._await(message, timeout_s, Want.ROOM)

    def wait_stopped(self) -> Awaitable[None]:
        """Wait until it has stopped. NodeAway when its node is gone."""
        return self._await(None, float("inf"), Want.STOPPED)

    def put(self, envelope: Envelope) -> None:
        """Take in a message that comes with its envelope."""
        self._send(envelope)

    def stop(self) -> None:
        """Have it stopped."""
        self._ways.stop_at(self.address)

    def stand_in(self) -> Cell:
        """What to watch in its place."""
        return self._ways.stand_in(self.address)

    def _await(self, message: object, timeout_s: float | None, want: Want) -> asyncio.Future[Any]:
        system = self._ways.system
        reply = system.create_future()
        deadline = system.asks.add(reply, system.ask_timeout_s if timeout_s is None else timeout_s)
        plain = want is Want.ANSWER
        self._send(Envelope(message, reply, deadline) if plain else Wish(message, reply, deadline, want))
        return reply

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Far) and other.address == self.address and other._ways is self._ways

    def __hash__(self) -> int:
        return hash(self.address)


class RemoteRef(_Far):
    """That very actor: `name:epoch/path`."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """The address: it is in the tree of another node."""
        return self.address

    def here(self) -> Cell | None:
        """Its cell, if it is an actor of this node after all."""
        return self._ways.cell_at(self.address)

    def _send(self, envelope: Envelope) -> bool:
        return self._ways.to_actor(self.address, envelope)


class PlacedRef(_Far):
    """An entity: `kind/id`, on whichever node carries it now."""

    __slots__ = ()

    @property
    def path(self) -> str:
        """`kind/id`."""
        return self.address

    def tell(self, message: object) -> bool:
        """Put a message into its mailbox, here or elsewhere."""
        cell = self._ways.short_way(self.address)
        return cell.tell(message) if cell is not None else self._send(Envelope(message))

    def ask(self, message: object, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Ask the entity, here or elsewhere."""
        cell = self._ways.short_way(self.address)
        return cell.ask(message, timeout_s) if cell is not None else self._await(message, timeout_s, Want.ANSWER)

    def wait_tell(self, message: object, timeout_s: float | None = None) -> Awaitable[None]:
        """Put a message into its mailbox, waiting for room if it lets its senders wait."""
        cell = self._ways.short_way(self.address)
        if cell is not None:
            return cell.wait_tell(message, timeout_s)
        return self._await(message, timeout_s, Want.ROOM)

    def here(self) -> Cell | None:
        """Its cell, if it is at work on this node."""
        return self._ways.short_way(self.address)

    def stand_in(self) -> Cell:
        """What to watch: the entity itself if it is here, else what stands in for it. It is started if need be."""
        return self.here() or super().stand_in()

    def _send(self, envelope: Envelope) -> bool:
        return self._ways.to_entity(self.address, envelope)
