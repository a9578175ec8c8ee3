"""A node that feeds one subscriber of the group `g` from the Redis at the address given, slowly.

It prints `ready`, and then the name of each event that its subscriber has begun to handle.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final

from runtime.topics import GroupSettings
from runtime.topics.redis_calls import RedisTopicsSettings
from tests.runtime.topics.places import redis_node
from tests.runtime.topics.subscribers import USERS, Listener

SETTINGS: Final = RedisTopicsSettings(poll_s=0.1, lease_s=1.0)
WINDOW: Final = 16
HANDLING_S: Final = 0.003


async def main(url: str) -> None:
    async def slowly(name: str) -> None:
        print(name, flush=True)
        await asyncio.sleep(HANDLING_S)

    async with redis_node(url, settings=SETTINGS) as node:
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, [], slowly), GroupSettings(window=WINDOW))
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
