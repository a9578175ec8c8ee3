"""Topics of several nodes on one Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from protocols import events
from protocols.errors import FailedPrecondition, Unavailable
from runtime.redis import RedisClients, Script
from runtime.topics import GroupName, Published
from runtime.topics.journal_file import Outcome
from runtime.topics.redis_calls import CLAIM, PUBLISH, SETTLE, RedisTopicsSettings
from runtime.topics.redis_topics import RedisTopics
from tests.runtime.topics.places import BRISK, QUICK, Node, redis_node
from tests.runtime.topics.subscribers import USERS, Listener, emptied, holds, name_of, named, publish_all

G = GroupName(USERS.value, "g")
KEYS = "parley:{topics}:"


@pytest.fixture
async def one(redis_url: str) -> AsyncIterator[Node]:
    async with redis_node(redis_url, "one") as node:
        yield node


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[Node]:
    async with redis_node(redis_url, "two") as node:
        yield node


def carrier(node: Node) -> RedisTopics:
    assert isinstance(node.carrier, RedisTopics)
    return node.carrier


def lose_answer(node: Node, script: Script, patch: pytest.MonkeyPatch) -> list[bool]:
    """Let the next run of a script be done and its answer be lost. Returns a list that is filled when that was."""
    calls = carrier(node)._calls
    run = calls.run
    lost: list[bool] = []

    async def lossy(wanted: Script, *arguments: Any, within_s: float | None = None) -> Any:
        answer = await run(wanted, *arguments, within_s=within_s)
        if wanted is script and not lost:
            lost.append(True)
            raise Unavailable("the answer was lost")
        return answer

    patch.setattr(calls, "run", lossy)
    return lost


async def test_every_node_hears_every_event_once_and_in_one_order(one: Node, two: Node) -> None:
    probes = [one.probe(), two.probe()]
    one.topics.subscribe(USERS, probes[0].ref)
    two.topics.subscribe(USERS, probes[1].ref)
    await asyncio.gather(*(node.topics.publish(named(f"{n}")) for n in range(100) for node in (one, two)))
    heard = [[name_of(await probe.expect(Published)) for _ in range(200)] for probe in probes]
    assert heard[0] == heard[1]
    assert Counter(heard[0]) == Counter([f"{n}" for n in range(100)] * 2)
    await asyncio.sleep(0.1)
    assert not probes[0].drain()
    hearing = two.topics.statistics().hearing
    assert hearing is not None
    assert (hearing.heard, hearing.missed, hearing.gaps, hearing.foreign, hearing.malformed) == (200, 0, 0, 0, 0)


async def test_each_event_of_a_group_goes_to_one_node_in_order(one: Node, two: Node) -> None:
    seen: dict[str, list[int]] = {"one": [], "two": []}

    def keep(node: Node, key: str) -> Any:
        def answer(name: str) -> Any:
            seen[key].append(int(name))
            return asyncio.sleep(0.002)

        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, [], answer), BRISK)

    keep(one, "one")
    keep(two, "two")
    await publish_all(one.topics, [str(number) for number in range(200)])
    await holds(lambda: len(seen["one"]) + len(seen["two"]) == 200)
    await emptied(two.topics)
    assert sorted(seen["one"] + seen["two"]) == list(range(200))
    assert seen["one"] == sorted(seen["one"])
    assert seen["two"] == sorted(seen["two"])
    assert min(len(seen["one"]), len(seen["two"])) > 20


async def test_claims_are_in_order_of_publication_whoever_claims(one: Node, two: Node) -> None:
    carrier(one).admit(G)
    await publish_all(one.topics, list("abcdef"))
    names = []
    for node in (one, two, one):
        entries = await carrier(node).pending(G, 0, 2)
        names += [events.decode(entry.envelope).payload.new_status for entry in entries]
    assert names == list("abcdef")


async def test_what_a_dead_node_had_comes_to_another_and_its_late_answer_is_refused(one: Node, redis_url: str) -> None:
    carrier(one).admit(G)
    async with redis_node(redis_url, "dying") as dying:
        await publish_all(one.topics, ["a", "b", "c"])
        first, second, _ = await carrier(dying).pending(G, 0, 3)
        for task in carrier(dying)._tasks:
            task.cancel()  # nobody renews its leases any more
        seen: list[str] = []
        one.topics.subscribe_durable(USERS, "g", one.spawn(Listener, seen), BRISK)
        await holds(lambda: seen == ["a", "b", "c"])
        await emptied(one.topics)
        outcome = Outcome(handled=(first.seq,), dead=((second.seq, "no use"),))
        assert await carrier(dying).settle(G, outcome) == (0, 0)
        assert carrier(dying).late_counts[G] == 2
        assert await carrier(one).dead() == []


async def test_a_late_answer_does_not_touch_the_claim_of_another(one: Node, two: Node) -> None:
    carrier(one).admit(G)
    await one.topics.publish(named("a"))
    (mine,) = await carrier(one).pending(G, 0, 1)
    for task in carrier(one)._tasks:
        task.cancel()
    await asyncio.sleep(QUICK.lease_s + 0.05)
    (theirs,) = await carrier(two).pending(G, 0, 1)
    assert theirs.seq == mine.seq
    for late in (Outcome(handled=(mine.seq,)), Outcome(failed=(mine.seq,), back=((mine.seq, 0.0),))):
        assert await carrier(one).settle(G, late) == (0, 0)
    assert await carrier(two).settle(G, Outcome(handled=(theirs.seq,))) == (1, 0)


async def test_a_node_that_lives_keeps_what_it_handles_for_as_long_as_it_takes(one: Node, two: Node) -> None:
    carrier(one).admit(G)
    await one.topics.publish(named("a"))
    (entry,) = await carrier(one).pending(G, 0, 1)
    await asyncio.sleep(2 * QUICK.lease_s)
    assert await carrier(two).pending(G, 0, 1) == []
    assert await carrier(one).settle(G, Outcome(handled=(entry.seq,))) == (1, 0)


async def test_what_a_node_cannot_handle_another_does(one: Node, two: Node) -> None:
    def away(_: str) -> None:
        raise Unavailable("store away")

    refused: list[str] = []
    seen: list[str] = []
    one.topics.subscribe_durable(USERS, "g", one.spawn(Listener, refused, away), BRISK)
    await publish_all(one.topics, list("abc"))
    await holds(lambda: len(refused) >= 3)
    two.topics.subscribe_durable(USERS, "g", two.spawn(Listener, seen), BRISK)
    await holds(lambda: Counter(seen) == Counter("abc"))
    await emptied(two.topics)


async def test_a_node_that_stops_gives_back_what_it_had_at_once(one: Node, redis_url: str) -> None:
    seen: list[str] = []
    stuck: list[str] = []
    slow = replace(QUICK, lease_s=30.0)
    async with redis_node(redis_url, "stopping", slow) as stopping:
        hanging = stopping.spawn(Listener, stuck, lambda _: asyncio.Event().wait())
        stopping.topics.subscribe_durable(USERS, "g", hanging, BRISK)
        await publish_all(stopping.topics, list("abc"))
        await holds(lambda: stuck == ["a"])
        one.topics.subscribe_durable(USERS, "g", one.spawn(Listener, seen), BRISK)
    await holds(lambda: sorted(seen) == list("abc"), 5)


async def test_a_claim_whose_answer_was_lost_is_claimed_again(one: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    lost = lose_answer(one, CLAIM, monkeypatch)
    carrier(one).admit(G)
    await publish_all(one.topics, list("abc"))
    one.topics.subscribe_durable(USERS, "g", one.spawn(Listener, seen), BRISK)
    async with asyncio.timeout(QUICK.lease_s / 2):
        await holds(lambda: seen == list("abc"))
    assert lost


async def test_an_outcome_whose_answer_was_lost_is_no_late_one(one: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    lost = lose_answer(one, SETTLE, monkeypatch)
    one.topics.subscribe_durable(USERS, "g", one.spawn(Listener, seen), BRISK)
    await publish_all(one.topics, list("abc"))
    await holds(lambda: one.topics.statistics().groups[str(G)].delivered == 3)
    assert lost
    assert seen == list("abc")
    assert one.topics.statistics().groups[str(G)].late == 0


async def test_a_publish_whose_answer_was_lost_is_done_once(
    one: Node, two: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    probe = two.probe()
    two.topics.subscribe(USERS, probe.ref)
    two.topics.subscribe_durable(USERS, "g", two.spawn(Listener, seen), BRISK)
    await holds(lambda: G in carrier(one).depths)
    lost = lose_answer(one, PUBLISH, monkeypatch)
    await publish_all(one.topics, ["a", "b"])
    assert lost
    await holds(lambda: seen == ["a", "b"])
    assert [name_of(await probe.expect(Published)) for _ in range(2)] == ["a", "b"]
    await one.topics.publish(named("c"), message_id="c-1")
    await one.topics.publish(named("c"), message_id="c-1")
    await one.topics.publish(named("d"))
    await holds(lambda: seen == ["a", "b", "c", "d"])
    assert [name_of(await probe.expect(Published)) for _ in range(2)] == ["c", "d"]


async def test_a_group_is_not_forgotten_under_a_subscriber_of_another_node(one: Node, redis_url: str) -> None:
    async with redis_node(redis_url, "two") as two:
        two.topics.subscribe_durable(USERS, "g", two.spawn(Listener, []), BRISK)
        await holds(lambda: G in carrier(one).depths)
        with pytest.raises(FailedPrecondition, match="user_events/g"):
            await carrier(one).forget(G)
    assert await carrier(one).forget(G) == 0
    await holds(lambda: G not in carrier(one).depths)


async def test_dead_events_are_bounded_and_the_oldest_make_room(redis_url: str) -> None:
    def refuse(_: str) -> None:
        raise RuntimeError("defect")

    async with redis_node(redis_url, settings=replace(QUICK, dead_limit=3)) as node:
        settings = replace(BRISK, max_attempts=1)
        node.system.entities.define("listener", lambda _: Listener([], refuse))
        node.topics.subscribe_durable(USERS, "g", node.system.entity("listener", "1"), settings)
        await publish_all(node.topics, list("abc"))
        await holds(lambda: carrier(node).dead_counts == {G: 3})
        await publish_all(node.topics, list("de"))
        await emptied(node.topics)
        names = [events.decode(dead.envelope).payload.new_status for dead in await carrier(node).dead()]
        assert names == ["e", "d", "c"]
        assert carrier(node).dead_counts == {G: 3}


async def test_what_a_stranger_put_into_a_groups_list_goes_to_the_dead(one: Node, redis: RedisClients) -> None:
    seen: list[str] = []
    one.topics.subscribe_durable(USERS, "g", one.spawn(Listener, seen), BRISK)
    await one.topics.publish(named("a"))
    await redis.commands.rpush(f"{KEYS}waiting:{G}", b"\xff no entry", b"1 0 {}", b"")
    await one.topics.publish(named("b"))
    await holds(lambda: seen == ["a", "b"])
    await emptied(one.topics)
    assert {dead.envelope for dead in await carrier(one).dead()} == {b"\xff no entry", b"{}", b""}


async def test_settings_without_sense_are_refused() -> None:
    for wrong in ({"limit": 0}, {"poll_s": 0.0}, {"lease_s": 1.0}, {"remembered_s": 0.1}):
        with pytest.raises(ValueError, match=r"at least|above"):
            RedisTopicsSettings(**wrong)
