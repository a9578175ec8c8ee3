"""Topics on Redis when a server or a subscriber's process is killed in the middle of it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from protocols.errors import ParleyError
from tests.chaos.topics_process import SETTINGS, WINDOW
from tests.runtime.redis.valkey import DURABLE, url, valkey
from tests.runtime.topics.places import BRISK, Node, redis_node
from tests.runtime.topics.subscribers import USERS, Listener, emptied, holds, named
from tests.servers import ROOT

FSYNC_S: Final = 1.0
"""What an append-only file that is synced every second may lose."""

pytestmark = pytest.mark.servers


class Publishing:
    """Publishes without a pause, and notes when what was taken in."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.taken_at: dict[str, float] = {}
        self.refusals = 0

    async def run(self, who: str) -> None:
        number = 0
        while True:
            name = f"{who}-{number}"
            number += 1
            try:
                await self._node.topics.publish(named(name))
            except ParleyError:
                self.refusals += 1
                await asyncio.sleep(0.02)
            else:
                self.taken_at[name] = time.monotonic()
                await asyncio.sleep(0.002)


async def test_a_killed_redis_loses_no_more_than_its_last_second_and_groups_go_on(tmp_path: Path) -> None:
    with valkey(*DURABLE, folder=tmp_path / "redis") as server:
        async with redis_node(url(server), settings=SETTINGS) as node:
            kept: list[str] = []
            absent = node.spawn(Listener, kept)
            node.topics.subscribe_durable(USERS, "absent", absent, BRISK)
            await node.topics.publish(named("first"))
            await node.topics.end_durable(USERS, "absent")
            live: list[str] = []
            node.topics.subscribe_durable(USERS, "live", node.spawn(Listener, live), BRISK)
            publishing = Publishing(node)
            publishers = [asyncio.create_task(publishing.run(f"{n}")) for n in range(4)]
            killed_at, safe = 0.0, set[str]()
            for kill in range(2):
                before = len(publishing.taken_at)
                await asyncio.sleep(FSYNC_S * 1.5)
                killed_at = time.monotonic()
                await asyncio.to_thread(server.kill)
                await asyncio.sleep(0.5)
                await asyncio.to_thread(server.start)
                safe = {name for name, at in publishing.taken_at.items() if at < killed_at - FSYNC_S}
                assert len(safe) > 50 * (kill + 1)
                await holds(lambda before=before: len(publishing.taken_at) > before + 50)  # type: ignore[misc]
                await holds(lambda safe=safe: safe <= set(live))  # type: ignore[misc]
            for task in publishers:
                task.cancel()
            await asyncio.gather(*publishers, return_exceptions=True)
            node.topics.subscribe_durable(USERS, "absent", absent, BRISK)
            await holds(lambda: safe <= set(kept))
            await emptied(node.topics)
            lost = publishing.taken_at.keys() - set(kept)
            twice = sum(count - 1 for count in Counter(kept).values())
            print(
                f"taken in {len(publishing.taken_at)}, refused {publishing.refusals}, lost {len(lost)}, twice {twice}"
            )
            assert all(killed_at - FSYNC_S <= publishing.taken_at[name] for name in lost)
            assert publishing.refusals > 0


@asynccontextmanager
async def subscriber(address: str, handled: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that subscribes; what it begins to handle is noted."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.topics_process", address), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    lines = child.stdout

    async def read() -> None:
        async for line in lines:
            handled.append(line.decode().strip())

    reading = asyncio.create_task(read())
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
        await reading


async def test_events_of_killed_subscribers_are_handled_by_others(tmp_path: Path) -> None:
    names = [str(number) for number in range(1500)]
    with valkey(*DURABLE, folder=tmp_path / "redis") as server:
        by_child: list[list[str]] = [[], [], []]
        async with (
            redis_node(url(server), settings=SETTINGS) as node,
            subscriber(url(server), by_child[0]) as first,
            subscriber(url(server), by_child[1]) as second,
        ):
            await holds(lambda: all(by_child[:2]))
            await asyncio.gather(*(node.topics.publish(named(name)) for name in names))
            await holds(lambda: len(by_child[0]) > 100)
            first.kill()
            async with subscriber(url(server), by_child[2]):
                await holds(lambda: len(by_child[1]) > 300 and len(by_child[2]) > 20, 20)
                second.kill()
                await holds(lambda: set(names) <= {name for told in by_child for name in told}, 20)
                await emptied(node.topics)
        handled = Counter(name for told in by_child for name in told if name != "ready")
        twice = sum(count - 1 for count in handled.values())
        print(f"handled {len(handled)}, twice {twice}")
        # Those that were with a process when it was killed.
        assert twice <= 2 * WINDOW
        assert await _dead_and_waiting(url(server)) == (0, 0)


async def _dead_and_waiting(address: str) -> tuple[int, int]:
    async with redis_node(address, settings=SETTINGS) as node:
        await holds(lambda: bool(node.topics.depths))
        figures = node.topics.statistics().groups["user_events/g"]
        return figures.dead, figures.depth
