"""Parley as an application uses it: one system with all its defaults, under uvloop.

Bounded mailboxes, deadlines, supervision and statistics are on. Actors have a plain `def receive`. A burst is told
from a coroutine and closed by an ask, whose answer shows that all was handled. Children are spawned by an actor in its
handler; the batch is over when the last one has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from protocols.messages import message
from runtime.engine import Actor, ActorSystem, Ref
from tests.bench.benches.actors.hit import HIT
from tests.bench.pace import ASKS_EACH, BURST, CALLERS, all_handled, herds, on_loop, rate, scaled, settled_bytes

SPAWNED: Final = 10_000
IDLE: Final = 100_000


@message("bench.spawn")
class Spawn:
    """Spawn `count` counters; answered with the last one. With `hit`, each gets its first message at once."""

    count: int
    hit: bool = False


class Counter(Actor):
    """Counts its messages."""

    def __init__(self) -> None:
        self.count = 0

    def receive(self, message: object) -> int:
        self.count += 1
        return self.count


class Parent(Actor):
    """Spawns counters below itself."""

    def receive(self, message: Any) -> Ref:
        spawn = self.spawn
        children = [spawn(Counter) for _ in range(message.count)]
        if message.hit:
            for child in children:
                child.tell(HIT)
        return children[-1]


async def _tell(system: ActorSystem, scale: float) -> float:
    ref, told = system.spawn(Counter), 0

    async def burst() -> int:
        nonlocal told
        tell = ref.tell
        for _ in range(BURST):
            tell(HIT)
        told += BURST + 1
        all_handled(await ref.ask(HIT), told)
        return BURST + 1

    return await rate(burst, scale)


async def _ask(system: ActorSystem, scale: float) -> float:
    ref = system.spawn(Counter)

    async def questions() -> int:
        for _ in range(BURST):
            await ref.ask(HIT)
        return BURST

    return await rate(questions, scale)


async def _ask_64(system: ActorSystem, scale: float) -> float:
    ref = system.spawn(Counter)

    async def caller() -> None:
        for _ in range(ASKS_EACH):
            await ref.ask(HIT)

    async def questions() -> int:
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return CALLERS * ASKS_EACH

    return await rate(questions, scale)


async def _spawn(system: ActorSystem, scale: float) -> float:
    parent = system.spawn(Parent)

    async def batch() -> int:
        last: Ref = await parent.ask(Spawn(SPAWNED))
        all_handled(await last.ask(HIT), 1)
        return SPAWNED

    async def stop() -> None:
        nonlocal parent
        parent.stop()
        await parent.wait_stopped()
        parent = system.spawn(Parent)

    return await rate(batch, scale, after=stop)


async def _idle_bytes(system: ActorSystem, scale: float) -> float:
    parent, count = system.spawn(Parent), scaled(IDLE, scale)
    await (await parent.ask(Spawn(1, hit=True))).ask(HIT)
    before = settled_bytes()
    for herd in herds(count):
        all_handled(await (await parent.ask(Spawn(herd, hit=True))).ask(HIT), 2)
    return (settled_bytes() - before) / count


def _in_system(measure: Callable[[ActorSystem, float], Awaitable[float]]) -> Callable[[float], float]:
    async def run(scale: float) -> float:
        system = ActorSystem()
        try:
            return await measure(system, scale)
        finally:
            await system.stop()

    return lambda scale: on_loop(run(scale))


MEASURES: Final = {
    "tell": _in_system(_tell),
    "ask": _in_system(_ask),
    "ask_64": _in_system(_ask_64),
    "spawn": _in_system(_spawn),
    "idle_bytes": _in_system(_idle_bytes),
}
