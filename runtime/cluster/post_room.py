"""The post room: every frame that comes in goes to its part, and every message that goes out to its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from protocols.cluster import (
    Answer,
    Ask,
    Cancel,
    Failure,
    Flush,
    Flushed,
    Gone,
    Parcel,
    Placed,
    Released,
    Stop,
    Tell,
    Unwatch,
    Watch,
    Watching,
    Yield,
)
from protocols.errors import ParleyError
from runtime.cluster.activations import Activations
from runtime.cluster.addresses import Addresses, is_entity
from runtime.cluster.errors import NodeAway
from runtime.cluster.parked import Arrived, Parked, Wish
from runtime.cluster.routes import Routes
from runtime.cluster.station import Station
from runtime.cluster.watches import Watches
from runtime.engine import EngineError, Reason, Ref
from runtime.engine.envelope import Envelope

if TYPE_CHECKING:
    from runtime.engine.cell import Cell

Handler = Callable[[Any, Parcel], None]


class PostRoom:
    """Between the wire and the parts of one node. It is the `Ways` of this node's far refs."""

    def __init__(self, station: Station, placed: frozenset[str]) -> None:
        self.system = station.system
        self._station = station
        self._exchange = station.exchange
        self.addresses = Addresses(station.system, self, lambda: station.node, placed)
        self.activations = Activations(station, self.deliver)
        self.routes = Routes(station, self.activations)
        self.watches = Watches(station.system, station.outbox)
        self._handlers: Final[dict[type, Handler]] = {
            Tell: self._tell,
            Ask: self._ask,
            Answer: lambda frame, _: self._exchange.answered(frame),
            Failure: lambda frame, _: self._exchange.failed(frame),
            Cancel: self._placed,
            Watch: self._placed,
            Stop: self._placed,
            Flush: self._placed,
            Watching: lambda frame, parcel: self.watches.watching(frame.id, parcel.sender),
            Unwatch: lambda frame, parcel: self.watches.unwatch(parcel.sender, frame.id),
            Gone: lambda frame, _: self.watches.gone(frame.id),
            Flushed: lambda frame, parcel: self.routes.flushed(frame.id, parcel.sender),
            Yield: lambda frame, parcel: self.activations.asked_to_yield(frame.entity, parcel.sender, parcel.view),
            Released: lambda frame, _: self.activations.other_let_go(frame.entity),
        }

    # ---- what comes in: the intake's receiver

    async def caught_up(self, version: int) -> None:
        """Wait until this node knows as much of the cluster as a sender did."""
        await self._station.membership.caught_up(version)

    def is_me(self, receiver: str) -> bool:
        """Whether a parcel was for this run of the node."""
        return receiver == self._station.node

    def is_gone(self, sender: str) -> bool:
        """Whether a sender was taken for dead, and others may have gone on without it."""
        return self._station.gone.get(sender) is False

    def take(self, parcel: Parcel) -> None:
        """Handle the frames of a parcel, in order."""
        handlers = self._handlers
        for frame in parcel.frames:
            handlers[type(frame)](frame, parcel)

    def _tell(self, frame: Tell, parcel: Parcel) -> None:
        cell = self.activations.active.get(frame.target)
        if cell is not None and cell.alive:
            self._exchange.serve_tell(cell, frame)
        else:
            self._place(frame, Arrived(frame, parcel.sender))

    def _ask(self, frame: Ask, parcel: Parcel) -> None:
        due_in_s = frame.due_s - parcel.now_s
        arrived = Arrived(frame, frame.origin or parcel.sender, self.system.clock.time() + due_in_s)
        cell = self.activations.active.get(frame.target)
        if cell is not None and cell.alive:
            self._exchange.serve(cell, arrived, frame)
        else:
            self._place(frame, arrived)

    def _placed(self, frame: Cancel | Watch | Stop | Flush, parcel: Parcel) -> None:
        origin = parcel.sender if isinstance(frame, Stop) else frame.origin or parcel.sender
        self._place(frame, Arrived(frame, origin))

    def _place(self, frame: Placed, arrived: Arrived) -> None:
        if isinstance(frame, Cancel) and self._exchange.cancel(arrived.origin, frame.id):
            return
        if is_entity(frame.target):
            self.activations.put(frame.target, arrived)
            return
        try:
            ref = self.addresses.here(frame.target)
        except EngineError as error:
            self._station.refuse(arrived, error, Reason.NO_SUCH_ACTOR)
            return
        self._serve(ref, arrived)

    def deliver(self, cell: Cell, parked: Parked) -> None:
        """Give an actor of this node what came for it."""
        if isinstance(parked, Arrived):
            self._serve(cell, parked)
        elif isinstance(parked, Wish):
            self._exchange.grant(cell, parked)
        elif parked.reply is None:
            cell.tell(parked.message)
        else:
            cell.put(parked)

    def _serve(self, ref: Ref, arrived: Arrived) -> None:
        match arrived.frame:
            case Tell() as frame:
                self._exchange.serve_tell(ref, frame)
            case Ask() as frame:
                self._exchange.serve(ref, arrived, frame)
            case Cancel() as frame:
                self._exchange.cancel(arrived.origin, frame.id)
            case Watch() as frame:
                self.watches.serve(self.system.cell_of(ref), arrived.origin, frame.id)
            case Stop():
                ref.stop()
            case Flush():
                self._station.settle(arrived)

    # ---- what goes out: the ways of far refs

    def short_way(self, entity: str) -> Cell | None:
        """The cell of an entity that is at work here, if nothing sent before is still under way to it."""
        cell = self.activations.active.get(entity)
        return cell if cell is not None and cell.alive and entity not in self.routes.held else None

    def to_entity(self, entity: str, envelope: Envelope) -> bool:
        """Send to an entity, wherever it is."""
        return self.routes.put(entity, envelope)

    def to_actor(self, address: str, envelope: Envelope) -> bool:
        """Send to a certain actor of a certain node."""
        node = address.partition("/")[0]
        error: ParleyError | None = None
        if node == self._station.node:
            try:
                ref = self.addresses.here(address)
            except EngineError as gone:
                error = gone
            else:
                if isinstance(envelope, Wish):
                    self._exchange.grant(ref, envelope)
                else:
                    self.system.deliver(ref, envelope)
                return True
        elif self._station.is_gone(node):
            error = NodeAway(f"the node of {address} is gone")
        if error is None:
            return self._station.send(node, address, envelope)
        self._station.refuse(envelope, error, Reason.NO_SUCH_ACTOR, address)
        return False

    def stop_at(self, address: str) -> None:
        """Have an actor stopped, or an entity if it is active."""
        arrived = Arrived(Stop(address), self._station.node)
        if is_entity(address):
            owner = self._station.view.owner(address)
            if address in self.activations or owner in (None, self._station.node):
                self.activations.put(address, arrived)
            else:
                self._station.send(owner, address, arrived)
        elif not self._station.is_gone(node := address.partition("/")[0]):
            self._station.send(node, address, arrived)

    def cell_at(self, address: str) -> Cell | None:
        """The cell of an address that is on this node."""
        try:
            return self.system.cell_of(self.addresses.here(address))
        except EngineError:
            return None

    def stand_in(self, address: str) -> Cell:
        """What to watch in place of an actor elsewhere, or of an entity that has not started."""
        return self.watches.stand_in(address, lambda watch_id: self._send_watch(address, watch_id))

    def _send_watch(self, address: str, watch_id: int) -> str | None:
        arrived = Arrived(Watch(address, watch_id), self._station.node)
        node = address.partition("/")[0]
        if is_entity(address):
            owner = self._station.view.owner(address)
            if owner == self._station.node or address in self.activations:
                self.activations.put(address, arrived)
                return self._station.node
            if owner is None:
                return None
            node = owner
        elif node == self._station.node or self._station.is_gone(node):
            return None
        self._station.send(node, address, arrived)
        return node
