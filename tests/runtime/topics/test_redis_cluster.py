"""Topics in a Redis Cluster: every key lies together, and each channel is heard at every server."""

from __future__ import annotations

import pytest

from runtime.topics import Published
from tests.runtime.redis.test_many_servers import cluster  # noqa: F401 - the fixture
from tests.runtime.topics.places import BRISK, redis_node
from tests.runtime.topics.subscribers import USERS, Listener, emptied, holds, name_of, publish_all
from tests.servers import Server

pytestmark = pytest.mark.servers


async def test_topics_work_in_a_cluster(cluster: list[Server]) -> None:  # noqa: F811
    cluster_url = "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in cluster)
    async with redis_node(cluster_url, "one") as one, redis_node(cluster_url, "two") as two:
        seen: list[str] = []
        dead: list[str] = []

        def refuse(name: str) -> None:
            if name == "bad":
                raise RuntimeError("defect")

        probe = two.probe()
        two.topics.subscribe(USERS, probe.ref)
        two.system.entities.define("listener", lambda _: Listener(dead, refuse))
        two.topics.subscribe_durable(USERS, "g", two.spawn(Listener, seen), BRISK)
        two.topics.subscribe_durable(USERS, "h", two.system.entity("listener", "1"), BRISK)
        await holds(lambda: len(one.topics.depths) == 2)
        names = ["a", "bad", *(str(number) for number in range(50))]
        await publish_all(one.topics, names)
        await holds(lambda: seen == names)
        assert [name_of(await probe.expect(Published)) for _ in names] == names
        await emptied(two.topics)
        (event,) = await one.carrier.dead()
        assert await one.carrier.drop([event.seq]) == 1
