"""otpylib on its asyncio back end, under uvloop: gen_server modules, used from within a process as it requires.

tell is `process.send` to the server's pid, handled by `handle_info`: `gen_server.cast` does the same and writes a log
line's text for each message besides, half as fast. ask is `gen_server.call`, which wants a registered name. spawn is
`start_link`, which waits for each server's `init`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from otpylib import gen_server, process
from otpylib.module import GEN_SERVER, OTPModule
from otpylib.runtime import set_runtime
from otpylib.runtime.atoms import SHUTDOWN
from otpylib.runtime.backends.asyncio_backend import AsyncIOBackend

from tests.bench.benches.actors.hit import HIT
from tests.bench.pace import ASKS_EACH, BURST, CALLERS, all_handled, herds, on_loop, rate, scaled, settled_bytes

NAME: Final = "counter"
SPAWNED: Final = 1_000
IDLE: Final = 20_000


class Counter(metaclass=OTPModule, behavior=GEN_SERVER, version="1.0.0"):  # type: ignore[metaclass, call-arg]
    """Counts its messages."""

    async def init(self, argument: object) -> int:
        return 0

    async def handle_info(self, message: object, state: int) -> Any:
        return gen_server.NoReply(), state + 1

    async def handle_cast(self, message: object, state: int) -> Any:
        return gen_server.NoReply(), state + 1

    async def handle_call(self, message: object, caller: object, state: int) -> Any:
        return gen_server.Reply(state + 1), state + 1

    async def terminate(self, reason: object, state: int) -> None:
        return None


async def _named() -> Any:
    await gen_server.start_link(Counter, name=NAME)
    return process.whereis(NAME)


async def _tell(scale: float) -> float:
    pid, told = await _named(), 0

    async def burst() -> int:
        nonlocal told
        for _ in range(BURST):
            await process.send(pid, HIT)
        told += BURST + 1
        all_handled(await gen_server.call(NAME, HIT), told)
        return BURST + 1

    return await rate(burst, scale)


async def _ask(scale: float) -> float:
    await _named()

    async def questions() -> int:
        for _ in range(BURST):
            await gen_server.call(NAME, HIT)
        return BURST

    return await rate(questions, scale)


async def _ask_64(scale: float) -> float:
    await _named()

    async def caller(done: asyncio.Future[None]) -> None:
        for _ in range(ASKS_EACH):
            await gen_server.call(NAME, HIT)
        done.set_result(None)

    async def questions() -> int:
        loop = asyncio.get_running_loop()
        callers = [loop.create_future() for _ in range(CALLERS)]
        for done in callers:
            await process.spawn(caller, args=[done])
        await asyncio.gather(*callers)
        return CALLERS * ASKS_EACH

    return await rate(questions, scale)


async def _spawn(scale: float) -> float:
    children: list[Any] = []

    async def batch() -> int:
        for _ in range(SPAWNED):
            children.append(await gen_server.start_link(Counter))
        return SPAWNED

    async def stop() -> None:
        for child in children:
            await process.unlink(child)
            await process.exit(child, SHUTDOWN)
        children.clear()
        await asyncio.sleep(0)  # the loop runs what the exits have scheduled

    return await rate(batch, scale, after=stop)


async def _idle_bytes(scale: float) -> float:
    count = scaled(IDLE, scale)
    await process.send(await _named(), HIT)
    await gen_server.call(NAME, HIT)
    before = settled_bytes()
    for herd in herds(count):
        for _ in range(herd):
            await process.send(await gen_server.start_link(Counter), HIT)
        await gen_server.call(NAME, HIT)  # a turn of the loop in which all of them have handled theirs
    return (settled_bytes() - before) / count


def _in_process(measure: Callable[[float], Awaitable[float]]) -> Callable[[float], float]:
    async def run(scale: float) -> float:
        backend = AsyncIOBackend()
        await backend.initialize()
        set_runtime(backend)
        figure: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        async def body() -> None:
            try:
                figure.set_result(await measure(scale))
            except Exception as error:
                figure.set_exception(error)

        await process.spawn(body)
        return await figure

    return lambda scale: on_loop(run(scale))


MEASURES: Final = {
    "tell": _in_process(_tell),
    "ask": _in_process(_ask),
    "ask_64": _in_process(_ask_64),
    "spawn": _in_process(_spawn),
    "idle_bytes": _in_process(_idle_bytes),
}
