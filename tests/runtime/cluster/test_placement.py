"""Where entities live, and what becomes of them when nodes come, leave, die, or lose Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from protocols.errors import ParleyError, Unavailable
from runtime.cluster import NodeAway
from runtime.cluster.rendezvous import owner
from runtime.engine import ActorSystem
from tests.runtime.cluster.nodes import Add, Counter, Node, Nodes, Where, owned_by, until
from tests.runtime.redis.valkey import DURABLE, url, valkey
from tests.servers import Server


def test_a_node_that_comes_takes_its_share_and_no_more() -> None:
    entities = [f"room/{number}" for number in range(3000)]
    before = {entity: owner(["a", "b"], entity) for entity in entities}
    after = {entity: owner(["a", "b", "c"], entity) for entity in entities}
    moved = [entity for entity in entities if before[entity] != after[entity]]
    assert all(after[entity] == "c" for entity in moved)
    assert 800 < len(moved) < 1200
    assert owner([], "room/1") is None


async def test_without_a_cluster_there_is_no_token() -> None:
    system = ActorSystem("alone")
    system.entities.define("counter", Counter)
    assert await system.entity("counter", "c").ask(Where()) == ("alone", 0)
    await system.stop()


async def test_tokens_grow_with_every_activation(nodes: Nodes) -> None:
    first = await nodes.start("first")
    fences = []
    for _ in range(5):
        fences.append((await first.counter("c").ask(Where()))[1])
        first.counter("c").stop()
    assert fences == sorted(set(fences))
    assert fences[0] > 0


async def test_entities_move_to_a_node_that_comes(nodes: Nodes) -> None:
    first = await nodes.start("first")
    names = [f"c{number}" for number in range(30)]
    before = {name: await first.counter(name).ask(Where()) for name in names}
    second = await nodes.start("second")
    after = {name: await first.counter(name).ask(Where()) for name in names}
    moved = [name for name in names if after[name][0] == "second"]
    assert 5 <= len(moved) <= 25
    assert all(after[name][1] > before[name][1] for name in moved)
    assert all(after[name] == before[name] for name in names if name not in moved)
    assert {name: await second.counter(name).ask(Where()) for name in names} == after


async def test_a_dead_nodes_entities_come_up_elsewhere(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    name = owned_by(second)[0]
    place, fence = await first.counter(name).ask(Where())
    assert place == "second"
    second.cluster.abandon()
    await until(lambda: first.cluster.view.owner(f"counter/{name}") == first.cluster.node)
    place, newer = await first.counter(name).ask(Where())
    assert place == "first"
    assert newer > fence


async def test_a_rolling_restart_loses_no_ask(nodes: Nodes) -> None:
    running = {name: await nodes.start(name) for name in ("a", "b", "c")}
    edge = await nodes.start("edge", carries=())
    failed: list[ParleyError] = []
    answered = 0
    going_on = True

    async def client(index: int) -> None:
        nonlocal answered
        while going_on:
            try:
                await edge.counter(f"c{index}").ask(Add(1), 10.0)
                answered += 1
            except ParleyError as error:
                failed.append(error)
            await asyncio.sleep(0.002)

    clients = [asyncio.create_task(client(index)) for index in range(16)]
    for name in ("a", "b", "c"):
        await leave(running[name])
        await nodes.start(name)
    going_on = False
    await asyncio.gather(*clients)
    assert failed == []
    assert answered > 200


async def leave(node: Node) -> None:
    assert await node.cluster.drain(10.0)
    await node.cluster.stop()
    await node.system.stop()


async def test_two_runs_of_one_name_are_two_nodes(nodes: Nodes) -> None:
    first, second = await nodes.start("same"), await nodes.start("same")
    assert first.cluster.node != second.cluster.node
    assert first.cluster.view.carriers("counter") == ["same"]
    assert (await first.counter("c").ask(Add(1)), await second.counter("c").ask(Add(1))) == (1, 2)
    assert first.cluster.view.owner("counter/c") == second.cluster.node


@pytest.fixture
def restartable(tmp_path: Path) -> Iterator[Server]:
    with valkey(*DURABLE, folder=tmp_path) as server:
        yield server


@pytest.fixture
async def on_restartable(restartable: Server) -> AsyncIterator[Nodes]:
    nodes = Nodes(url(restartable))
    yield nodes
    await nodes.stop()


async def test_redis_away_and_back(restartable: Server, on_restartable: Nodes) -> None:
    first, second = await on_restartable.start("first"), await on_restartable.start("second")
    here, there = owned_by(first)[0], owned_by(second)[0]
    assert await first.counter(here).ask(Add(1)) == 1
    assert await first.counter(there).ask(Add(1)) == 1
    fences = [(await first.counter(name).ask(Where()))[1] for name in (here, there)]
    await asyncio.to_thread(restartable.kill)
    assert await first.counter(here).ask(Add(1)) == 2  # what is here goes on
    with pytest.raises(ParleyError):  # what is elsewhere waits no longer than its deadline
        await first.counter(there).ask(Add(1), 0.3)
    await until(first.cluster.membership.away)
    with pytest.raises(NodeAway) as refused:
        await first.counter(there).ask(Add(1), 30.0)
    assert isinstance(refused.value, ParleyError)
    assert refused.value.code == Unavailable.code
    await until(lambda: first.cluster.membership.paused and second.cluster.membership.paused)
    waiting = asyncio.ensure_future(first.counter(here).ask(Add(1), 30.0))
    await asyncio.to_thread(restartable.start)
    assert await waiting == 3  # it was not lost: nobody could have taken it
    await until(lambda: not first.cluster.membership.away() and not second.cluster.membership.paused)
    assert await first.counter(there).ask(Add(0)) >= 1
    assert [(await first.counter(name).ask(Where()))[1] for name in (here, there)] == fences


async def test_a_node_that_cannot_reach_redis_does_not_start(nodes: Nodes) -> None:
    with pytest.raises(Unavailable):
        await nodes.start("lost", url="redis://127.0.0.1:1")
