from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from protocols.errors import InvalidArgument, Unavailable
from runtime.engine import Actor, ActorSystem, Options, Ref
from runtime.testkit import Simulation, explore, simulate
from runtime.topics import GroupName, GroupSettings, Journal, Topics
from tests.runtime.topics.subscribers import FEW, STEADY, USERS, Listener, emptied, named, publish_all

GROUP = GroupName(USERS.value, "g")


@asynccontextmanager
async def topics_of(sim: Simulation, **options: Any) -> Any:
    """Topics on a journal in memory, with both ended in the end."""
    journal = await Journal.in_memory(**options)
    try:
        yield Topics(sim.system, journal, source="here"), journal
    finally:
        await sim.system.stop()
        await journal.close()


def test_first_offers_come_in_order_and_each_event_is_handled_once() -> None:
    names = [str(number) for number in range(40)]

    async def scenario(sim: Simulation) -> None:
        seen: list[str] = []
        async with topics_of(sim) as (topics, _):
            topics.subscribe_durable(USERS, "g", sim.system.spawn(Listener, seen), FEW)
            await publish_all(topics, names)
            await emptied(topics)
            assert seen == names
            assert topics.statistics().groups["user_events/g"].delivered == len(names)

    assert explore(scenario, range(30)) == 30


def test_no_more_than_the_window_is_in_flight() -> None:
    async def scenario(sim: Simulation) -> None:
        async with topics_of(sim) as (topics, _):
            probe = sim.probe()
            topics.subscribe_durable(USERS, "g", probe.ref, FEW)
            await publish_all(topics, [str(number) for number in range(9)])
            await asyncio.sleep(1)
            assert len(probe.drain()) == FEW.window

    simulate(scenario)


def test_a_failed_event_comes_again_after_growing_delays_then_is_dead() -> None:
    async def scenario(sim: Simulation) -> None:
        at: list[float] = []

        def refuse(name: str) -> None:
            if name == "bad":
                at.append(sim.now_s)
                raise InvalidArgument("no use")

        async with topics_of(sim) as (topics, journal):
            seen: list[str] = []
            topics.subscribe_durable(USERS, "g", sim.system.spawn(Listener, seen, refuse), FEW)
            await publish_all(topics, ["bad", "good"])
            await emptied(topics)
            assert [round(moment, 3) for moment in at] == [0.0, 1.0, 3.0]
            assert Counter(seen) == {"bad": 3, "good": 1}
            (dead,) = await journal.dead()
            assert (dead.group, dead.attempts, dead.error) == (GROUP, 3, "InvalidArgument: no use")
            figures = topics.statistics().groups["user_events/g"]
            assert (figures.depth, figures.dead, figures.delivered, figures.retried) == (0, 1, 1, 2)

    simulate(scenario)


@pytest.mark.parametrize("away", [Unavailable("store away"), None], ids=["refuses", "full"])
def test_a_subscriber_that_is_away_costs_no_attempt(away: Exception | None) -> None:
    async def scenario(sim: Simulation) -> None:
        there = asyncio.Event()

        def answer(_: str) -> Awaitable[Any] | None:
            if away is None:
                return there.wait()
            if not there.is_set():
                raise away
            return None

        async with topics_of(sim) as (topics, journal):
            seen: list[str] = []
            options = Options(capacity=1, handler_limit_s=1e9)
            listener = sim.system.spawn(Listener, seen, answer, options=options)
            settings = GroupSettings(window=4, max_attempts=2, handle_timeout_s=1e6, backoff=STEADY)
            topics.subscribe_durable(USERS, "g", listener, settings)
            await publish_all(topics, ["a", "b", "c", "d"])
            await asyncio.sleep(600)
            assert topics.depths == {"user_events/g": 4}
            there.set()
            await emptied(topics, 600)
            assert set(seen) == set("abcd")
            assert not await journal.dead()
            figures = topics.statistics().groups["user_events/g"]
            assert figures.retried == 0
            assert figures.away > 4

    simulate(scenario)


def test_a_subscriber_that_restarts_misses_nothing() -> None:
    async def scenario(sim: Simulation) -> None:
        broken: list[str] = []

        def break_once(name: str) -> None:
            if name in "bd" and name not in broken:
                broken.append(name)
                raise RuntimeError("defect")

        async with topics_of(sim) as (topics, journal):
            seen: list[str] = []
            topics.subscribe_durable(USERS, "g", sim.system.spawn(Listener, seen, break_once), FEW)
            await publish_all(topics, list("abcdef"))
            await emptied(topics, 60)
            assert Counter(seen) == Counter("abcdefbd")
            assert not await journal.dead()

    explore(scenario, range(10))


def test_an_entity_that_rests_or_stops_is_woken_for_its_events() -> None:
    async def scenario(sim: Simulation) -> None:
        seen: list[str] = []
        sim.system.entities.define("keeper", lambda _: Listener(seen), rest_after_s=5.0)
        async with topics_of(sim) as (topics, _):
            keeper = sim.system.entity("keeper", "1")
            topics.subscribe_durable(USERS, "g", keeper, FEW)
            await topics.publish(named("a"))
            await emptied(topics)
            await asyncio.sleep(60)
            keeper.stop()
            await publish_all(topics, ["b", "c"])
            await emptied(topics)
            assert seen == ["a", "b", "c"]

    explore(scenario, range(10))


def test_a_slow_subscriber_in_good_health_loses_nothing_to_the_time_limit() -> None:
    async def scenario(sim: Simulation) -> None:
        async with topics_of(sim) as (topics, journal):
            seen: list[str] = []
            names = [str(number) for number in range(40)]
            listener = sim.system.spawn(Listener, seen, lambda _: asyncio.sleep(0.9))
            settings = GroupSettings(window=16, max_attempts=1, handle_timeout_s=1.0, backoff=STEADY)
            topics.subscribe_durable(USERS, "g", listener, settings)
            await publish_all(topics, names)
            await emptied(topics, 600)
            assert seen == names
            assert not await journal.dead()

    simulate(scenario)


def test_a_handler_that_takes_too_long_costs_an_attempt() -> None:
    async def scenario(sim: Simulation) -> None:
        async with topics_of(sim) as (topics, journal):
            seen: list[str] = []
            options = Options(handler_limit_s=1e9, stop_timeout_s=0.0)
            forever = sim.system.spawn(Listener, seen, lambda _: asyncio.Event().wait(), options=options)
            settings = GroupSettings(window=1, max_attempts=2, handle_timeout_s=10.0, backoff=STEADY)
            topics.subscribe_durable(USERS, "g", forever, settings)
            await topics.publish(named("a"))
            await emptied(topics, 60)
            (dead,) = await journal.dead()
            assert dead.attempts == 2
            assert dead.error.startswith("AskTimeout")

    simulate(scenario)


def test_an_event_that_nobody_can_read_goes_to_the_dead_at_once_and_holds_up_nobody() -> None:
    async def scenario(sim: Simulation) -> None:
        async with topics_of(sim) as (topics, journal):
            journal.admit(GROUP)
            unreadable = (b"", b"{}", b"\xff", b'{"message_id":"m","type":"of.tomorrow","payload":{}}')
            for envelope in unreadable:
                await journal.append([GROUP], envelope)
            await topics.publish(named("a"))
            seen: list[str] = []
            settings = GroupSettings(window=2, backoff=STEADY)
            topics.subscribe_durable(USERS, "g", sim.system.spawn(Listener, seen), settings)
            await emptied(topics)
            assert seen == ["a"]
            assert {dead.envelope for dead in await journal.dead()} == set(unreadable)
            assert all("MalformedEvent" in dead.error for dead in await journal.dead())

    simulate(scenario)


class Stumbling(Ref):
    """A ref that breaks at some asks, as no ref should."""

    def __init__(self, inner: Ref, stumbles: list[int]) -> None:
        self.inner = inner
        self.stumbles = stumbles
        self.asks = 0

    path = "stumbling"

    def tell(self, message: object) -> bool:
        return self.inner.tell(message)

    def wait_tell(self, message: object, timeout_s: float | None = None) -> Awaitable[None]:
        return self.inner.wait_tell(message, timeout_s)

    def ask(self, message: object, timeout_s: float | None = None) -> Awaitable[Any]:
        self.asks += 1
        if self.asks in self.stumbles:
            raise RuntimeError("defect")
        return self.inner.ask(message, timeout_s)

    def stop(self) -> None:
        self.inner.stop()

    def wait_stopped(self) -> Awaitable[None]:
        return self.inner.wait_stopped()


def test_a_group_that_restarts_goes_on_where_it_was() -> None:
    async def scenario(sim: Simulation) -> None:
        async with topics_of(sim) as (topics, _):
            seen: list[str] = []
            listener = Stumbling(sim.system.spawn(Listener, seen), [1, 5, 9])
            topics.subscribe_durable(USERS, "g", listener, FEW)
            names = [str(number) for number in range(12)]
            await publish_all(topics, names)
            await emptied(topics, 60)
            assert list(dict.fromkeys(seen)) == names
            group = sim.system.statistics_of(sim.system.lookup("user_events.g"))
            assert group.restarts == 3
            assert topics.statistics().groups["user_events/g"].delivered == len(names)

    explore(scenario, range(20))


def test_groups_of_one_topic_do_not_wait_for_each_other() -> None:
    async def scenario(sim: Simulation) -> None:
        def refuse(_: str) -> None:
            raise Unavailable("not now")

        async with topics_of(sim) as (topics, _):
            seen: list[str] = []
            topics.subscribe_durable(USERS, "away", sim.system.spawn(Listener, [], refuse), FEW)
            topics.subscribe_durable(USERS, "here", sim.system.spawn(Listener, seen), FEW)
            names = [str(number) for number in range(12)]
            await publish_all(topics, names)
            await asyncio.sleep(10)
            assert seen == names
            assert topics.depths == {"user_events/away": 12, "user_events/here": 0}

    simulate(scenario)


def test_a_group_that_is_ended_settles_what_is_in_flight() -> None:
    async def scenario(sim: Simulation) -> None:
        async with topics_of(sim) as (topics, _):
            seen: list[str] = []
            listener = sim.system.spawn(Listener, seen, lambda _: asyncio.sleep(1))
            settings = GroupSettings(window=2, drain_timeout_s=1.5, backoff=STEADY)
            topics.subscribe_durable(USERS, "g", listener, settings)
            await publish_all(topics, ["a", "b", "c"])
            await asyncio.sleep(0.1)
            await topics.end_durable(USERS, "g")
            # `a` was handled in time, `b` was not, `c` was never offered.
            assert topics.depths == {"user_events/g": 2}
            assert not topics.statistics().groups["user_events/g"].subscribed
            await topics.publish(named("d"))
            topics.subscribe_durable(USERS, "g", listener, settings)
            await emptied(topics, 60)
            assert Counter(seen) == Counter("abbcd")
            assert topics.statistics().groups["user_events/g"].delivered == 4

    simulate(scenario)


def test_stopping_the_system_leaves_no_handled_event_behind() -> None:
    async def scenario(sim: Simulation) -> None:
        journal = await Journal.in_memory()
        topics = Topics(sim.system, journal, source="here")
        seen: list[str] = []
        listener = sim.system.spawn(Listener, seen, lambda _: asyncio.sleep(0.5))
        topics.subscribe_durable(USERS, "g", listener, FEW)
        await publish_all(topics, ["a", "b", "c"])
        await asyncio.sleep(0.1)
        await sim.system.stop()
        assert (seen, topics.depths) == (["a", "b", "c"], {"user_events/g": 0})
        await journal.close()

    explore(scenario, range(10))


def test_what_cannot_be_written_down_is_kept_and_fills_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(sim: Simulation) -> None:
        async with topics_of(sim) as (topics, journal):
            seen: list[str] = []
            names = [str(number) for number in range(12)]
            listener = sim.system.spawn(Listener, seen)
            journal.admit(GROUP)
            await publish_all(topics, names)
            settle = journal.settle

            async def away(*_: object) -> Any:
                raise Unavailable("disk full")

            with monkeypatch.context() as patch:
                patch.setattr(journal, "settle", away)
                topics.subscribe_durable(USERS, "g", listener, FEW)
                await asyncio.sleep(100)
                assert seen == names[: FEW.window]
            assert journal.settle == settle
            await emptied(topics, 100)
            assert seen == names

    simulate(scenario)


def failing(sim: Simulation, share: float) -> Callable[[str], Any]:
    def answer(_: str) -> Any:
        dice = sim.rng.random()
        if dice < share / 3:
            raise Unavailable("away")
        if dice < 2 * share / 3:
            raise RuntimeError("defect")
        return asyncio.sleep(sim.rng.random() * 3) if dice < share else None

    return answer


def test_whatever_fails_every_event_is_handled_or_dead() -> None:
    async def scenario(sim: Simulation) -> None:
        async with topics_of(sim) as (topics, journal):
            seen: list[str] = []
            sim.system.entities.define("listener", lambda _: Listener(seen, failing(sim, 0.5)))
            settings = GroupSettings(window=5, max_attempts=4, handle_timeout_s=2.0, backoff=STEADY)
            topics.subscribe_durable(USERS, "g", sim.system.entity("listener", "1"), settings)
            names = [str(number) for number in range(25)]
            publishers = [asyncio.create_task(topics.publish(named(name))) for name in names]
            await asyncio.gather(*publishers)
            await emptied(topics, 10_000)
            dead = await journal.dead()
            figures = topics.statistics().groups["user_events/g"]
            assert set(seen) == set(names)
            assert figures.delivered + len(dead) == len(names)
            assert (figures.depth, figures.dead) == (0, len(dead))

    explore(scenario, range(40))


async def test_a_flood_does_not_fill_the_mailbox_of_its_group() -> None:
    class Idle(Actor):
        def receive(self, message: object) -> None:
            """Handle anything."""

    system = ActorSystem()
    journal = await Journal.in_memory()
    topics = Topics(system, journal, source="here")
    topics.subscribe_durable(USERS, "g", system.spawn(Idle), FEW)
    await asyncio.gather(*(topics.publish(named("x")) for _ in range(12_000)))
    await emptied(topics, 30)
    assert system.dead_letters.total == 0
    await system.stop()
    await journal.close()


@pytest.mark.parametrize(
    "settings", [{"window": 0}, {"max_attempts": 0}, {"handle_timeout_s": 0.0}, {"drain_timeout_s": -1.0}]
)
def test_settings_without_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|above 0"):
        GroupSettings(**settings)
