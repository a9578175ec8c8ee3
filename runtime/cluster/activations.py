"""The entities of this node: each begins under a lease of its own, and leaves before another node may begin it.

What comes for an entity that is not at work here waits while it comes, and moves on, in order, when another node is to
carry it. An entity that moves works off its mailbox, runs its `stopped` hook, and only then gives its lease back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from runtime.cluster.activation import Activation, Stage
from runtime.cluster.arrivals import Arrivals
from runtime.cluster.errors import NodeAway
from runtime.cluster.parked import Arrived, wakes
from runtime.cluster.store import Lease

if TYPE_CHECKING:
    from runtime.engine.cell import Cell

log: Final = structlog.get_logger("parley.cluster")


class Activations(Arrivals):
    """Every entity that is here, comes or leaves, and what the cluster's changes mean to it."""

    # ---- leaving

    def asked_to_yield(self, entity: str, asker: str, view: int) -> None:
        """Another node is to carry this entity, as it sees the cluster."""
        activation = self._all.get(entity)
        if activation is None:
            self._askers.setdefault(entity, set()).add(asker)
            # Should the store hold a lease of this node that it knows nothing of, it is found, and given back.
            self.leases.clear_up(entity)
            return
        activation.askers.add(asker)
        if activation.stage is Stage.HERE and view == self._station.view.version:
            # Both may be right: one of them was out of touch. Whoever asks has messages waiting.
            self._leave(activation)

    def other_let_go(self, entity: str) -> None:
        """The node that held an entity does not any more."""
        activation = self._all.get(entity)
        if activation is not None and activation.stage is Stage.COMING:
            self._decide(activation)

    def _leave(self, activation: Activation) -> None:
        activation.stage = Stage.LEAVING
        self.active.pop(activation.entity, None)
        activation.drain()
        cell = activation.cell
        if cell is not None and cell.alive:
            limit = self._now() + self._station.settings.handover_s
            activation.timer = self._station.system.clock.call_at(limit, cell.stop)

    def stopped(self, entity: str, cell: Cell) -> None:
        """An entity's actor has stopped: to rest, to move, or for good."""
        activation = self._all.get(entity)
        if activation is None or activation.cell is not cell:
            return
        self.active.pop(entity, None)
        activation.end_timer()
        activation.cell, activation.paused = None, None
        if activation.stage is Stage.LOST:
            activation.fence = 0
        activation.stage, activation.began = Stage.COMING, self._now()
        if self._ending:
            self._give_up(activation, NodeAway("this node is leaving the cluster"))
        elif self._station.view.owner(entity) == self._station.node and any(map(wakes, activation.queue)):
            self._decide(activation)  # its next life, under a token of its own
        else:
            self._move(activation)

    async def end(self, within_s: float) -> None:
        """Stop what is here, and refuse what waits for it."""
        self._ending = True
        for activation in list(self._all.values()):
            if activation.stage is Stage.COMING:
                self._decide(activation)
            elif activation.cell is not None:
                activation.cell.stop()
        if self._all:
            emptied = self._emptied = self._station.system.create_future()
            handle = self._station.system.clock.call_at(self._now() + within_s, lambda: _end(emptied))
            await emptied
            handle.cancel()

    def close(self) -> None:
        """Let go of timers."""
        self._ending = True
        for activation in self._all.values():
            activation.end_timer()

    # ---- the cluster around it

    def view_changed(self) -> None:
        """Entities of other owners leave; those that come are decided on anew."""
        view, node = self._station.view, self._station.node
        for activation in list(self._all.values()):
            if activation.stage is Stage.COMING:
                self._decide(activation)
            elif activation.stage is Stage.HERE and view.owner(activation.entity) != node:
                self._leave(activation)

    def pause(self) -> None:
        """Let nothing be handled: the leases may be another's before long."""
        self._paused = True
        self.active.clear()
        for activation in self._all.values():
            activation.pause()

    async def verify(self) -> None:
        """Find out which leases hold. An entity whose lease is gone stops. Raises Unavailable."""
        for lease in await self.leases.lost(self._held):
            activation = self._all.get(lease.entity)
            if activation is not None and activation.fence == lease.fence:
                self._lose(activation)

    def _held(self) -> list[Lease]:
        return [Lease(activation.entity, activation.fence) for activation in self._all.values() if activation.fence]

    def resume(self) -> None:
        """Go on with what this node still holds."""
        self._paused = False
        for activation in list(self._all.values()):
            activation.resume()
            if activation.stage is Stage.HERE and activation.cell is not None:
                self.active[activation.entity] = activation.cell
                if activation.cell.alive:
                    self._hand_in(activation)
        self.view_changed()

    def lose_all(self) -> None:
        """None of the leases holds any more, and none is to be given back."""
        for activation in list(self._all.values()):
            activation.fence = 0
            # What others sent was given up by them: they may have sent more since, on another way.
            given_up = [parked for parked in activation.queue if isinstance(parked, Arrived)]
            activation.queue = deque(parked for parked in activation.queue if not isinstance(parked, Arrived))
            for parked in given_up:
                self._station.refuse(parked, NodeAway("this node was cut off from the others"))
            self._lose(activation)

    def _lose(self, activation: Activation) -> None:
        log.warning("lease lost", entity=activation.entity, fence=activation.fence)
        self.active.pop(activation.entity, None)
        if activation.cell is None:
            activation.fence = 0
        else:
            activation.stage = Stage.LOST
            activation.cell.stop()


def _end(emptied: asyncio.Future[None]) -> None:
    if not emptied.done():
        emptied.set_result(None)
