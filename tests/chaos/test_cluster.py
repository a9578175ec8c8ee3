"""Nodes as processes on one Redis: one is killed, one is restarted, Redis is killed, all under load."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from protocols.errors import ParleyError
from runtime.cluster import Cluster
from runtime.engine import ActorSystem
from tests.chaos.cluster_node import Add, node
from tests.runtime.redis.valkey import DURABLE, url, valkey
from tests.servers import Server, logged

pytestmark = pytest.mark.servers
COUNTERS = [f"c{number}" for number in range(12)]


@dataclass(slots=True)
class World:
    """A Redis, the node processes, and the test's own node, which carries nothing."""

    redis: Server
    processes: dict[str, Server]
    system: ActorSystem
    cluster: Cluster


@dataclass(slots=True)
class Load:
    """Clients that add to every counter all the time, and what they were told."""

    world: World
    totals: dict[str, int] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    answered_at: dict[str, float] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    ends: bool = False

    async def client(self, counter: str, timeout_s: float) -> None:
        ref = self.world.system.entity("saved", counter)
        while not self.ends:
            try:
                total, _, fence = await ref.ask(Add(1), timeout_s)
            except ParleyError as error:
                self.errors.append(f"{counter}: {type(error).__name__} {error.detail}")
                await asyncio.sleep(0.05)
                continue
            assert total > self.totals.get(counter, 0), "an answered addition was lost"
            assert fence >= self.fences.get(counter, 0), "an older activation answered"
            self.totals[counter], self.fences[counter] = total, fence
            self.added[counter] = self.added.get(counter, 0) + 1
            self.answered_at[counter] = time.monotonic()
            await asyncio.sleep(0.01)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    with valkey(*DURABLE, folder=tmp_path / "redis") as server:
        yield server


def process(redis: Server, folder: Path, name: str) -> Server:
    command = [sys.executable, "-m", "tests.chaos.cluster_node", url(redis), name, str(folder)]
    return Server(name, command, ready=logged("in the cluster"), ports=(), folder=folder / f"node-{name}")


@pytest.fixture
async def world(redis: Server, tmp_path: Path) -> AsyncIterator[World]:
    processes = {name: process(redis, tmp_path, name) for name in ("a", "b", "c")}
    with ExitStack() as running:
        for one in processes.values():
            await asyncio.to_thread(one.start)
            running.callback(one.kill)
        system, cluster, clients = await node(url(redis), "edge", tmp_path, ())
        yield World(redis, processes, system, cluster)
        await cluster.stop()
        await system.stop()
        await clients.aclose()


async def under_load(world: World, timeout_s: float) -> tuple[Load, list[asyncio.Task[None]]]:
    load = Load(world)
    clients = [asyncio.create_task(load.client(counter, timeout_s)) for counter in COUNTERS]
    await all_answer(load, time.monotonic())
    return load, clients


async def all_answer(load: Load, since: float, within_s: float = 20.0) -> float:
    """Wait until every counter was answered after `since`; seconds that it took."""
    while not all(load.answered_at.get(counter, 0.0) > since for counter in COUNTERS):
        assert time.monotonic() - since < within_s, load.errors[-5:]
        await asyncio.sleep(0.02)
    return time.monotonic() - since


async def end(load: Load, clients: list[asyncio.Task[None]]) -> None:
    load.ends = True
    await asyncio.gather(*clients)


async def test_a_killed_nodes_entities_answer_elsewhere_within_seconds(world: World) -> None:
    load, clients = await under_load(world, 2.0)
    names = {member.name: member.id for member in world.cluster.view.members.values()}
    victim = max(
        world.processes, key=lambda name: sum(world.cluster.view.owner(f"saved/{c}") == names[name] for c in COUNTERS)
    )
    killed = time.monotonic()
    os.kill(world.processes[victim].pid, signal.SIGKILL)
    took_s = await all_answer(load, killed + 0.5)
    await end(load, clients)
    assert took_s < 8, f"it took {took_s:.1f} s"


async def test_a_rolling_restart_under_load_loses_nothing(world: World, tmp_path: Path) -> None:
    load, clients = await under_load(world, 10.0)
    for one in world.processes.values():
        assert await asyncio.to_thread(one.stop) == 0
        assert "\ndrained" in one.log
        one.log_file.unlink()
        await asyncio.to_thread(one.start)
        await all_answer(load, time.monotonic())
    await all_answer(load, time.monotonic())
    await end(load, clients)
    assert load.errors == []
    assert load.totals == load.added


async def test_redis_killed_for_three_seconds_ends_no_process(world: World) -> None:
    load, clients = await under_load(world, 2.0)
    await asyncio.to_thread(world.redis.kill)
    await asyncio.sleep(3.0)
    await asyncio.to_thread(world.redis.start)
    await all_answer(load, time.monotonic())
    await end(load, clients)
    assert all(one.alive() for one in world.processes.values())
