"""Dead letters: each message that is not handled is one, with its reason, counted and visible."""

from __future__ import annotations

import asyncio
import logging

import pytest

from runtime.engine import Actor, DeadLetter, DeadLetters, Options, Overflow, Reason
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Break, Do, DoAsync, Log, Refuse, Say, Work, Worker, simulated


def cannot_start(_: str) -> Actor:
    raise ZeroDivisionError


@simulated
async def test_every_reason(sim: Simulation) -> None:
    log: Log = []
    letters: list[DeadLetter] = []
    end = sim.system.dead_letters.listen(letters.append)
    ref = sim.system.spawn(Worker, log, name="worker", options=Options(capacity=3))
    dropper = sim.system.spawn(Worker, log, options=Options(capacity=1, overflow=Overflow.DROP_OLDEST))
    ref.tell(Refuse())
    ref.tell(3.14)
    await sim.settle()
    ref.tell(Work("long", 2.0))
    await sim.settle()
    given_up = asyncio.ensure_future(ref.ask(Say("cancelled")))
    expired = asyncio.ensure_future(ref.ask(Say("expired"), timeout_s=1.0))
    ref.tell(Break())
    ref.tell(Say("full"))
    given_up.cancel()
    for text in ("oldest", "newest"):
        dropper.tell(Say(text))
    await asyncio.sleep(10)
    with pytest.raises(Exception, match="no answer"):
        await expired
    ref.stop()
    ref.tell(Say("stopped"))
    sim.system.entities.define("room", cannot_start)
    sim.system.entity("room", "1").tell(Say("cannot start"))
    expected = [
        (Refuse(), Reason.REFUSED),
        (3.14, Reason.UNHANDLED),
        (Say("full"), Reason.MAILBOX_FULL),
        (Say("oldest"), Reason.DROPPED_OLDEST),
        (Say("cancelled"), Reason.CANCELLED),
        (Say("expired"), Reason.EXPIRED),
        (Break(), Reason.FAILED),
        (Say("stopped"), Reason.STOPPED),
        (Say("cannot start"), Reason.FAILED),
    ]
    assert [(letter.message, letter.reason) for letter in letters] == expected
    assert sim.system.dead_letters.total == len(expected)
    assert sim.system.dead_letters.counts[Reason.FAILED] == 2
    assert sim.system.statistics().dead_letters["mailbox_full"] == 1
    assert letters[0].target == "worker"
    end()
    ref.tell(Say("not listened to"))
    assert len(letters) == len(expected)
    assert len(sim.system.dead_letters.latest) == len(expected) + 1


@simulated
async def test_the_sender_is_whoever_was_turned_away(sim: Simulation) -> None:
    gone = sim.system.spawn(Worker, [], name="gone")
    gone.stop()
    sync = sim.system.spawn(Worker, [], name="sync")
    awaiting = sim.system.spawn(Worker, [], name="awaiting")

    async def send(_: Worker) -> None:
        await asyncio.sleep(1.0)
        gone.tell(Say("from an async handler"))

    sync.tell(Do(lambda _: gone.tell(Say("from a def handler"))))
    awaiting.tell(DoAsync(send))
    gone.tell(Say("from outside"))
    sync.tell(Refuse())
    await asyncio.sleep(2.0)
    senders = {letter.message: letter.sender for letter in sim.system.dead_letters.latest}
    assert senders == {
        Say("from outside"): "",
        Say("from a def handler"): "sync",
        Say("from an async handler"): "awaiting",
        Refuse(): "",  # long after it was sent: nobody knows
    }


@simulated
async def test_a_listener_that_breaks_breaks_nothing_else(sim: Simulation) -> None:
    def broken(_: DeadLetter) -> None:
        raise ValueError

    seen: list[DeadLetter] = []
    sim.system.dead_letters.listen(broken)
    sim.system.dead_letters.listen(seen.append)
    ref = sim.system.spawn(Worker, [])
    waiter = asyncio.ensure_future(ref.wait_stopped())
    await sim.settle()
    ref.tell(Say("left"))
    ref.stop()
    await waiter
    assert not ref.tell(Say("late"))
    assert [letter.message for letter in seen] == [Say("left"), Say("late")]


@simulated
async def test_a_listener_may_end_itself_and_act(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    once: list[DeadLetter] = []
    always: list[DeadLetter] = []

    def first(letter: DeadLetter) -> None:
        once.append(letter)
        end()
        ref.stop()

    end = sim.system.dead_letters.listen(first)
    sim.system.dead_letters.listen(always.append)
    ref.tell(Refuse())
    ref.tell(Say("left"))
    await ref.wait_stopped()
    assert len(once) == 1
    assert [letter.reason for letter in always] == [Reason.REFUSED, Reason.STOPPED]


def test_a_flood_fills_no_log_and_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    letters = DeadLetters(keep=10)
    with caplog.at_level(logging.WARNING):
        for i in range(2500):
            letters.publish(DeadLetter(f"secret {i}", "somebody", Reason.UNHANDLED))
            letters.publish(DeadLetter(i, "somebody", Reason.UNHANDLED))
    assert len(letters.latest) == 10
    assert letters.total == 5000
    # The first, the tenth, the hundredth and the thousandth of each type of message.
    assert len(caplog.records) == 8
    assert not any("secret" in record.getMessage() for record in caplog.records)


def test_what_happens_every_day_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    letters = DeadLetters()
    with caplog.at_level(logging.INFO):
        letters.publish(DeadLetter("bye", "peer/1", Reason.STOPPED))
        letters.publish(DeadLetter("more", "room/1", Reason.MAILBOX_FULL))
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
