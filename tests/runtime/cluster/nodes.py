"""Nodes in one process on a real server, and the actors that the tests of the cluster talk to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from protocols.errors import FieldFault, InvalidArgument
from protocols.messages import message
from runtime.cluster import Cluster, ClusterSettings, RedisStore, RedisTransport
from runtime.engine import Actor, ActorSystem, Options, Overflow, Ref, Terminated, on
from runtime.redis import RedisClients

QUICK = ClusterSettings(beat_s=0.1, ttl_s=1.5, margin_s=0.5, handover_s=3.0)
KINDS = ("counter", "gate")


@message("test.cluster_add")
class Add:
    """Answer: the total."""

    amount: int


@message("test.cluster_where")
class Where:
    """Answer: (node, fencing token)."""


@message("test.cluster_ask_via")
class AskVia:
    """Ask `target` to add one, and answer what it answers."""

    target: Ref


@message("test.cluster_refuse")
class Refuse:
    """Is refused, with a fault."""


@message("test.cluster_fail")
class Fail:
    """Breaks its handler."""


@message("test.cluster_watch")
class WatchIt:
    """Have the receiver watch a ref."""

    target: Ref


@message("test.cluster_wait")
class Wait:
    """Is answered when the gate opens."""


@message("test.cluster_open")
class Open:
    """Opens the gate. Answer: how many waited."""


@message("test.cluster_me")
class WhoAreYou:
    """Answer: the receiver's own ref."""


class Unregistered:
    """No message."""


class Counter(Actor):
    """Counts, and does what else a test needs."""

    def __init__(self, entity_id: str) -> None:
        self.total = 0
        self.gone: list[str] = []

    @on(Add)
    def add(self, message: Add) -> int:
        self.total += message.amount
        return self.total

    @on(Where)
    def where(self, message: Where) -> tuple[str, int]:
        return self.system.name, self.fence

    @on(AskVia)
    async def ask_via(self, message: AskVia) -> object:
        return await self.ask(message.target, Add(1))

    @on(Refuse)
    def refuse(self, message: Refuse) -> None:
        raise InvalidArgument("no such amount", retry_after_s=2.5, faults=[FieldFault("amount", "is wrong")])

    @on(Fail)
    def fail(self, message: Fail) -> None:
        raise RuntimeError("broken")

    @on(WatchIt)
    def watch_it(self, message: WatchIt) -> None:
        self.watch(message.target)

    @on(Terminated)
    def terminated(self, message: Terminated) -> None:
        self.gone.append(message.ref.path)

    @on(WhoAreYou)
    def who(self, message: WhoAreYou) -> Ref:
        return self.ref


class Gate(Actor):
    """Lets its askers wait."""

    def __init__(self, entity_id: str) -> None:
        self.waiting: list[object] = []

    @on(Wait)
    def wait(self, message: Wait) -> None:
        self.waiting.append(self.defer())

    @on(Open)
    def open(self, message: Open) -> int:
        return sum(reply.wanted for reply in self.waiting)  # type: ignore[attr-defined]


@dataclass(slots=True)
class Node:
    """One node of a test."""

    system: ActorSystem
    cluster: Cluster
    clients: RedisClients

    def counter(self, entity_id: str) -> Ref:
        return self.system.entity("counter", entity_id)


@dataclass(slots=True)
class Nodes:
    """The nodes of one test."""

    url: str
    all: list[Node] = field(default_factory=list)

    async def start(
        self, name: str, carries: Collection[str] = KINDS, settings: ClusterSettings = QUICK, url: str | None = None
    ) -> Node:
        clients = RedisClients(url or self.url)
        system = ActorSystem(name)
        system.entities.define("counter", Counter)
        system.entities.define("gate", Gate, options=Options(capacity=2, overflow=Overflow.WAIT))
        cluster = Cluster(
            system,
            RedisStore(clients),
            RedisTransport(clients),
            name=name,
            placed=KINDS,
            carries=carries,
            settings=settings,
        )
        node = Node(system, cluster, clients)
        self.all.append(node)
        await cluster.start()
        await until(lambda: all(len(one.cluster.view.members) == len(self.running) for one in self.running))
        return node

    @property
    def running(self) -> list[Node]:
        return [node for node in self.all if node.cluster.node and not node.cluster.ended]

    async def stop(self) -> None:
        for node in self.all:
            await node.cluster.stop()
            await node.system.stop()
            await node.clients.aclose()


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)


def owned_by(node: Node, count: int = 1, kind: str = "counter") -> list[str]:
    """Ids of entities that a node carries, as it sees the cluster."""
    view, found = node.cluster.view, list[str]()
    for number in range(10_000):
        if view.owner(f"{kind}/e{number}") == node.cluster.node:
            found.append(f"e{number}")
            if len(found) == count:
                break
    return found
