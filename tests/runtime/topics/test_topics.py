from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from protocols import events
from protocols.errors import ResourceExhausted, Unavailable
from protocols.events import MeetingStarted, Topic
from runtime.engine import ActorSystem, NameTaken, Options
from runtime.testkit import Probe, Simulation, simulate
from runtime.topics import GroupSettings, Journal, Published, Topics
from tests.runtime.topics.subscribers import FEW, USERS, Listener, emptied, name_of, named, publish_all


@pytest.fixture
async def system() -> AsyncIterator[ActorSystem]:
    made = ActorSystem()
    yield made
    await made.stop()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path / "journal.db", limit=3)
    yield opened
    await opened.close()


@pytest.fixture
async def topics(system: ActorSystem, journal: Journal) -> Topics:
    return Topics(system, journal, source="node-1")


async def test_a_plain_subscriber_hears_each_event_of_its_topic_in_order(system: ActorSystem, topics: Topics) -> None:
    probe, other = Probe(system), Probe(system)
    topics.subscribe(USERS, probe.ref)
    topics.subscribe(Topic.AI, other.ref)
    envelope = await topics.publish(named("a"))
    await topics.publish(named("b"))
    first = await probe.expect(Published)
    assert first.envelope == envelope
    assert (envelope.source, envelope.type, envelope.topic) == ("node-1", "user.status_changed", USERS)
    assert name_of(await probe.expect(Published)) == "b"
    assert not other.drain()
    assert topics.published == 2
    assert topics.statistics().published == {**dict.fromkeys(map(str, Topic), 0), "user_events": 2}


async def test_unsubscribing_ends_it_and_may_be_done_twice(system: ActorSystem, topics: Topics) -> None:
    probe = Probe(system)
    unsubscribe = topics.subscribe(USERS, probe.ref)
    topics.subscribe(USERS, probe.ref)  # once more is not twice
    await topics.publish(named("a"))
    await probe.expect(Published)
    unsubscribe()
    unsubscribe()
    await topics.publish(named("b"))
    await asyncio.sleep(0)
    assert not probe.drain()


async def test_a_plain_subscriber_that_is_gone_or_full_holds_up_nobody(system: ActorSystem, topics: Topics) -> None:
    probe = Probe(system)
    gone = system.spawn(Listener, [])
    gone.stop()
    await gone.wait_stopped()
    stuck = system.spawn(Listener, [], lambda _: asyncio.sleep(60), options=Options(capacity=1, stop_timeout_s=0.0))
    for ref in (gone, stuck, probe.ref):
        topics.subscribe(USERS, ref)
    await publish_all(topics, ["a", "b", "c"])
    assert [name_of(await probe.expect(Published)) for _ in range(3)] == ["a", "b", "c"]


async def test_only_events_that_can_be_read_again_are_published(topics: Topics) -> None:
    with pytest.raises(TypeError, match="is no event"):
        await topics.publish("news")
    with pytest.raises(events.MalformedEvent):
        await topics.publish(MeetingStarted(1, datetime(2030, 1, 1)))  # noqa: DTZ001
    assert topics.published == 0


async def test_groups_and_plain_subscribers_all_get_it(system: ActorSystem, topics: Topics) -> None:
    one: list[str] = []
    two: list[str] = []
    probe = Probe(system)
    topics.subscribe_durable(USERS, "one", system.spawn(Listener, one))
    topics.subscribe_durable(USERS, "two", system.spawn(Listener, two))
    topics.subscribe(USERS, probe.ref)
    await publish_all(topics, ["a", "b", "c"])
    await emptied(topics)
    assert one == two == ["a", "b", "c"]
    assert [name_of(message) for message in probe.drain()] == ["a", "b", "c"]
    figures = topics.statistics().groups
    assert {name: group.delivered for name, group in figures.items()} == {"user_events/one": 3, "user_events/two": 3}
    assert all(group.subscribed for group in figures.values())


async def test_what_the_journal_refuses_nobody_hears_of(system: ActorSystem, topics: Topics, journal: Journal) -> None:
    probe = Probe(system)
    topics.subscribe(USERS, probe.ref)
    options = Options(stop_timeout_s=0.0)
    slow = system.spawn(Listener, [], lambda _: asyncio.sleep(60), options=options)
    topics.subscribe_durable(USERS, "g", slow, GroupSettings(drain_timeout_s=0.0))
    await publish_all(topics, ["a", "b", "c"])
    with pytest.raises(ResourceExhausted, match="group 'g' of user_events has 3 unhandled events"):
        await topics.publish(named("d"))
    # A topic without groups goes on.
    await topics.publish(MeetingStarted(1, datetime.fromisoformat("2030-01-01T00:00:00+00:00")))
    assert topics.published == 4
    assert [name_of(await probe.expect(Published)) for _ in range(3)] == ["a", "b", "c"]
    await asyncio.sleep(0)
    assert not probe.drain()


async def test_a_closed_journal_takes_no_event(system: ActorSystem, topics: Topics, journal: Journal) -> None:
    probe = Probe(system)
    topics.subscribe(USERS, probe.ref)
    topics.subscribe_durable(USERS, "g", probe.ref)
    await journal.close()
    with pytest.raises(Unavailable):
        await topics.publish(named("a"))
    assert (topics.published, topics.depths, probe.drain()) == (0, {"user_events/g": 0}, [])


async def test_a_group_is_kept_events_of_before_it_subscribes_once_it_has_existed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    for life in range(3):
        system, journal = ActorSystem(), await Journal.open(path)
        topics = Topics(system, journal, source="here")
        seen: list[str] = []
        await topics.publish(named(f"early {life}"))
        assert topics.depths == ({"user_events/g": 1} if life else {})
        topics.subscribe_durable(USERS, "g", system.spawn(Listener, seen))
        await topics.publish(named(f"late {life}"))
        await emptied(topics)
        # Nothing before its very first subscription is its own.
        assert seen == ([f"early {life}", f"late {life}"] if life else ["late 0"])
        await system.stop()
        await journal.close()


async def test_a_group_has_one_subscriber_and_a_plain_name(system: ActorSystem, topics: Topics) -> None:
    seen: list[str] = []
    topics.subscribe_durable(USERS, "g", system.spawn(Listener, seen))
    with pytest.raises(NameTaken):
        topics.subscribe_durable(USERS, "g", system.spawn(Listener, []))
    topics.subscribe_durable(Topic.AI, "g", system.spawn(Listener, []))
    for bad in ("", "a/b"):
        with pytest.raises(ValueError, match="a group's name"):
            topics.subscribe_durable(USERS, bad, system.spawn(Listener, []))
    await topics.publish(named("a"))
    await emptied(topics)
    assert seen == ["a"]
    assert topics.depths == {"user_events/g": 0, "ai_events/g": 0}


async def test_dead_events_can_be_replayed_through_the_journal(
    system: ActorSystem, topics: Topics, journal: Journal
) -> None:
    mended = False
    seen: list[str] = []

    def answer(_: str) -> None:
        if not mended:
            raise RuntimeError("defect")

    settings = GroupSettings(max_attempts=1)
    topics.subscribe_durable(USERS, "g", system.spawn(Listener, seen, answer), settings)
    envelope = await topics.publish(named("a"))
    await emptied(topics)
    (dead,) = await journal.dead()
    assert events.decode(dead.envelope) == envelope
    assert "HandlerFailed" in dead.error
    mended = True
    assert await journal.replay([dead.seq]) == 1
    await emptied(topics)
    assert (seen, await journal.dead()) == (["a", "a"], [])
    assert topics.statistics().groups["user_events/g"].dead == 0


def test_a_cancelled_publish_is_not_left_lying() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = await Journal.in_memory()
        topics = Topics(sim.system, journal, source="here")
        seen: list[str] = []
        topics.subscribe_durable(USERS, "g", sim.system.spawn(Listener, seen), FEW)
        await sim.settle()
        publishing = asyncio.create_task(topics.publish(named("a")))
        await asyncio.sleep(0)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        await emptied(topics)
        assert seen == ["a"]
        await sim.system.stop()
        await journal.close()

    simulate(scenario)
