"""What topics promise wherever they live: each test runs on a node alone and on Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime

import pytest

from protocols import events
from protocols.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable
from protocols.events import MeetingStarted, Topic
from runtime.engine import Backoff, NameTaken
from runtime.topics import GroupName, Published
from tests.runtime.topics.places import BRISK, Place
from tests.runtime.topics.subscribers import USERS, Listener, emptied, holds, name_of, named, publish_all

GROUP = GroupName(USERS.value, "g")


async def test_a_plain_subscriber_hears_each_event_of_its_topic_once_and_in_order(place: Place) -> None:
    async with place.node() as node:
        probe, other = node.probe(), node.probe()
        unsubscribe = node.topics.subscribe(USERS, probe.ref)
        node.topics.subscribe(Topic.AI, other.ref)
        envelope = await node.topics.publish(named("a"))
        await publish_all(node.topics, ["b", "c"])
        heard = [await probe.expect(Published) for _ in range(3)]
        assert heard[0].envelope == envelope
        assert [name_of(one) for one in heard] == ["a", "b", "c"]
        unsubscribe()
        last = node.probe()
        node.topics.subscribe(USERS, last.ref)
        await node.topics.publish(named("d"))
        await last.expect(Published)
        assert not probe.drain()
        assert not other.drain()
        assert node.topics.published == 4


async def test_what_nobody_could_read_is_not_published(place: Place) -> None:
    async with place.node() as node:
        with pytest.raises(TypeError, match="is no event"):
            await node.topics.publish("news")
        with pytest.raises(events.MalformedEvent):
            await node.topics.publish(MeetingStarted(1, datetime(2030, 1, 1)))  # noqa: DTZ001
        assert node.topics.published == 0


async def test_groups_and_plain_subscribers_all_get_it_in_order(place: Place) -> None:
    names = [str(number) for number in range(60)]
    async with place.node() as node:
        one: list[str] = []
        two: list[str] = []
        probe = node.probe()
        node.topics.subscribe_durable(USERS, "one", node.spawn(Listener, one), BRISK)
        node.topics.subscribe_durable(USERS, "two", node.spawn(Listener, two), BRISK)
        node.topics.subscribe(USERS, probe.ref)
        await asyncio.gather(*(node.topics.publish(named(name)) for name in names))
        await holds(lambda: len(one) == len(two) == len(names))
        await emptied(node.topics)
        assert one == two == names
        assert [name_of(await probe.expect(Published)) for _ in names] == names

        def delivered() -> dict[str, int]:
            return {name: group.delivered for name, group in node.topics.statistics().groups.items()}

        await holds(lambda: delivered() == {"user_events/one": 60, "user_events/two": 60})
        assert all(group.subscribed for group in node.topics.statistics().groups.values())


async def test_a_group_is_kept_events_of_while_nobody_subscribes(place: Place) -> None:
    for life in range(3):
        seen: list[str] = []
        async with place.node() as node:
            await node.topics.publish(named(f"early {life}"))
            node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen), BRISK)
            await node.topics.publish(named(f"late {life}"))
            expected = [f"early {life}", f"late {life}"] if life else ["late 0"]
            await holds(lambda expected=expected, seen=seen: seen == expected)  # type: ignore[misc]
            await emptied(node.topics)


async def test_a_failed_event_comes_again_then_is_dead_and_can_be_replayed_or_dropped(place: Place) -> None:
    mended = False
    seen: list[str] = []

    def answer(name: str) -> None:
        if name != "good" and not mended:
            raise InvalidArgument("no use")

    async with place.node() as node:
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen, answer), BRISK)
        bad = await node.topics.publish(named("bad"))
        await publish_all(node.topics, ["good", "worse"])
        await holds(lambda: node.topics.statistics().groups[str(GROUP)].dead == 2)
        await emptied(node.topics)
        assert Counter(seen) == {"bad": 3, "good": 1, "worse": 3}
        worse, first = await node.carrier.dead()
        assert (first.group, first.attempts, first.error) == (GROUP, 3, "InvalidArgument: no use")
        assert events.decode(first.envelope) == bad
        assert await node.carrier.dead(1) == [worse]
        assert await node.carrier.dead(5, before=worse.seq) == [first]
        figures = node.topics.statistics().groups[str(GROUP)]
        assert (figures.depth, figures.delivered, figures.retried) == (0, 1, 4)

        mended = True
        assert await node.carrier.replay([first.seq, 12345]) == 1
        await holds(lambda: seen.count("bad") == 4)
        assert await node.carrier.drop([worse.seq, first.seq]) == 1
        assert await node.carrier.dead() == []
        assert node.carrier.dead_counts == {}


async def test_a_subscriber_that_is_away_costs_no_attempt_and_gets_them_when_it_is_back(place: Place) -> None:
    away = True
    seen: list[str] = []

    def answer(_: str) -> None:
        if away:
            raise Unavailable("store away")

    async with place.node() as node:
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen, answer), BRISK)
        await publish_all(node.topics, ["a", "b", "c", "d", "e", "f"])
        await holds(lambda: node.topics.statistics().groups[str(GROUP)].away > 20)
        assert sum(node.topics.depths.values()) == 6
        away = False
        await emptied(node.topics)
        assert set("abcdef") <= set(seen)
        assert await node.carrier.dead() == []
        figures = node.topics.statistics().groups[str(GROUP)]
        assert (figures.retried, figures.delivered, figures.late) == (0, 6, 0)


async def test_a_subscriber_that_breaks_and_restarts_misses_nothing(place: Place) -> None:
    broken: list[str] = []
    seen: list[str] = []

    def break_once(name: str) -> None:
        if name in "bd" and name not in broken:
            broken.append(name)
            raise RuntimeError("defect")

    async with place.node() as node:
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen, break_once), BRISK)
        await publish_all(node.topics, list("abcdef"))
        await holds(lambda: len(seen) == 8)
        await emptied(node.topics)
        assert Counter(seen) == Counter("abcdefbd")


async def test_a_subscriber_that_fails_at_everything_does_not_go_through_all_that_waits(place: Place) -> None:
    def refuse(_: str) -> None:
        raise InvalidArgument("no use")

    seen: list[str] = []
    settings = replace(BRISK, max_attempts=5, backoff=Backoff(min_s=0.2, max_s=0.2, jitter=0.0))
    async with place.node() as node:
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen, refuse), settings)
        await publish_all(node.topics, [str(number) for number in range(30)])
        await holds(lambda: len(seen) >= 3 * settings.window)
        assert len(set(seen)) <= 2 * settings.window


async def test_a_full_group_refuses_for_all_and_nobody_hears_of_it(place: Place) -> None:
    async with place.node(limit=3) as node:
        probe = node.probe()
        node.topics.subscribe(USERS, probe.ref)
        stuck = asyncio.Event()
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, [], lambda _: stuck.wait()), BRISK)
        await publish_all(node.topics, ["a", "b", "c"])
        with pytest.raises(ResourceExhausted, match="group 'g' of user_events has 3 unhandled events"):
            await node.topics.publish(named("d"))
        # A topic without groups goes on.
        await node.topics.publish(MeetingStarted(1, datetime.fromisoformat("2030-01-01T00:00:00+00:00")))
        stuck.set()
        await emptied(node.topics)
        await node.topics.publish(named("e"))
        assert [name_of(await probe.expect(Published)) for _ in range(4)] == ["a", "b", "c", "e"]
        assert node.topics.published == 5


async def test_a_group_has_one_subscriber_on_a_node_and_a_plain_name(place: Place) -> None:
    async with place.node() as node:
        seen: list[str] = []
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, seen), BRISK)
        with pytest.raises(NameTaken):
            node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, []))
        with pytest.raises(ValueError, match="a group's name"):
            node.topics.subscribe_durable(USERS, "a/b", node.spawn(Listener, []))
        await node.topics.publish(named("a"))
        await holds(lambda: seen == ["a"])


async def test_a_group_that_is_ended_settles_what_is_in_flight_and_keeps_the_rest(place: Place) -> None:
    async with place.node() as node:
        seen: list[str] = []
        gate = asyncio.Event()
        listener = node.spawn(Listener, seen, lambda _: gate.wait())
        node.topics.subscribe_durable(USERS, "g", listener, BRISK)
        await publish_all(node.topics, ["a", "b"])
        await holds(lambda: seen == ["a"])
        gate.set()
        await node.topics.end_durable(USERS, "g")
        assert not node.topics.statistics().groups[str(GROUP)].subscribed
        await node.topics.publish(named("c"))
        node.topics.subscribe_durable(USERS, "g", listener, BRISK)
        await holds(lambda: "c" in seen)
        await emptied(node.topics)
        assert seen == ["a", "b", "c"]
        assert node.topics.statistics().groups[str(GROUP)].delivered == 3


async def test_a_group_can_be_forgotten_but_not_under_its_subscriber(place: Place) -> None:
    async with place.node() as node:
        node.topics.subscribe_durable(USERS, "g", node.spawn(Listener, []), BRISK)
        await holds(lambda: node.topics.statistics().groups[str(GROUP)].subscribed)
        with pytest.raises(FailedPrecondition, match="user_events/g"):
            await node.carrier.forget(GROUP)
        await node.topics.end_durable(USERS, "g")
        await publish_all(node.topics, ["a", "b"])
        assert await node.carrier.forget(GROUP) == 2
        assert node.topics.depths == {}
        await node.topics.publish(named("c"))
        assert node.topics.depths == {}


async def test_a_closed_carrier_takes_no_event(place: Place) -> None:
    async with place.node() as node:
        probe = node.probe()
        node.topics.subscribe(USERS, probe.ref)
        node.topics.subscribe_durable(USERS, "g", probe.ref)
        await node.carrier.close()
        with pytest.raises(Unavailable):
            await node.topics.publish(named("a"))
        assert (node.topics.published, probe.drain()) == (0, [])
