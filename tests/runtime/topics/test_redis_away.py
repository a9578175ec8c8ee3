"""Redis goes away in all its ways: what needs it fails soon, nothing ends, and all goes on when it is back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from protocols.errors import ResourceExhausted, Unavailable
from runtime.redis import RedisClients
from runtime.testkit import Probe
from runtime.topics import Published
from runtime.topics.redis_calls import RedisTopicsSettings
from tests.runtime.redis.valkey import DURABLE, url, valkey
from tests.runtime.topics.places import BRISK, QUICK, Node, redis_node
from tests.runtime.topics.subscribers import USERS, Listener, emptied, holds, name_of, named, publish_all
from tests.servers import Server

SLACK_S = 0.5


@pytest.fixture
def moody(tmp_path: Path) -> Iterator[Server]:
    """A server of its own for each test, which keeps what it holds."""
    with valkey(*DURABLE, folder=tmp_path / "redis") as running:
        yield running


@pytest.fixture
async def operator(moody: Server) -> AsyncIterator[RedisClients]:
    clients = RedisClients(url(moody))
    yield clients
    await clients.aclose()


async def refused(node: Node, within_s: float) -> None:
    """Publishing fails with Unavailable, and no later than that."""
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await node.topics.publish(named("refused"))
    assert time.monotonic() - began < within_s + SLACK_S


async def published(node: Node, name: str) -> None:
    """Publish as soon as it can be done."""
    async with asyncio.timeout(10):
        while True:
            try:
                await node.topics.publish(named(name))
            except Unavailable:
                await asyncio.sleep(0.01)
            else:
                return


async def goes_on(
    moody: Server, away: Callable[[], Awaitable[object]], back: Callable[[], Awaitable[object]], limit_s: float
) -> None:
    """The same node, before, in and after a time without Redis: plain subscribers, a group, a publisher."""
    async with redis_node(url(moody)) as node:
        seen: list[str] = []
        probe = node.probe()
        node.topics.subscribe(USERS, probe.ref)
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen), BRISK)
        await publish_all(node.topics, ["a", "b"])
        assert [name_of(await probe.expect(Published)) for _ in range(2)] == ["a", "b"]
        await holds(lambda: seen == ["a", "b"])
        await away()
        await refused(node, limit_s)
        await refused(node, limit_s)
        # A new subscriber while it is away has no harm of it.
        later: list[str] = []
        node.topics.subscribe_durable(USERS, "later", node.spawn(Listener, later), BRISK)
        await back()
        await published(node, "c")
        await holds(lambda: "c" in seen and "c" in later, 5)
        await hears_again(node, probe)
        await emptied(node.topics)


async def hears_again(node: Node, probe: Probe) -> None:
    """What is published while the subscription is still on its way back is not heard: at most once."""
    async with asyncio.timeout(10):
        probe.drain()
        while not probe.drain():
            await published(node, "d")
            await asyncio.sleep(0.05)


async def test_killed_and_started_again(moody: Server) -> None:
    async def away() -> None:
        await asyncio.to_thread(moody.kill)

    async def back() -> None:
        await asyncio.to_thread(moody.start)

    await goes_on(moody, away, back, QUICK.publish_timeout_s)


async def test_frozen(moody: Server) -> None:
    async def away() -> None:
        os.kill(moody.pid, signal.SIGSTOP)

    async def back() -> None:
        os.kill(moody.pid, signal.SIGCONT)

    try:
        await goes_on(moody, away, back, QUICK.publish_timeout_s)
    finally:
        os.kill(moody.pid, signal.SIGCONT)


async def test_read_only(moody: Server, operator: RedisClients) -> None:
    async def away() -> None:
        await operator.commands.execute_command("REPLICAOF", "127.0.0.1", "1")

    async def back() -> None:
        await operator.commands.execute_command("REPLICAOF", "NO", "ONE")

    await goes_on(moody, away, back, QUICK.publish_timeout_s)


async def test_out_of_memory(moody: Server, operator: RedisClients) -> None:
    async def away() -> None:
        await operator.commands.config_set("maxmemory", "1")

    async def back() -> None:
        await operator.commands.config_set("maxmemory", "0")

    await goes_on(moody, away, back, QUICK.publish_timeout_s)


async def test_busy_with_a_script_of_others(moody: Server, operator: RedisClients) -> None:
    await operator.commands.config_set("busy-reply-threshold", "20")
    other = RedisClients(url(moody))

    async def for_ever() -> None:
        await other.commands.eval("while true do end", 0)

    endless = asyncio.create_task(for_ever())

    async def away() -> None:
        await asyncio.sleep(0.1)

    async def back() -> None:
        await operator.commands.script_kill()
        await asyncio.gather(endless, return_exceptions=True)

    await away()
    try:
        async with redis_node(url(moody)) as node:
            await refused(node, QUICK.publish_timeout_s)
            await back()
            seen: list[str] = []
            node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen), BRISK)
            await published(node, "a")
            await holds(lambda: seen == ["a"])
    finally:
        await other.aclose()


async def test_its_scripts_and_connections_are_gone(moody: Server, operator: RedisClients) -> None:
    async with redis_node(url(moody)) as node:
        seen: list[str] = []
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen), BRISK)
        for number in range(20):
            await operator.commands.script_flush()
            if number % 5 == 4:
                await operator.commands.client_kill_filter(_type="normal", skipme=True)
            await node.topics.publish(named(str(number)))
        await holds(lambda: seen == [str(number) for number in range(20)])


async def test_what_waits_gets_out_of_a_full_server(moody: Server, operator: RedisClients) -> None:
    async with redis_node(url(moody)) as node:
        seen: list[str] = []
        subscriber = node.spawn(Listener, seen)
        node.topics.subscribe_durable(USERS, "g", subscriber, BRISK)
        await holds(lambda: node.topics.statistics().groups["user_events/g"].subscribed)
        await node.topics.end_durable(USERS, "g")
        await publish_all(node.topics, ["a", "b", "c"])
        await operator.commands.config_set("maxmemory", "1")
        await refused(node, QUICK.publish_timeout_s)
        node.topics.subscribe_durable(USERS, "g", subscriber, BRISK)
        await holds(lambda: seen == ["a", "b", "c"])
        await emptied(node.topics)


async def test_a_node_may_begin_before_its_redis(tmp_path: Path) -> None:
    server = valkey(*DURABLE, folder=tmp_path / "redis")
    async with redis_node(f"unix://{tmp_path}/redis/valkey.sock") as node:
        seen: list[str] = []
        probe = node.probe()
        node.topics.subscribe(USERS, probe.ref)
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen), BRISK)
        await refused(node, QUICK.publish_timeout_s)
        async with server:
            await published(node, "a")
            await holds(lambda: seen == ["a"])


async def test_publishers_do_not_pile_up(moody: Server) -> None:
    settings = RedisTopicsSettings(publish_timeout_s=1.0, publish_queue=50)
    async with redis_node(url(moody), settings=settings) as node:
        await node.topics.publish(named("a"))
        os.kill(moody.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            first = asyncio.create_task(node.topics.publish(named("x")))
            await asyncio.sleep(0.05)
            rest = [node.topics.publish(named("x")) for _ in range(80)]
            results = await asyncio.gather(first, *rest, return_exceptions=True)
            assert time.monotonic() - began < settings.publish_timeout_s + SLACK_S
        finally:
            os.kill(moody.pid, signal.SIGCONT)
        kinds = [type(result) for result in results]
        assert (kinds.count(Unavailable), kinds.count(ResourceExhausted)) == (51, 30)
        await published(node, "b")
