"""A cluster of three servers, and a primary that sentinels watch: the queue works on both."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis

from protocols.errors import Unavailable
from runtime.queue.redis_queue import RedisQueue
from runtime.queue.task_queue import Completed, Lease
from runtime.redis import RedisClients, health
from tests.runtime.queue.hands import Hands, until
from tests.runtime.redis.valkey import binary
from tests.servers import Server, listens

pytestmark = pytest.mark.servers
SLOTS = ((0, 5000), (5001, 11000), (11001, 16383))


def on_port(name: str, *options: str, folder: Path, ports: tuple[str, ...] = ("port",)) -> Server:
    command = [str(binary()), *options, "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{folder}"]
    return Server(name, command, ready=listens, ports=ports, folder=folder / name)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[list[Server]]:
    options = ("--cluster-enabled", "yes", "--cluster-port", "{bus}", "--cluster-node-timeout", "2000", "--save", "")
    servers = [on_port(f"node-{n}", *options, folder=tmp_path, ports=("port", "bus")) for n in range(3)]
    with contextlib.ExitStack() as running:
        for server in servers:
            await asyncio.to_thread(running.enter_context, server)
        clients: list[Any] = [Redis(port=server.port) for server in servers]
        for (first, last), client in zip(SLOTS, clients, strict=True):
            await client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for server in servers[1:]:
            await clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", server.port, server.ports["bus"])

        async def whole() -> bool:
            told = [await client.execute_command("CLUSTER", "INFO") for client in clients]
            wanted = ("cluster_state:ok", "cluster_slots_assigned:16384", "cluster_known_nodes:3")
            return all(word in text for text in map(_text, told) for word in wanted)

        await until(whole, 30)
        for client in clients:
            await client.aclose()
        yield servers


def _text(told: object) -> str:
    return told.decode() if isinstance(told, bytes) else "\n".join(f"{k}:{v}" for k, v in dict(told).items())  # type: ignore[call-overload]


async def test_the_queue_works_in_a_cluster(cluster: list[Server]) -> None:
    clients = RedisClients("redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in cluster))
    assert (await health(clients)).primary
    tasks = RedisQueue(clients, rng=Random(1))
    hands = Hands(tasks)
    woken, told = asyncio.Event(), list[str]()
    listening = asyncio.create_task(tasks.listen(woken.set, told.append))
    try:
        async with asyncio.timeout(10):
            await woken.wait()
        woken.clear()
        assert await hands.claim() == []
        await hands.put_ids("a", "b")
        async with asyncio.timeout(10):
            await woken.wait()
        claims = await hands.claim(5)
        assert [one.id for one in claims] == ["a", "b"]
        assert (await hands.renew([Lease(one.id, one.fence, 30) for one in claims])).lost == ()
        assert await hands.settle(*(Completed(one) for one in claims)) == ()
        assert (await tasks.depths()).counts["done"] == 2
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        await tasks.close()


async def test_the_queue_follows_the_primary_that_sentinels_name(tmp_path: Path) -> None:
    first = on_port("first", "--save", "", folder=tmp_path)
    second = on_port("second", "--save", "", folder=tmp_path)
    with contextlib.ExitStack() as running:
        for server in (first, second):
            await asyncio.to_thread(running.enter_context, server)
        replica: Any = Redis(port=second.port)
        await replica.execute_command("REPLICAOF", "127.0.0.1", first.port)
        (tmp_path / "sentinel.conf").write_text(
            f"sentinel monitor mymaster 127.0.0.1 {first.port} 1\nsentinel down-after-milliseconds mymaster 500\n"
            "sentinel failover-timeout mymaster 2000\n"
        )
        sentinel = on_port("sentinel", str(tmp_path / "sentinel.conf"), "--sentinel", folder=tmp_path)
        await asyncio.to_thread(running.enter_context, sentinel)
        tasks = RedisQueue(RedisClients(f"redis+sentinel://127.0.0.1:{sentinel.port}/mymaster"), rng=Random(1))
        hands = Hands(tasks)
        await hands.put_ids("a")

        async def replicated() -> bool:
            return bool(await replica.llen("normal_queue"))

        await until(replicated)
        await until(lambda: _knows_replica(sentinel), 30)
        first.kill()

        async def claimed() -> bool:
            try:
                return await hands.claim_ids() == ["a"]
            except Unavailable:
                return False

        await until(claimed, 40)
        await replica.aclose()
        await tasks.close()


async def _knows_replica(sentinel: Server) -> bool:
    client: Any = Redis(port=sentinel.port)
    try:
        return bool(await client.execute_command("SENTINEL", "REPLICAS", "mymaster"))
    finally:
        await client.aclose()
