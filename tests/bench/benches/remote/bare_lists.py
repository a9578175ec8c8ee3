"""The limit: redis-py alone. What one side pushes, the other takes by a blocking move and pushes back, as it is.

ask: one item at a time. ask_64: 64 in one pipeline, taken with as many as are there, pushed back in one pipeline.
tell: a burst in one pipeline, and one item back when all of it was taken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis import asyncio as waiting

from runtime.redis import RedisClients
from tests.bench.benches.queue.server import url
from tests.bench.benches.remote import far_side
from tests.bench.pace import BURST, CALLERS, on_loop, rate

THERE, BACK, TAKEN = "bench:there", "bench:back", "bench:taken"
LAST: Final = b"last"
ITEM: Final = b"x" * 60


async def _take(client: Any, source: str) -> list[bytes]:
    first = await client.blmove(source, TAKEN, 0, "RIGHT", "LEFT")
    return [first, *(await client.rpop(source, 1000) or [])]


async def _push(client: Any, target: str, items: list[bytes]) -> None:
    if len(items) == 1:
        await client.lpush(target, items[0])
        return
    pipeline = client.pipeline(transaction=False)
    for item in items:
        pipeline.lpush(target, item)
    await pipeline.execute()


async def _echo(client: Any) -> None:
    while True:
        items = await _take(client, THERE)
        if len(items) > CALLERS or LAST in items:
            items = [item for item in items if item == LAST]
        if items:
            await _push(client, BACK, items)
        await client.delete(TAKEN)


async def _round_trips(client: Any, scale: float, count: int) -> float:
    items = [ITEM] * count

    async def there_and_back() -> int:
        await _push(client, THERE, items)
        back = 0
        while back < count:
            back += len(await _take(client, BACK))
        return count

    return await rate(there_and_back, scale)


async def _burst(client: Any, scale: float) -> float:
    async def burst() -> int:
        await _push(client, THERE, [ITEM] * BURST)
        await _push(client, THERE, [LAST])
        await _take(client, BACK)
        return BURST + 1

    return await rate(burst, scale)


async def _with_client(work: Callable[[waiting.Redis], Awaitable[Any]]) -> Any:
    clients = RedisClients(url())
    client = await clients.listening()
    try:
        return await work(client)
    finally:
        await client.aclose()
        await clients.aclose()


def _measured(measure: Callable[[Any, float], Awaitable[float]]) -> Callable[[float], float]:
    def run(scale: float) -> float:
        process = far_side.start(__name__)
        try:
            return float(on_loop(_with_client(lambda client: measure(client, scale))))
        finally:
            far_side.end(process)

    return run


MEASURES: Final = {
    "ask": _measured(lambda client, scale: _round_trips(client, scale, 1)),
    "ask_64": _measured(lambda client, scale: _round_trips(client, scale, CALLERS)),
    "tell": _measured(_burst),
}


async def _serve(client: waiting.Redis) -> None:
    await client.delete(THERE, BACK, TAKEN)
    await far_side.until_input_ends(_echo(client))


if __name__ == "__main__":
    on_loop(_with_client(_serve))
