"""Pykka as its documentation shows it: a ThreadingActor each, `ref.tell`, `ref.ask`, `ActorClass.start()`.

The process keeps to one core: threads that take turns hand over several times faster there than across cores, in
every row. They are daemons, so that none outlives the measurement. ask_64 keeps 64 asks in flight from one thread
(`block=False`, then `get_all`), twice as fast as 64 asking threads. Pykka knows no parents, so the spawning actor
just calls `start()`. A thread for each actor keeps batches and herds small; what the kernel holds for each thread is
not in the weight.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any, Final

import pykka

from tests.bench.benches.actors.hit import HIT
from tests.bench.pace import ASKS_EACH, BURST, CALLERS, all_handled, herds, on_loop, rate, scaled, settled_bytes

SPAWNED: Final = 250
IDLE: Final = 2_000


class Counter(pykka.ThreadingActor):  # type: ignore[misc]
    """Counts its messages."""

    use_daemon_thread = True

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_receive(self, message: object) -> int:
        self.count += 1
        return self.count


class Parent(pykka.ThreadingActor):  # type: ignore[misc]
    """Starts as many counters as a message says."""

    use_daemon_thread = True

    def on_receive(self, message: int) -> list[Any]:
        return [Counter.start() for _ in range(message)]


async def _tell(scale: float) -> float:
    ref, told = Counter.start(), 0

    async def burst() -> int:
        nonlocal told
        for _ in range(BURST):
            ref.tell(HIT)
        told += BURST + 1
        all_handled(ref.ask(HIT), told)
        return BURST + 1

    return await rate(burst, scale)


async def _ask(scale: float) -> float:
    ref = Counter.start()

    async def questions() -> int:
        for _ in range(BURST):
            ref.ask(HIT)
        return BURST

    return await rate(questions, scale)


async def _ask_64(scale: float) -> float:
    ref = Counter.start()

    async def questions() -> int:
        for _ in range(ASKS_EACH):
            pykka.get_all([ref.ask(HIT, block=False) for _ in range(CALLERS)])
        return CALLERS * ASKS_EACH

    return await rate(questions, scale)


async def _spawn(scale: float) -> float:
    parent = Parent.start()
    children: list[Any] = []

    async def batch() -> int:
        children.extend(parent.ask(SPAWNED))
        children[-1].ask(HIT)
        return SPAWNED

    async def stop() -> None:
        pykka.get_all([child.stop(block=False) for child in children])
        children.clear()

    return await rate(batch, scale, after=stop)


async def _idle_bytes(scale: float) -> float:
    parent, count = Parent.start(), scaled(IDLE, scale)
    parent.ask(1)[0].ask(HIT)
    before = settled_bytes()
    for herd in herds(count):
        pykka.get_all([child.ask(HIT, block=False) for child in parent.ask(herd)])
    return (settled_bytes() - before) / count


def _run(main: Coroutine[Any, Any, float]) -> float:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    # Nothing here needs the loop; it only lets one stopwatch serve threads and coroutines alike.
    return on_loop(main)


MEASURES: Final = {
    "tell": lambda scale: _run(_tell(scale)),
    "ask": lambda scale: _run(_ask(scale)),
    "ask_64": lambda scale: _run(_ask_64(scale)),
    "spawn": lambda scale: _run(_spawn(scale)),
    "idle_bytes": lambda scale: _run(_idle_bytes(scale)),
}
