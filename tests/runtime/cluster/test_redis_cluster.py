"""The same on a Redis cluster of three servers: every script's keys lie together."""

from __future__ import annotations

import pytest

from tests.runtime.cluster.nodes import Add, Nodes, Where, owned_by, until
from tests.runtime.redis.test_many_servers import cluster
from tests.servers import Server

pytestmark = pytest.mark.servers
servers = cluster


async def test_nodes_work_on_a_redis_cluster(servers: list[Server]) -> None:
    nodes = Nodes("redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers))
    try:
        first, second = await nodes.start("first"), await nodes.start("second")
        name = owned_by(second)[0]
        for number in range(20):
            assert await first.counter(name).ask(Add(1)) == number + 1
        assert (await first.counter(name).ask(Where()))[0] == "second"
        assert await second.cluster.drain(10)
        await second.cluster.stop()
        await until(lambda: len(first.cluster.view.members) == 1)
        assert (await first.counter(name).ask(Where()))[0] == "first"
    finally:
        await nodes.stop()
