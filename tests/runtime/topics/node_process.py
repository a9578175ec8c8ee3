"""A process with a journal at the path given. It publishes without end and handles its first event without end.

It prints `published NAME` after each publish that returned, and `handling NAME` when its subscriber gets one.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from runtime.engine import ActorSystem
from runtime.topics import GroupSettings, Journal, Topics
from tests.runtime.topics.subscribers import USERS, Listener, named


async def main(path: Path) -> None:
    system = ActorSystem()
    journal = await Journal.open(path)
    topics = Topics(system, journal, source="child")

    async def hang(name: str) -> None:
        print("handling", name, flush=True)
        await asyncio.Event().wait()

    topics.subscribe_durable(USERS, "g", system.spawn(Listener, [], hang), GroupSettings(window=2))
    for number in itertools.count():
        await topics.publish(named(str(number)))
        print("published", number, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
