"""Nodes of a simulated cluster: each an actor system with its own clock, dispatcher and link, all on one virtual loop.

async with SimulatedCluster(sim, define, placed=("room",)) as nodes:
    first, second = await nodes.start("first"), await nodes.start("second")
    nodes.crash("first")
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random
from typing import Self

from runtime.cluster import Cluster, ClusterSettings
from runtime.engine import ActorSystem, LoopClock
from runtime.engine.cell import Cell
from runtime.engine.clock import Handle
from runtime.testkit.dispatcher import SeededDispatcher
from runtime.testkit.network import Link, Medium, SimulatedStore, SimulatedTransport
from runtime.testkit.simulation import EPOCH_S, Simulation


class StoppableDispatcher(SeededDispatcher):
    """A dispatcher that can be made to stand still, as a process that gets no time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: Random) -> None:
        super().__init__(loop, rng)
        self._kept: list[Cell] | None = None

    def ready(self, cell: Cell) -> None:
        """Take a cell with work in."""
        if self._kept is None:
            super().ready(cell)
        else:
            self._kept.append(cell)

    def halt(self) -> None:
        """Give nobody a turn from now on."""
        if self._kept is None:
            self._kept, self._ready = self._ready, []

    def go_on(self) -> None:
        """Give turns again."""
        kept, self._kept = self._kept or [], None
        for cell in kept:
            super().ready(cell)

    def _turn(self) -> None:
        if self._ready:
            super()._turn()
        else:
            self._armed = False


class StoppableClock(LoopClock):
    """A clock whose calls can be held back; its time goes on."""

    __slots__ = ("_held",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, wall=lambda: EPOCH_S + loop.time())
        self._held: list[Callable[[], object]] | None = None

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """Call back at `when`, or as soon as the clock is not held any more."""
        call = _Call(callback)
        call.handle = super().call_at(when, lambda: self._due(call))
        return call

    def halt(self) -> None:
        """Hold calls back."""
        self._held = self._held or []

    def go_on(self) -> None:
        """Make the calls that were held back, and hold no more."""
        held, self._held = self._held or [], None
        for call in held:
            call()

    def _due(self, call: _Call) -> None:
        if self._held is None:
            call()
        else:
            self._held.append(call)


class _Call:
    """A call that may be taken back, also while it is held."""

    __slots__ = ("_callback", "handle")

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback
        self.handle: Handle | None = None

    def __call__(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()

    def cancel(self) -> None:
        self._callback = None
        if self.handle is not None:
            self.handle.cancel()


@dataclass(slots=True)
class SimulatedNode:
    """One run of a node."""

    name: str
    system: ActorSystem
    cluster: Cluster
    link: Link
    clock: StoppableClock
    dispatcher: StoppableDispatcher

    @property
    def runs(self) -> bool:
        """Whether it has neither left nor died."""
        return not self.link.dead


class SimulatedCluster:
    """Several nodes in one process. `define` defines a node's kinds on its system."""

    def __init__(
        self,
        sim: Simulation,
        define: Callable[[SimulatedNode], None],
        *,
        placed: Collection[str],
        settings: ClusterSettings | None = None,
    ) -> None:
        self.medium = Medium(sim.loop, Random(sim.rng.random()))
        self.nodes: dict[str, SimulatedNode] = {}
        self._sim = sim
        self._define = define
        self._placed = tuple(placed)
        self._settings = settings or ClusterSettings()
        self._over: list[SimulatedNode] = []

    @property
    def running(self) -> list[SimulatedNode]:
        """The nodes that run, in the order of their start."""
        return [node for node in self.nodes.values() if node.runs]

    async def start(self, name: str, carries: Collection[str] | None = None) -> SimulatedNode:
        """Start a node, or one that died or left anew."""
        if name in self.nodes:
            self._over.append(self.nodes.pop(name))
        rng = self._sim.rng
        clock = StoppableClock(self._sim.loop)
        dispatcher = StoppableDispatcher(self._sim.loop, Random(rng.random()))
        link = Link(name)
        system = ActorSystem(name, clock=clock, rng=Random(rng.random()), dispatcher=dispatcher)
        cluster = Cluster(
            system,
            SimulatedStore(self.medium, link),
            SimulatedTransport(self.medium, link),
            name=name,
            placed=self._placed,
            carries=carries,
            settings=self._settings,
        )
        node = self.nodes[name] = SimulatedNode(name, system, cluster, link, clock, dispatcher)
        self._define(node)
        await cluster.start()
        return node

    def crash(self, name: str) -> None:
        """Kill a node: nothing that it does is seen any more."""
        node = self.nodes[name]
        self.resume(name)
        node.link.dead = True
        node.dispatcher.halt()
        node.clock.halt()
        node.cluster.abandon()

    async def leave(self, name: str, within_s: float = 20.0) -> bool:
        """Let a node drain and leave. Whether it drained in time."""
        node = self.nodes[name]
        drained = await node.cluster.drain(within_s)
        await node.cluster.stop()
        node.link.dead = True
        return drained

    def pause(self, name: str) -> None:
        """Let a node stand still, as a process that gets no time."""
        node = self.nodes[name]
        node.link.pause()
        node.dispatcher.halt()
        node.clock.halt()

    def resume(self, name: str) -> None:
        """Let it go on."""
        node = self.nodes[name]
        node.clock.go_on()
        node.dispatcher.go_on()
        node.link.resume()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in (*self.nodes.values(), *self._over):
            node.clock.go_on()
            node.dispatcher.go_on()
            node.link.dead = True
            node.link.resume()
            node.cluster.abandon()
        for node in (*self.nodes.values(), *self._over):
            await node.system.stop()
