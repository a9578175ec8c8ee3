"""How an entity comes to be at work on this node: messages wait, the lease is asked for, and then it starts.

What comes for an entity that another node is to carry is passed on, in order, behind what waited for it before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from protocols.cluster import Released, Yield
from protocols.errors import ParleyError
from runtime.cluster.activation import Activation, Stage
from runtime.cluster.errors import NodeAway
from runtime.cluster.leases import Leases
from runtime.cluster.parked import Parked, is_of_use, wakes
from runtime.cluster.station import Station
from runtime.engine import HandlerFailed, MailboxFull, Reason

if TYPE_CHECKING:
    from runtime.engine.cell import Cell

log: Final = structlog.get_logger("parley.cluster")

ASK_AGAIN_S: Final = 0.1
"""How long to wait before a lease that another node held is asked for again, unless that node says first it let go."""

Deliver = Callable[["Cell", Parked], None]


class Arrivals:
    """The way of entities to this node, and past it. `deliver` gives what waited to the actor."""

    def __init__(self, station: Station, deliver: Deliver) -> None:
        self._station = station
        self._deliver = deliver
        self._all: dict[str, Activation] = {}
        self._paused = self._ending = False
        self._askers: dict[str, set[str]] = {}
        self._emptied: asyncio.Future[None] | None = None
        self.leases: Leases
        # Told of an entity that went to another owner, behind all that was passed on to it.
        self.moved: Callable[[str, str], None] = _nobody_to_tell
        # The short way: those at work here, whose mailbox takes messages without another look.
        self.active: dict[str, Cell] = {}

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, entity: str) -> bool:
        return entity in self._all

    def fence_of(self, entity: str) -> int:
        """The token under which this node carries an entity; 0 when it does not."""
        activation = self._all.get(entity)
        return activation.fence if activation is not None else 0

    def put(self, entity: str, parked: Parked) -> bool:
        """Take in what is for an entity, for this node or to pass on. False: refused, and who sent it was told."""
        activation = self._all.get(entity)
        if activation is None:
            return self._put_first(entity, parked)
        cell = self.active.get(entity)
        if cell is not None and cell.alive:
            self._deliver(cell, parked)
            return True
        return self._park(activation, parked)

    def _put_first(self, entity: str, parked: Parked) -> bool:
        owner = self._station.view.owner(entity)
        if owner != self._station.node and not self._paused:
            return self._pass_on(entity, parked, owner)
        if not wakes(parked) and not self._paused:
            self._station.settle(parked)
            return True
        activation = self._all[entity] = Activation(entity, self._now())
        taken = self._park(activation, parked)
        self._decide(activation)
        return taken

    def _park(self, activation: Activation, parked: Parked) -> bool:
        if len(activation.queue) >= self._station.settings.hold:
            error = MailboxFull(f"too many messages wait for {activation.entity} to start here")
            self._station.refuse(parked, error, Reason.MAILBOX_FULL, activation.entity)
            return False
        activation.queue.append(parked)
        return True

    def _pass_on(self, entity: str, parked: Parked, owner: str | None) -> bool:
        if owner is None:
            error = NodeAway(f"no node carries {entity.partition('/')[0]!r} entities now")
            self._station.refuse(parked, error, target=entity)
            return False
        return self._station.send(owner, entity, parked)

    # ---- coming

    def _decide(self, activation: Activation) -> None:
        """Go for the lease, or send what waits to the owner."""
        if self._ending:
            self._give_up(activation, NodeAway("this node is leaving the cluster"))
            return
        if self._paused or activation.stage is not Stage.COMING:
            return
        station, entity = self._station, activation.entity
        waited_s = self._now() - activation.began
        if waited_s > station.settings.hold_s:
            self._give_up(activation, NodeAway(f"{entity} could not start within {waited_s:.0f} s"))
        elif station.view.owner(entity) == station.node:
            self.leases.want(entity)
        else:
            self._move(activation)

    def _again_in(self, activation: Activation, seconds: float) -> None:
        activation.end_timer()

        def again() -> None:
            activation.timer = None
            if self._all.get(activation.entity) is activation:
                self._decide(activation)

        activation.timer = self._station.system.clock.call_at(self._now() + seconds, again)

    def granted(self, entity: str, fence: int) -> None:
        """The lease is this node's."""
        activation = self._all.get(entity)
        if activation is None or activation.stage is not Stage.COMING:
            self.leases.let_go(entity, fence)
            return
        activation.fence = fence
        activation.end_timer()
        if self._paused:
            return  # `verified` takes it from here
        if self._station.view.owner(entity) != self._station.node or not any(map(wakes, activation.queue)):
            self._move(activation)
        else:
            self._begin(activation)

    def denied(self, entity: str, holder: str) -> None:
        """Another node holds it still."""
        activation = self._all.get(entity)
        if activation is None:
            self._askers.pop(entity, None)
            return
        if activation.stage is not Stage.COMING:
            return
        if holder:
            self._station.outbox.put_always(holder, Yield(entity))
        # Who holds it may know more of the cluster than this node does.
        self._station.membership.refresh()
        self._again_in(activation, ASK_AGAIN_S * (0.5 + self._station.system.rng.random()))

    def _begin(self, activation: Activation) -> None:
        kind, _, entity_id = activation.entity.partition("/")
        try:
            cell = self._station.system.entities.start(kind, entity_id)
        except Exception as error:
            log.error("entity cannot start", entity=activation.entity, exc_info=error)
            self._give_up(activation, HandlerFailed(f"{activation.entity} cannot start; the log says why"))
            return
        activation.cell, activation.stage = cell, Stage.HERE
        self.active[activation.entity] = cell
        self._hand_in(activation)

    def _hand_in(self, activation: Activation) -> None:
        while activation.queue and activation.cell is not None:
            self._deliver(activation.cell, activation.queue.popleft())

    def _give_up(self, activation: Activation, error: ParleyError) -> None:
        queue = list(activation.queue)
        activation.queue.clear()
        self._forget(activation)
        for parked in queue:
            self._station.refuse(parked, error, target=activation.entity)

    # ---- going on to another node

    def _move(self, activation: Activation) -> None:
        """Send what waits to the owner, and let go."""
        queue, owner = list(activation.queue), self._station.view.owner(activation.entity)
        activation.queue.clear()
        if owner is not None and owner != self._station.node:
            activation.askers.add(owner)
        self._forget(activation)
        for parked in filter(is_of_use, queue):
            if owner == self._station.node:
                self.put(activation.entity, parked)
            else:
                self._pass_on(activation.entity, parked, owner)
        if owner is not None and owner != self._station.node:
            self.moved(activation.entity, owner)

    def _forget(self, activation: Activation) -> None:
        activation.end_timer()
        del self._all[activation.entity]
        if activation.fence:
            self._askers.setdefault(activation.entity, set()).update(activation.askers)
            self.leases.let_go(activation.entity, activation.fence)
        if not self._all and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def released(self, entity: str) -> None:
        """The store has taken a lease back."""
        for asker in sorted(self._askers.pop(entity, ())):
            self._station.outbox.put_always(asker, Released(entity))

    def _now(self) -> float:
        return self._station.system.clock.time()


def _nobody_to_tell(entity: str, owner: str) -> None:
    """Until somebody wants to know."""
