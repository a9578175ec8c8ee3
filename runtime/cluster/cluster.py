"""One node's part in a cluster: it joins, carries entities and far refs for its actor system, and leaves.

    cluster = Cluster(system, RedisStore(clients), RedisTransport(clients), name="node-1", placed=KINDS, carries=KINDS)
    await cluster.start()           # from here on `system.entity("room", "room_12")` is wherever the cluster has it
    ...
    await cluster.drain(20.0)       # entities handed over, what was begun finished
    await cluster.stop()            # then `await system.stop()`

The kinds that this node carries are defined on the system as ever. Kinds that are not `placed` are each node's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final

import structlog

from protocols.errors import ParleyError
from runtime.cluster.codec import Codec
from runtime.cluster.errors import NodeAway
from runtime.cluster.exchange import Exchange
from runtime.cluster.intake import Intake
from runtime.cluster.leases import Leases
from runtime.cluster.membership import Identity, Membership
from runtime.cluster.outbox import Outbox
from runtime.cluster.patience import pause
from runtime.cluster.post_room import PostRoom
from runtime.cluster.settings import DEFAULT, ClusterSettings
from runtime.cluster.station import Station
from runtime.cluster.statistics import ClusterStatistics
from runtime.cluster.store import SharedStore
from runtime.cluster.tidings import Tidings
from runtime.cluster.transport import Transport
from runtime.cluster.view import View
from runtime.engine import ActorSystem, Ref
from runtime.engine.ref import FarRef

if TYPE_CHECKING:
    from runtime.engine.cell import Cell

log: Final = structlog.get_logger("parley.cluster")

LOOK_EVERY_S: Final = 0.05


class Cluster:
    """A node's membership, its placed entities and its ways to other nodes.

    `placed`: the kinds whose entities live on one node of the cluster each; `carries`: those that this node takes.
    Until the start, and after the end, messages for them are refused.
    """

    def __init__(
        self,
        system: ActorSystem,
        store: SharedStore,
        transport: Transport,
        *,
        name: str,
        placed: Collection[str],
        carries: Collection[str] | None = None,
        roles: Iterable[str] = (),
        settings: ClusterSettings = DEFAULT,
    ) -> None:
        if not name or ":" in name or "/" in name:
            raise ValueError(f"a node's name is not empty and has neither ':' nor '/': {name!r}")
        carried = frozenset(placed if carries is None else carries)
        if not carried <= frozenset(placed):
            raise ValueError(f"only placed kinds can be carried: {sorted(carried - frozenset(placed))} are not")
        self.system = system
        self.settings = settings
        self._transport = transport
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        clock, rng = system.clock, system.rng
        identity = Identity(name, carried, tuple(roles))
        self.membership = Membership(identity, store, clock, rng, settings)
        self._outbox = Outbox(transport, clock, rng, settings, self._stamp)
        codec = Codec(self.address_of, self.ref_at)
        self._exchange = Exchange(system, codec, self._outbox)
        self._station = Station(system, settings, self.membership, self._outbox, self._exchange)
        self._post = PostRoom(self._station, frozenset(placed))
        self._leases = Leases(store, clock, rng, settings, lambda: self.node, self._post.activations)
        self._post.activations.leases = self._leases
        # From now on: a ref to an entity that was made before the start is good afterwards.
        system.entities.placement = self
        self._intake = Intake(transport, clock, rng, settings, self._post)
        self.membership.follower = Tidings(self._station, self._post, self._intake, transport)

    # ---- life

    @property
    def node(self) -> str:
        """This run's id, `name:epoch`; empty before the start."""
        return self.membership.node

    @property
    def view(self) -> View:
        """Who is there, as this node knows it."""
        return self.membership.view

    async def start(self) -> None:
        """Join. Raises Unavailable when the store is away. Once only."""
        await self.membership.enrol()
        await self._transport.open(self.node)
        await self.membership.join()
        for work in (self.membership.run(), self._outbox.run(), self._intake.run(), self._leases.run()):
            self._tasks.append(self._own(work))
        log.info("joined", node=self.node, members=len(self.view.members))

    async def drain(self, within_s: float) -> bool:
        """Take no more entities, hand over those that are here, answer what was asked. Whether all was done in time.

        Until `stop` the node still passes on what comes late.
        """
        clock = self.system.clock
        deadline = clock.time() + within_s
        self.membership.identity.leaving = True
        self.membership.refresh()
        while not self._drained():
            if clock.time() >= deadline:
                log.warning("not drained in time", node=self.node, entities=len(self._post.activations))
                return False
            await pause(LOOK_EVERY_S, clock)
        return True

    async def stop(self) -> None:
        """Leave now: entities that are still here stop, and what is not answered fails. May be called twice."""
        if self._stopped:
            return
        self._stopped = True
        await self._post.activations.end(self.settings.call_timeout_s)
        await self._end_tasks()
        for goodbye in (self.membership.leave, self._transport.close) if self._tasks else ():
            try:
                await goodbye()
            except ParleyError as error:
                log.warning("left without a word", node=self.node, error=error.detail)
        self._close()
        log.info("left", node=self.node)

    def abandon(self) -> None:
        """End without a word to anybody, as a crash would: for tests."""
        self._stopped = True
        for task in self._tasks:
            task.cancel()
        self._close()

    @property
    def ended(self) -> bool:
        """Whether it has left, or given up."""
        return self._stopped

    def statistics(self) -> ClusterStatistics:
        """Figures of this node's part."""
        return ClusterStatistics(
            node=self.node,
            members=len(self.view.members),
            version=self.view.version,
            paused=self.membership.paused,
            entities=len(self._post.activations),
            asked=self._exchange.asked,
            owed=self._exchange.owed,
            outbox=self._outbox.waiting,
            frames_sent=self._outbox.frames_sent,
            parcels_sent=self._outbox.parcels_sent,
            parcels_received=self._intake.parcels,
            parcels_repeated=self._intake.repeated,
            parcels_lost=self._intake.lost,
            send_retries=self._outbox.retries,
        )

    # ---- addresses

    def address_of(self, ref: Ref) -> str:
        """The address of a ref, good on every node."""
        return self._post.addresses.of(ref)

    def ref_at(self, address: str) -> Ref:
        """The ref of an address: `kind/id`, or `name:epoch/path`. Raises InvalidArgument for what is none."""
        return self._post.addresses.ref(address)

    # ---- the engine's placement

    def ref(self, kind: str, entity_id: str) -> FarRef | None:
        """The way to an entity; None for a kind of which each node has its own."""
        return self._post.addresses.placed(kind, entity_id)

    def stopped(self, entity: str, cell: Cell) -> None:
        """The actor of an entity has stopped."""
        self._post.activations.stopped(entity, cell)

    def fence_of(self, entity: str) -> int:
        """The fencing token under which this node carries an entity; 0 when it does not."""
        return self._post.activations.fence_of(entity)

    # ---- its own parts

    def _stamp(self) -> tuple[str, int]:
        return self.node, self.view.version

    def _drained(self) -> bool:
        """Nothing is here, nothing is owed, and everybody knows that nothing is to come here."""
        membership, mine = self.membership, self.view.members.get(self.node)
        quiet = not (len(self._post.activations) or self._leases.pending or self._outbox.waiting or self._exchange.owed)
        return quiet and mine is not None and mine.leaving and membership.all_have_seen(self.view.version)

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self.system.loop.create_task(work)

    async def _end_tasks(self) -> None:
        left = set(self._tasks)
        while left:
            # Once is not always enough: a client library may take a cancellation for a failure of its own.
            for task in left:
                task.cancel()
            _, left = await asyncio.wait(left, timeout=1.0)

    def _close(self) -> None:
        self.membership.close()
        self._post.routes.close()
        self._post.watches.close()
        self._post.activations.close()
        self._exchange.close(NodeAway("this node has left the cluster"))
