"""The limit: the least that plain Python on uvloop must do for each row, with none of an engine's promises.

tell: append to a list and schedule one drain that calls a plain method for each message; no task.
ask: a future, answered by a callback that the loop runs next, and awaited.
ask_64: the same futures, queued in a list and answered in one drain for all callers.
spawn, idle_bytes: one slotted object with a state, a mailbox and a parent, put into a dict under a name: nothing less
can be found again and be told something.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from tests.bench.benches.actors.hit import HIT
from tests.bench.pace import ASKS_EACH, BURST, CALLERS, all_handled, on_loop, rate, scaled, settled_bytes

SPAWNED: Final = 10_000
IDLE: Final = 100_000


class Counter:
    """A list mailbox with a plain handler."""

    __slots__ = ("_call_soon", "_pending", "count")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._pending: list[object] = []
        self.count = 0

    def tell(self, message: object) -> None:
        pending = self._pending
        if not pending:
            self._call_soon(self._drain)
        pending.append(message)

    def receive(self, message: object) -> int:
        self.count += 1
        return self.count

    def _drain(self) -> None:
        pending, self._pending = self._pending, []
        receive = self.receive
        for message in pending:
            receive(message)


class Answerer:
    """A list mailbox of futures, each answered with its question."""

    __slots__ = ("_loop", "_pending")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: list[tuple[asyncio.Future[Any], object]] = []

    def ask(self, message: object) -> asyncio.Future[Any]:
        pending = self._pending
        if not pending:
            self._loop.call_soon(self._drain)
        reply = self._loop.create_future()
        pending.append((reply, message))
        return reply

    def _drain(self) -> None:
        pending, self._pending = self._pending, []
        for reply, message in pending:
            reply.set_result(message)


class Child:
    """What is left of an actor when nothing more can be taken away."""

    __slots__ = ("mailbox", "parent", "state")

    def __init__(self, parent: object) -> None:
        self.state = 0
        self.mailbox = None
        self.parent = parent


async def _tell(scale: float) -> float:
    loop = asyncio.get_running_loop()
    counter = Counter(loop)
    told = 0

    async def burst() -> int:
        nonlocal told
        for _ in range(BURST):
            counter.tell(HIT)
        told += BURST
        drained = loop.create_future()
        loop.call_soon(drained.set_result, None)
        await drained
        all_handled(counter.count, told)
        return BURST

    return await rate(burst, scale)


async def _ask(scale: float) -> float:
    loop = asyncio.get_running_loop()

    def answer(reply: asyncio.Future[object], message: object) -> None:
        reply.set_result(message)

    async def questions() -> int:
        for _ in range(BURST):
            reply = loop.create_future()
            loop.call_soon(answer, reply, HIT)
            await reply
        return BURST

    return await rate(questions, scale)


async def _ask_64(scale: float) -> float:
    answerer = Answerer(asyncio.get_running_loop())

    async def caller() -> None:
        for _ in range(ASKS_EACH):
            await answerer.ask(HIT)

    async def questions() -> int:
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return CALLERS * ASKS_EACH

    return await rate(questions, scale)


async def _spawn(scale: float) -> float:
    children: dict[int, Child] = {}
    parent = object()

    async def batch() -> int:
        for name in range(SPAWNED):
            children[name] = Child(parent)
        return SPAWNED

    async def stop() -> None:
        children.clear()

    return await rate(batch, scale, after=stop)


def _idle_bytes(scale: float) -> float:
    parent, count = object(), scaled(IDLE, scale)
    before = settled_bytes()
    children = {name: Child(parent) for name in range(count)}
    return (settled_bytes() - before) / len(children)


MEASURES: Final = {
    "tell": lambda scale: on_loop(_tell(scale)),
    "ask": lambda scale: on_loop(_ask(scale)),
    "ask_64": lambda scale: on_loop(_ask_64(scale)),
    "spawn": lambda scale: on_loop(_spawn(scale)),
    "idle_bytes": _idle_bytes,
}
