"""Watching across nodes. Here a stand-in, a bare actor, stops when the watched one elsewhere has, or its node is gone;
there one lookout watches for all other nodes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from protocols.cluster import Gone, Unwatch, Watching
from runtime.cluster.outbox import Outbox
from runtime.engine import Actor, ActorSystem, Terminated, on, watch
from runtime.engine.clock import Handle

if TYPE_CHECKING:
    from runtime.engine.cell import Cell

SWEEP_S: Final = 10.0
"""How long a stand-in may be left that nobody watches any more."""


class Lookout(Actor):
    """Parent of the stand-ins, and the watcher in the name of all other nodes."""

    def __init__(self, gone: Callable[[Cell], None]) -> None:
        self._gone = gone

    @on(Terminated)
    def terminated(self, notice: Terminated) -> None:
        """An actor of this node has stopped."""
        self._gone(self.system.cell_of(notice.ref))


class StandIn(Actor):
    """Lives as long as an actor elsewhere, as far as is known here."""


@dataclass(slots=True)
class _Outgoing:
    """A watch on an actor elsewhere. `node` has it, or was asked last."""

    address: str
    node: str
    cell: Cell


class Watches:
    """Both ends of every watch that crosses nodes."""

    def __init__(self, system: ActorSystem, outbox: Outbox) -> None:
        self._system = system
        self._outbox = outbox
        self._lookout = system.cell_of(system.spawn(Lookout, self._target_gone, name="cluster"))
        self._ids = itertools.count(1)
        self._outgoing: dict[int, _Outgoing] = {}
        self._by_address: dict[str, int] = {}
        self._incoming: dict[Cell, dict[tuple[str, int], None]] = {}
        self._timer: Handle | None = None

    # ---- watches of this node's actors on others

    def stand_in(self, address: str, send: Callable[[int], str | None]) -> Cell:
        """The actor that stands for the one at `address`. `send(id)` sends the watch, and returns to which node."""
        known = self._by_address.get(address)
        if known is not None:
            return self._outgoing[known].cell
        watch_id = next(self._ids)
        cell = self._system.spawn_under(self._lookout, StandIn)
        self._outgoing[watch_id] = outgoing = _Outgoing(address, "", cell)
        self._by_address[address] = watch_id
        node = send(watch_id)
        if node is None:
            self.gone(watch_id)
        else:
            outgoing.node = node
            self._arm()
        return cell

    def watching(self, watch_id: int, by: str) -> None:
        """Node `by` keeps the watch."""
        if watch_id in self._outgoing:
            self._outgoing[watch_id].node = by
        else:
            self._outbox.put_always(by, Unwatch(watch_id))

    def gone(self, watch_id: int) -> None:
        """What the watch was on has stopped."""
        outgoing = self._outgoing.pop(watch_id, None)
        if outgoing is not None:
            del self._by_address[outgoing.address]
            outgoing.cell.stop()

    # ---- watches of other nodes on this one's actors

    def serve(self, cell: Cell, origin: str, watch_id: int) -> None:
        """Watch an actor for a node."""
        if cell.stopped:
            self._outbox.put_always(origin, Gone(watch_id))
            return
        self._outbox.put_always(origin, Watching(watch_id))
        if cell not in self._incoming:
            self._incoming[cell] = {}
            watch.watch(self._lookout, cell, cell)
        self._incoming[cell][origin, watch_id] = None

    def unwatch(self, origin: str, watch_id: int) -> None:
        """A node takes its watch back."""
        for cell, watchers in list(self._incoming.items()):
            if watchers.pop((origin, watch_id), watchers) is None:
                self._end_if_unwatched(cell)
                return

    def node_gone(self, node: str) -> None:
        """A node has died: whatever it had has stopped, and it watches nobody any more."""
        for watch_id in [watch_id for watch_id, one in self._outgoing.items() if one.node == node]:
            self.gone(watch_id)
        for cell, watchers in list(self._incoming.items()):
            for key in [key for key in watchers if key[0] == node]:
                del watchers[key]
            self._end_if_unwatched(cell)

    def begin_again(self) -> None:
        """This node has a new id: the others have forgotten the old one, and its watches with it."""
        for watch_id in list(self._outgoing):
            self.gone(watch_id)
        for cell in list(self._incoming):
            self._incoming[cell].clear()
            self._end_if_unwatched(cell)

    def close(self) -> None:
        """Let go of the timer. The actors end with the system."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _target_gone(self, cell: Cell) -> None:
        for origin, watch_id in self._incoming.pop(cell, ()):
            self._outbox.put_always(origin, Gone(watch_id))

    def _end_if_unwatched(self, cell: Cell) -> None:
        if not self._incoming[cell]:
            del self._incoming[cell]
            watch.unwatch(self._lookout, cell)

    def _arm(self) -> None:
        if self._timer is None:
            clock = self._system.clock
            self._timer = clock.call_at(clock.time() + SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Take back the watches that nobody here is interested in any more."""
        self._timer = None
        for watch_id, outgoing in list(self._outgoing.items()):
            if not outgoing.cell.particulars.watchers:
                self._outbox.put_always(outgoing.node, Unwatch(watch_id))
                self.gone(watch_id)
        if self._outgoing:
            self._arm()
