"""Announcing, and the small things that actors share: strict ids, resting."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.addresses import meeting_of_room, number_of
from actors.news import Herald, announce
from actors.rest import rest_if_idle
from protocols.errors import NotFound
from protocols.events import UserStatusChanged
from protocols.signaling import room_of
from runtime.engine import Actor, on
from runtime.testkit import Simulation, explore, simulate
from tests.actors.world import RecordingTopics

NEWS = UserStatusChanged(1, "online", "away")


async def test_what_cannot_be_announced_is_said_and_no_error() -> None:
    topics = RecordingTopics()
    assert await announce(topics, NEWS)
    topics.away = True
    assert not await announce(topics, NEWS)
    assert topics.events == [NEWS]


def test_a_herald_keeps_the_order() -> None:
    async def scenario(sim: Simulation) -> None:
        topics = RecordingTopics()
        herald = sim.system.spawn(Herald, topics)
        told = [UserStatusChanged(number, "online", "away") for number in range(50)]
        for event in told:
            herald.tell(event)
        await sim.settle()
        assert topics.events == told

    simulate(scenario)


@given(st.integers(1, 2**32 - 1))
def test_an_id_has_one_form(number: int) -> None:
    assert number_of(str(number), "user") == number
    assert meeting_of_room(room_of(number)) == number


@given(st.text() | st.from_regex(r"(room_)?0*[0-9]{0,12}", fullmatch=True))
def test_what_is_read_as_an_id_is_written_the_same(text: str) -> None:
    for read, write in ((lambda given: number_of(given, "user"), str), (meeting_of_room, room_of)):
        try:
            number = read(text)
        except NotFound:
            continue
        assert write(number) == text


class Ask:
    pass


class Passing(Actor):
    """Goes after each message, unless another waits."""

    def __init__(self, lives: list[int]) -> None:
        self._lives = lives
        self._lives.append(0)

    @on(Ask)
    async def answer(self, _: Ask) -> int:
        await asyncio.sleep(0)
        self._lives[-1] += 1
        rest_if_idle(self)
        return len(self._lives)

    @on(str)
    def answer_at_once(self, _: str) -> int:
        self._lives[-1] += 1
        rest_if_idle(self)
        return len(self._lives)


def test_an_entity_that_goes_when_idle_loses_no_message() -> None:
    async def scenario(sim: Simulation) -> None:
        lives: list[int] = []
        sim.system.entities.define("passing", lambda _: Passing(lives))
        ref = sim.system.entity("passing", "one")
        asks = []
        for _ in range(40):
            asks.append(asyncio.ensure_future(ref.ask(sim.rng.choice([Ask(), "ask"]))))
            for _ in range(sim.rng.randrange(4)):
                await asyncio.sleep(0)
        await asyncio.gather(*asks)
        assert sum(lives) == 40
        await sim.settle()
        assert sim.system.entities.kinds["passing"] == 0

    assert explore(scenario, range(50)) == 50


@pytest.mark.parametrize("name", ["", "room_", "room_x", "Room_1", "room_1 ", "room_\u0661"])
def test_rooms_that_are_none(name: str) -> None:
    with pytest.raises(NotFound):
        meeting_of_room(name)
