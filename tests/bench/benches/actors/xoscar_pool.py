"""xoscar in its fastest form: caller and actors in the main process of one pool (`n_process=0`), under uvloop.

`create_actor` gives a ref that talks to the pool by messages; `actor_ref` turns it into a local one, over ten times as
fast, which calls the method under the actor's lock: there is no mailbox. A `tell` makes a task and is to be awaited.
Spawning gathers many `create_actor` calls of one actor, a little faster than one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import xoscar as xo

from tests.bench.benches.actors.hit import HIT
from tests.bench.pace import ASKS_EACH, BURST, CALLERS, all_handled, herds, on_loop, rate, scaled, settled_bytes

SPAWNED: Final = 1_000
IDLE: Final = 20_000


class Counter(xo.Actor):  # type: ignore[misc]
    """Counts its messages."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def hit(self, message: object) -> int:
        self.count += 1
        return self.count


class Parent(xo.Actor):  # type: ignore[misc]
    """Creates counters beside itself."""

    async def spawn(self, count: int) -> list[Any]:
        refs = await asyncio.gather(*(xo.create_actor(Counter, address=self.address) for _ in range(count)))
        return list(refs)


async def _started(kind: type, address: str) -> Any:
    return await xo.actor_ref(await xo.create_actor(kind, address=address))


async def _tell(address: str, scale: float) -> float:
    ref, told = await _started(Counter, address), 0

    async def burst() -> int:
        nonlocal told
        for _ in range(BURST):
            await ref.hit.tell(HIT)
        told += BURST + 1
        all_handled(await ref.hit(HIT), told)
        return BURST + 1

    return await rate(burst, scale)


async def _ask(address: str, scale: float) -> float:
    ref = await _started(Counter, address)

    async def questions() -> int:
        for _ in range(BURST):
            await ref.hit(HIT)
        return BURST

    return await rate(questions, scale)


async def _ask_64(address: str, scale: float) -> float:
    ref = await _started(Counter, address)

    async def caller() -> None:
        for _ in range(ASKS_EACH):
            await ref.hit(HIT)

    async def questions() -> int:
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return CALLERS * ASKS_EACH

    return await rate(questions, scale)


async def _spawn(address: str, scale: float) -> float:
    parent = await _started(Parent, address)
    children: list[Any] = []

    async def batch() -> int:
        children.extend(await parent.spawn(SPAWNED))
        await children[-1].hit(HIT)
        return SPAWNED

    async def stop() -> None:
        for child in children:
            await xo.destroy_actor(child)
        children.clear()

    return await rate(batch, scale, after=stop)


async def _idle_bytes(address: str, scale: float) -> float:
    parent, count = await _started(Parent, address), scaled(IDLE, scale)
    for child in await parent.spawn(1):
        await child.hit(HIT)
    before = settled_bytes()
    for herd in herds(count):
        for child in await parent.spawn(herd):
            await child.hit(HIT)
    return (settled_bytes() - before) / count


def _in_pool(measure: Callable[[str, float], Awaitable[float]]) -> Callable[[float], float]:
    async def run(scale: float) -> float:
        pool = await xo.create_actor_pool("127.0.0.1", n_process=0)
        async with pool:
            return await measure(pool.external_address, scale)

    return lambda scale: on_loop(run(scale))


MEASURES: Final = {
    "tell": _in_pool(_tell),
    "ask": _in_pool(_ask),
    "ask_64": _in_pool(_ask_64),
    "spawn": _in_pool(_spawn),
    "idle_bytes": _in_pool(_idle_bytes),
}
