"""A node on Redis: the main job over it, and Redis killed under its feet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client import Clip, client, until
from tests.node import parley_node
from tests.runtime.redis.valkey import DURABLE, url, valkey

pytestmark = [pytest.mark.servers, pytest.mark.models]


@pytest.fixture
def jfk(shared: Path) -> Clip:
    return Clip.of(shared / "data" / "speech" / "jfk.flac")


async def test_what_the_ai_heard_is_stored_over_redis_also_when_it_was_killed(
    tmp_path: Path, models_dir: Path, jfk: Clip
) -> None:
    redis = valkey(*DURABLE, folder=tmp_path / "redis")
    with redis, parley_node(tmp_path / "node", model_dir=models_dir, redis_url=url(redis)) as server:
        async with client(server.url) as node:
            ada = await node.person()
            meeting = await node.started_meeting(ada)

            async def ready() -> bool:
                reply = await node.ask("GET", "//readyz")
                return all(check["ok"] for check in reply.json["checks"])

            async def stored(tasks: set[str]) -> bool:
                return {found["task_id"] for found in await node.analyses(ada, meeting["id"])} == tasks

            await until(ready, "every dependency")
            first = jfk.heard_in(await node.recognise(ada, meeting["id"], jfk))["task_id"]
            await until(lambda: stored({first}), "the first result")
            redis.kill()
            # What was answered is kept, what cannot be kept is not answered, and the node lives.
            (await node.recognise(ada, meeting["id"], jfk)).refused(503)
            assert (await node.log_in(ada.name)).id == ada.id
            assert (await node.get(f"/meetings/{meeting['id']}", ada))["status"] == "active"
            redis.start()
            await until(ready, "Redis again")
            second = jfk.heard_in(await node.recognise(ada, meeting["id"], jfk))["task_id"]
            await until(lambda: stored({first, second}), "the second result")
