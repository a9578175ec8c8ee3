"""What nodes hear of strangers, and how they notice what they have missed."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from protocols import events
from protocols.events import Topic
from runtime.redis import RedisClients
from runtime.topics import Published
from runtime.topics.backend import HearingStatistics
from runtime.topics.redis_hearing import TopicNumbers
from runtime.topics.redis_topics import RedisTopics
from tests.runtime.topics.places import BRISK, Node, redis_node
from tests.runtime.topics.subscribers import USERS, Listener, emptied, holds, name_of, named, publish_all

NUMBERS = "parley:{topics}:numbers"


def hearing(node: Node) -> HearingStatistics:
    told = node.topics.statistics().hearing
    assert told is not None
    return told


def strange(name: str, **changed: Any) -> bytes:
    """An event as another program would write it."""
    envelope = {
        "type": "user.status_changed",
        "source": "a service in Go",
        "timestamp": "2030-01-01T01:00:00+01:00",
        "message_id": f"go-{name}",
        "payload": {"user_id": 1, "old_status": "", "new_status": name},
        "trace": "not ours",
    }
    return orjson.dumps(envelope | changed)


async def test_an_event_on_the_wire_is_the_envelope_with_a_number_after_it(redis_url: str, redis: RedisClients) -> None:
    async with redis_node(redis_url, "one") as node, await redis.listening() as client, client.pubsub() as heard:
        await heard.subscribe("user_events")
        envelope = await node.topics.publish(named("a"))
        data = b""
        while not isinstance(data, bytes) or not data:
            message = await heard.get_message(timeout=5)
            data = message["data"] if message is not None and message["type"] == "message" else b""
        told = orjson.loads(data)
        assert list(told) == ["message_id", "type", "payload", "timestamp", "source", "number"]
        assert (told["source"], told["number"], told["type"]) == ("one", 1, "user.status_changed")
        assert events.decode(data) == envelope


async def test_a_strangers_event_is_heard_by_all_and_goes_to_a_group_once(redis_url: str, redis: RedisClients) -> None:
    async with redis_node(redis_url, "one") as one, redis_node(redis_url, "two") as two:
        seen: list[str] = []
        probes = [one.probe(), two.probe()]
        for node, probe in zip((one, two), probes, strict=True):
            node.topics.subscribe(USERS, probe.ref)
            node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen), BRISK)
        await publish_all(one.topics, ["ours"])
        await redis.commands.publish("user_events", strange("theirs"))
        for probe in probes:
            assert [name_of(await probe.expect(Published)) for _ in range(2)] == ["ours", "theirs"]
        await holds(lambda: len(seen) == 2)
        await emptied(one.topics)
        assert sorted(seen) == ["ours", "theirs"]
        assert hearing(one).foreign == hearing(two).foreign == 1


async def test_what_is_no_event_is_counted_and_skipped(redis_url: str, redis: RedisClients) -> None:
    malformed = [
        b"",
        b"\xff\xfe",
        b"{}",
        b"null",
        b"[" * 100_000,
        strange("x")[:-5],
        strange("x", type="of.tomorrow"),
        strange("x", type="meeting.started", payload={"meeting_id": 1, "actual_start_time": "2030-01-01T00:00:00Z"}),
        strange("x", payload={"user_id": "one"}),
        strange("x", timestamp="yesterday"),
        strange("x", message_id=""),
        strange("x", message_id="x" * 1000),
    ]
    async with redis_node(redis_url) as node:
        seen: list[str] = []
        probe = node.probe()
        node.topics.subscribe(USERS, probe.ref)
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen), BRISK)
        for data in malformed:
            await redis.commands.publish("user_events", data)
        await redis.commands.publish("parley:{topics}:wake", b"\xff")
        await node.topics.publish(named("good"))
        assert name_of(await probe.expect(Published)) == "good"
        await holds(lambda: seen == ["good"])
        assert hearing(node).malformed == len(malformed)
        assert not probe.drain()


async def test_a_subscription_that_is_cut_comes_back_and_its_gap_is_counted(
    redis_url: str, redis: RedisClients
) -> None:
    async with redis_node(redis_url, "one") as one, redis_node(redis_url, "two") as two:
        probe = one.probe()
        one.topics.subscribe(USERS, probe.ref)
        await two.topics.publish(named("a"))
        assert name_of(await probe.expect(Published)) == "a"
        await redis.commands.client_kill_filter(_type="pubsub")
        await publish_all(two.topics, ["b", "c", "d"])
        await holds(lambda: carrier(one)._hearing._begun >= 12)
        await two.topics.publish(named("e"))
        heard = [name_of(await probe.expect(Published))]
        while heard[-1] != "e":
            heard.append(name_of(await probe.expect(Published)))
        assert hearing(one).missed == 4 - len(heard)
        assert hearing(one).gaps == (hearing(one).missed > 0)


def carrier(node: Node) -> RedisTopics:
    assert isinstance(node.carrier, RedisTopics)
    return node.carrier


async def test_a_subscription_that_has_gone_deaf_is_made_anew(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with redis_node(redis_url) as node:
        ear = carrier(node)._hearing
        await node.topics.publish(named("a"))
        await holds(lambda: ear.statistics.heard == 1)
        monkeypatch.setattr(ear._listener, "_heard", lambda *_: None)  # as on a line that was cut without a word
        begun = ear._begun
        await node.topics.publish(named("b"))
        await holds(lambda: ear._begun > begun, 5)


@pytest.mark.parametrize(
    ("numbers", "missed", "gaps"),
    [([5, 6, 7], 0, 0), ([1, 2, 5], 2, 1), ([1, 4, 6], 3, 2), ([7, 8, 3, 4], 0, 1), ([7, 7], 0, 1)],
)
def test_holes_in_the_numbers_are_counted(numbers: list[int], missed: int, gaps: int) -> None:
    topic = TopicNumbers()
    for number in numbers:
        topic.heard(number)
    assert (topic.missed, topic.gaps) == (missed, gaps)


def test_silence_is_measured_from_when_something_should_have_come() -> None:
    topic = TopicNumbers()
    assert topic.published(5, 0.0) == 0.0  # of before it began
    assert topic.published(6, 10.0) == 0.0
    assert topic.published(8, 13.0) == 3.0
    topic.heard(6)
    assert topic.published(8, 14.0) == 0.0
    assert topic.published(8, 16.0) == 2.0
    topic.began_again()
    assert topic.published(8, 20.0) == 0.0
    topic.heard(9)
    assert (topic.missed, topic.gaps) == (2, 1)
    assert topic.published(3, 30.0) == 0.0  # the server has lost its last second
    assert topic.published(3, 40.0) == 0.0


async def test_numbers_go_on_over_a_restart_of_nodes(redis_url: str, redis: RedisClients) -> None:
    for _ in range(2):
        async with redis_node(redis_url) as node:
            await publish_all(node.topics, ["a", "b"])
            await node.topics.publish(events.MeetingEnded(1, node.system.clock.now(), 1.0))
    assert await redis.commands.hgetall(NUMBERS) == {b"user_events": b"4", b"meeting_events": b"2"}


async def test_topics_have_one_channel_each(redis_url: str, redis: RedisClients) -> None:
    async with redis_node(redis_url):
        channels = await redis.commands.pubsub_channels()
        assert sorted(channels) == sorted([b"parley:{topics}:wake", *(topic.value.encode() for topic in Topic)])
