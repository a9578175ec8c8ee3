"""Stash and become: a message put aside keeps its asker and its place; a behaviour replaces the handlers."""

from __future__ import annotations

import asyncio

import pytest

from runtime.engine import Actor, AskTimeout, Options, Reason, StashFull, on
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Do, Log, Say, Worker, reasons, simulated


class Door(Actor):
    """Closed at first: all but "open" waits. Open, it lets everyone through until "close"."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def started(self) -> None:
        self.become(self.closed)

    def closed(self, message: object) -> None:
        if message == "open":
            self.unbecome()
            self.unstash_all()
        else:
            self.stash()

    @on(str)
    def opened(self, message: str) -> str:
        if message == "close":
            self.become(self.closed)
        self.log.append(message)
        return message

    @on(int)
    async def opened_later(self, message: int) -> int:
        await asyncio.sleep(0.1)
        self.log.append(str(message))
        return message


@simulated
async def test_stashed_messages_come_back_in_order_with_their_askers(sim: Simulation) -> None:
    log: Log = []
    door = sim.system.spawn(Door, log)
    asks = [asyncio.ensure_future(door.ask(message)) for message in ("a", 1, "b")]
    for message in ("c", "open", "d"):
        door.tell(message)
    assert await asyncio.gather(*asks) == ["a", 1, "b"]
    await sim.settle()
    assert log == ["a", "1", "b", "c", "d"]


@simulated
async def test_a_behaviour_counts_from_the_next_message_on(sim: Simulation) -> None:
    log: Log = []
    door = sim.system.spawn(Door, log)
    for message in ("open", "a", "close", "b", "c", "open", "d"):
        door.tell(message)
    await sim.settle()
    assert log == ["a", "close", "b", "c", "d"]


@simulated
async def test_a_stashed_ask_still_expires(sim: Simulation) -> None:
    log: Log = []
    door = sim.system.spawn(Door, log)
    with pytest.raises(AskTimeout):
        await door.ask("late", timeout_s=1.0)
    door.tell("open")
    await sim.settle()
    assert log == []
    assert reasons(sim) == [("late", Reason.EXPIRED)]


@simulated
async def test_the_stash_is_bounded_and_a_full_one_refuses(sim: Simulation) -> None:
    log: Log = []
    door = sim.system.spawn(Door, log, options=Options(capacity=2))
    for message in "ab":
        door.tell(message)
    await sim.settle()
    with pytest.raises(StashFull):
        await door.ask("c")
    door.tell("d")
    door.tell("open")
    await sim.settle()
    assert log == ["a", "b"]
    assert [reason for _, reason in reasons(sim)] == [Reason.REFUSED]
    assert sim.system.statistics_of(door).failures == 0


@simulated
async def test_unstashing_may_pass_the_capacity_once(sim: Simulation) -> None:
    log: Log = []
    door = sim.system.spawn(Door, log, options=Options(capacity=3))
    for message in "abc":
        door.tell(message)
    await sim.settle()
    for message in ("open", "d", "e"):
        assert door.tell(message)
    await sim.settle()
    assert log == list("abcde")
    assert door.tell("f")


@simulated
async def test_stopping_accounts_for_the_stash(sim: Simulation) -> None:
    door = sim.system.spawn(Door, [])
    door.tell("a")
    await sim.settle()
    door.tell("b")
    door.stop()
    await door.wait_stopped()
    assert reasons(sim) == [("a", Reason.STOPPED), ("b", Reason.STOPPED)]


@simulated
async def test_behaviours_nest(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])

    def nest(self: Worker) -> None:
        self.become(lambda m: self.unbecome() if m == "back" else f"first {m}")
        self.become(lambda m: self.unbecome() if m == "back" else f"second {m}")
        self.unbecome()
        self.become(lambda m: self.unbecome() if m == "back" else f"third {m}")

    await ref.ask(Do(nest))
    answers = [await ref.ask(message) for message in ("a", "back", "b", "back")]
    assert answers == ["third a", None, "first b", None]
    assert await ref.ask(Say("own")) == "own"
    await ref.ask(Do(lambda self: self.unbecome()))
    assert await ref.ask(Say("own")) == "own"


@simulated
async def test_stashing_twice_is_once(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])
    ref.tell(Do(lambda self: (self.stash(), self.stash(), self.unstash_all())[0]))
    await asyncio.sleep(0)
    cell = sim.system.cell_of(ref)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(cell.queue) + len(cell.particulars.stash) <= 1
    ref.stop()
