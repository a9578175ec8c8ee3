"""Messages between nodes over a real Redis: the same promises as on one node."""

from __future__ import annotations

import asyncio

import pytest

from protocols.errors import InvalidArgument
from runtime.cluster import NodeAway, NotSendable
from runtime.engine import Actor, AskTimeout, HandlerFailed, NoSuchActor, Ref, Unhandled
from tests.runtime.cluster.nodes import (
    Add,
    AskVia,
    Counter,
    Fail,
    Nodes,
    Open,
    Refuse,
    Unregistered,
    Wait,
    WatchIt,
    Where,
    WhoAreYou,
    owned_by,
    until,
)


async def test_an_entity_is_one_and_the_same_from_every_node(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    for index in range(10):
        assert await first.counter(f"c{index}").ask(Add(2)) == 2
        assert await second.counter(f"c{index}").ask(Add(3)) == 5
        assert await first.counter(f"c{index}").ask(Where()) == await second.counter(f"c{index}").ask(Where())
    places = {(await first.counter(f"c{index}").ask(Where()))[0] for index in range(10)}
    assert places == {"first", "second"}


async def test_tells_of_one_sender_arrive_in_order_and_once(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    seen: list[int] = []

    class Listener(Actor):
        def receive(self, message: Add) -> None:
            seen.append(message.amount)

    address = second.cluster.address_of(second.system.spawn(Listener, name="listener"))
    assert address == f"{second.cluster.node}/listener"
    ref = first.cluster.ref_at(address)
    for number in range(2000):
        assert ref.tell(Add(number))
    await until(lambda: len(seen) == 2000)
    assert seen == list(range(2000))


async def test_refs_travel_inside_messages_and_answers(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    here, there = owned_by(first)[0], owned_by(second)[0]
    own = first.system.spawn(Counter, "own", name="own")
    assert await first.counter(there).ask(AskVia(own)) == 1
    assert await first.counter(there).ask(AskVia(second.counter(here))) == 1
    very_one = await first.counter(there).ask(WhoAreYou())
    assert isinstance(very_one, Ref)
    assert very_one.path == f"{second.cluster.node}/counter/{there}"
    assert await very_one.ask(Add(0)) == 0
    assert first.cluster.ref_at(first.cluster.address_of(own)) == own


async def test_errors_stay_themselves(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    ref = first.counter(owned_by(second)[0])
    with pytest.raises(InvalidArgument) as refused:
        await ref.ask(Refuse())
    assert refused.value.detail == "no such amount"
    assert refused.value.retry_after_s == 2.5
    assert [(fault.field, fault.detail) for fault in refused.value.faults] == [("amount", "is wrong")]
    with pytest.raises(HandlerFailed):
        await ref.ask(Fail())
    with pytest.raises(Unhandled):
        await ref.ask(Open())
    with pytest.raises(NoSuchActor):
        await first.cluster.ref_at(f"{second.cluster.node}/nobody").ask(Add(1))
    with pytest.raises(NotSendable, match="is no message"):
        await ref.ask(Unregistered())
    assert not ref.tell(Unregistered())
    assert "is no message" in first.system.dead_letters.latest[-1].detail


async def test_a_deadline_and_a_cancellation_cross(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    gate = first.system.entity("gate", owned_by(second, kind="gate")[0])
    with pytest.raises(AskTimeout):
        await gate.ask(Wait(), 0.2)
    waiting = asyncio.ensure_future(gate.ask(Wait(), 20.0))
    staying = asyncio.ensure_future(gate.ask(Wait(), 20.0))
    await until(lambda: second.cluster.statistics().owed >= 2)
    assert await gate.ask(Open()) == 2
    waiting.cancel()
    await until(lambda: second.cluster.statistics().owed == 1)
    assert await gate.ask(Open()) == 1
    staying.cancel()
    await until(lambda: second.cluster.statistics().owed == 0 and first.cluster.statistics().asked == 0)


async def test_a_watch_crosses_and_ends_with_the_actor_or_its_node(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    watcher = first.system.spawn(Counter, "watcher")
    target = second.system.spawn(Counter, "target")
    remote = first.cluster.ref_at(second.cluster.address_of(target))
    entity = first.counter(owned_by(second)[0])
    other = first.cluster.ref_at(second.cluster.address_of(second.system.spawn(Counter, "other")))
    gone = first.system.cell_of(watcher).actor.gone  # type: ignore[attr-defined]
    for ref in (remote, entity, other):
        await watcher.ask(WatchIt(ref))
    await entity.ask(Add(1))
    target.stop()
    await until(lambda: gone == [remote.path])
    entity.stop()
    await until(lambda: gone == [remote.path, entity.path])
    second.cluster.abandon()
    await until(lambda: gone == [remote.path, entity.path, other.path])
    # One that is gone already is told of at once.
    await watcher.ask(WatchIt(other))
    await until(lambda: len(gone) == 4)


async def test_stop_and_wait_stopped_cross(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    target = second.system.spawn(Counter, "target")
    remote = first.cluster.ref_at(second.cluster.address_of(target))
    waiting = asyncio.ensure_future(remote.wait_stopped())
    await until(lambda: second.cluster.statistics().owed == 1)
    remote.stop()
    await asyncio.wait_for(waiting, 5)
    assert second.system.cell_of(target).stopped
    await first.counter("idle").wait_stopped()  # not active: nothing to wait for


async def test_wait_tell_waits_for_room_over_there(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    gate = first.system.entity("gate", owned_by(second, kind="gate")[0])
    for _ in range(20):
        await gate.wait_tell(Wait(), 5.0)
    assert await gate.ask(Open()) == 0  # they were told, not asked


async def test_a_dead_node_fails_its_asks_soon(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    gate = first.system.entity("gate", owned_by(second, kind="gate")[0])
    waiting = asyncio.ensure_future(gate.ask(Wait(), 60.0))
    await until(lambda: second.cluster.statistics().owed == 1)
    second.cluster.abandon()
    with pytest.raises(NodeAway):
        await asyncio.wait_for(waiting, 10)
    assert await gate.ask(Open(), 5.0) == 0  # up again, here


async def test_a_kind_that_nobody_carries_is_away_and_one_that_nobody_knows_is_an_error(nodes: Nodes) -> None:
    first = await nodes.start("first", carries=("gate",))
    with pytest.raises(NodeAway):
        await first.counter("c").ask(Add(1))
    assert not first.counter("c").tell(Add(1))
    with pytest.raises(NoSuchActor):
        first.system.entity("misspelt", "c")
    second = await nodes.start("second")
    assert await first.counter("c").ask(Add(1)) == 1
    assert (await first.counter("c").ask(Where()))[0] == second.system.name


async def test_a_message_that_comes_twice_is_handled_once(nodes: Nodes) -> None:
    first, second = await nodes.start("first"), await nodes.start("second")
    ref = first.counter(owned_by(second)[0])
    await ref.ask(Add(1))
    send = first.cluster._transport.send

    async def twice(parcels: object) -> list[bool]:
        await send(parcels)  # type: ignore[arg-type]
        return await send(parcels)  # type: ignore[arg-type]

    first.cluster._transport.send = twice  # type: ignore[method-assign]
    assert [await ref.ask(Add(1)) for _ in range(10)] == list(range(2, 12))
    assert second.cluster.statistics().parcels_repeated >= 10
