"""Two nodes as they run: membership, leases, deadlines and numbering are on. The counter is an entity of the other."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from protocols.messages import message
from runtime.cluster import Cluster, RedisStore, RedisTransport
from runtime.engine import Actor, ActorSystem, Ref
from runtime.redis import RedisClients
from tests.bench.benches.queue.server import url
from tests.bench.benches.remote import far_side
from tests.bench.pace import ASKS_EACH, BURST, CALLERS, all_handled, on_loop, rate

KINDS: Final = ("counter",)


@message("bench.remote_hit")
class Hit:
    """Count one."""


class Counter(Actor):
    """Counts its messages."""

    def __init__(self, entity_id: str) -> None:
        self.count = 0

    def receive(self, message: Any) -> int:
        self.count += 1
        return self.count


async def in_cluster(name: str, carries: tuple[str, ...], work: Callable[[Cluster], Awaitable[float]]) -> float:
    """Do something as a node."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    clients = RedisClients(url())
    system = ActorSystem(name)
    system.entities.define("counter", Counter)
    cluster = Cluster(system, RedisStore(clients), RedisTransport(clients), name=name, placed=KINDS, carries=carries)
    try:
        await cluster.start()
        return await work(cluster)
    finally:
        await cluster.stop()
        await system.stop()
        await clients.aclose()


async def _counter(cluster: Cluster) -> Ref:
    while not cluster.view.carriers("counter"):
        cluster.membership.refresh()
        await asyncio.sleep(0.01)
    ref = cluster.system.entity("counter", "one")
    assert await ref.ask(Hit(), 5.0) == 1
    return ref


async def _ask(cluster: Cluster, scale: float) -> float:
    ref = await _counter(cluster)

    async def questions() -> int:
        for _ in range(100):
            await ref.ask(Hit())
        return 100

    return await rate(questions, scale)


async def _ask_64(cluster: Cluster, scale: float) -> float:
    ref = await _counter(cluster)

    async def caller() -> None:
        for _ in range(ASKS_EACH):
            await ref.ask(Hit())

    async def questions() -> int:
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return CALLERS * ASKS_EACH

    return await rate(questions, 2 * scale)


async def _tell(cluster: Cluster, scale: float) -> float:
    ref, told = await _counter(cluster), 1

    async def burst() -> int:
        nonlocal told
        for _ in range(BURST):
            ref.tell(Hit())
        told += BURST + 1
        all_handled(await ref.ask(Hit()), told)
        return BURST + 1

    return await rate(burst, 2 * scale)


def _measured(measure: Callable[[Cluster, float], Awaitable[float]]) -> Callable[[float], float]:
    def run(scale: float) -> float:
        process = far_side.start("tests.bench.benches.remote.parley_far_node")
        try:
            return on_loop(in_cluster("near", (), lambda cluster: measure(cluster, scale)))
        finally:
            far_side.end(process)

    return run


MEASURES: Final = {"ask": _measured(_ask), "ask_64": _measured(_ask_64), "tell": _measured(_tell)}
