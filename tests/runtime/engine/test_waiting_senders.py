"""Overflow.WAIT: senders wait for room, first come first served."""

from __future__ import annotations

import asyncio

import pytest

from runtime.engine import ActorStopped, AskTimeout, MailboxFull, Options, Overflow, Reason, Ref
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Do, DoAsync, Log, Say, Work, Worker, reasons, simulated

ONE_WAITS = Options(capacity=1, overflow=Overflow.WAIT)


async def blocked(sim: Simulation, log: Log, for_s: float = 10.0) -> Ref:
    """An actor whose handler runs for a while, with one message in a mailbox that has room for one."""
    ref = sim.system.spawn(Worker, log, options=ONE_WAITS)
    ref.tell(Work("long", for_s))
    await sim.settle()
    assert ref.tell(Say("first"))
    return ref


def waiting(sim: Simulation, ref: Ref) -> int:
    return sim.system.statistics_of(ref).waiting_senders


@simulated
async def test_senders_wait_in_line_first_come_first_served(sim: Simulation) -> None:
    log: Log = []
    ref = await blocked(sim, log)
    tasks: list[asyncio.Future[object]] = []
    for i in range(6):
        send = ref.ask(Say(str(i)), 60) if i % 2 else ref.wait_tell(Say(str(i)), 60)
        tasks.append(asyncio.ensure_future(send))
        await sim.settle()
    assert waiting(sim, ref) == 6
    assert await asyncio.gather(*tasks) == [None, "1", None, "3", None, "5"]
    await sim.settle()
    assert log == ["long+", "long-", "first", *"012345"]
    assert waiting(sim, ref) == 0


@simulated
async def test_nobody_overtakes_those_who_wait(sim: Simulation) -> None:
    log: Log = []
    ref = await blocked(sim, log)
    line = asyncio.ensure_future(ref.wait_tell(Say("in line"), 60))
    await sim.settle()
    assert not ref.tell(Say("told"))  # tell does not wait
    behind = asyncio.ensure_future(ref.ask(Say("behind"), 60))
    await asyncio.gather(line, behind)
    assert log == ["long+", "long-", "first", "in line", "behind"]
    assert ref.tell(Say("room again"))


@simulated
async def test_senders_that_give_up_leave_the_line(sim: Simulation) -> None:
    log: Log = []
    ref = await blocked(sim, log)
    cancelled_ask = asyncio.ensure_future(ref.ask(Say("cancelled ask"), 60))
    cancelled_tell = asyncio.ensure_future(ref.wait_tell(Say("cancelled tell"), 60))
    expired_ask = asyncio.ensure_future(ref.ask(Say("expired ask"), 1.0))
    expired_tell = asyncio.ensure_future(ref.wait_tell(Say("expired tell"), 1.0))
    await sim.settle()
    stays = asyncio.ensure_future(ref.ask(Say("stays"), 60))
    cancelled_ask.cancel()
    cancelled_tell.cancel()
    for expired in (expired_ask, expired_tell):
        with pytest.raises(AskTimeout):
            await expired
    assert await stays == "stays"
    assert log == ["long+", "long-", "first", "stays"]
    assert sorted(reasons(sim), key=repr) == [
        (Say("cancelled ask"), Reason.CANCELLED),
        (Say("cancelled tell"), Reason.CANCELLED),
        (Say("expired ask"), Reason.EXPIRED),
        (Say("expired tell"), Reason.EXPIRED),
    ]


@simulated
async def test_the_line_is_no_longer_than_its_senders_are_patient(sim: Simulation) -> None:
    log: Log = []
    ref = await blocked(sim, log, for_s=1000)
    for _ in range(100):
        with pytest.raises(AskTimeout):
            await ref.ask(Say("impatient"), 1.0)
    assert waiting(sim, ref) <= 1


@simulated
async def test_room_that_a_long_handler_left_is_given_out_at_once(sim: Simulation) -> None:
    """Else an actor that waits for one of its own senders would wait in vain."""
    log: Log = []
    asker = sim.system.spawn(Worker, log, "asker", options=ONE_WAITS)
    helper = sim.system.spawn(Worker, log, "helper")
    gate = asyncio.Event()
    asker.tell(DoAsync(lambda _: gate.wait()))
    await sim.settle()
    asker.tell(DoAsync(lambda self: self.ask(helper, Say("help"), 3.0)))
    helper.tell(DoAsync(lambda _: asker.wait_tell(Say("thanks"), 60.0)))
    await sim.settle()
    gate.set()
    await sim.settle()
    assert log == ["helper:help", "asker:thanks"]


@simulated
async def test_stopping_turns_away_those_who_wait(sim: Simulation) -> None:
    log: Log = []
    ref = await blocked(sim, log)
    told = asyncio.ensure_future(ref.wait_tell(Say("told"), 60))
    asked = asyncio.ensure_future(ref.ask(Say("asked"), 60))
    await sim.settle()
    ref.stop()
    for one in (told, asked):
        with pytest.raises(ActorStopped):
            await one
    with pytest.raises(ActorStopped):
        await ref.wait_tell(Say("too late"))
    assert reasons(sim) == [
        (Work("long", 10.0), Reason.FAILED),
        *((Say(text), Reason.STOPPED) for text in ("first", "asked", "told", "too late")),
    ]


@simulated
async def test_wait_tell_does_not_wait_where_nobody_waits(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, options=Options(capacity=1))
    await ref.wait_tell(Say("fits"))
    with pytest.raises(MailboxFull):
        await ref.wait_tell(Say("does not"))


@simulated
async def test_a_told_message_that_is_forwarded_does_not_wait(sim: Simulation) -> None:
    """Nobody would ever give it up, so the line would have no bound."""
    log: Log = []
    ref = await blocked(sim, log)
    middle = sim.system.spawn(Worker, log)
    middle.tell(Do(lambda self: self.timers.start("tick", Do(lambda self: self.forward(ref, Say("tick"))), 0.0)))
    await sim.settle()
    await asyncio.sleep(0.1)
    assert waiting(sim, ref) == 0
    assert reasons(sim) == [(Say("tick"), Reason.MAILBOX_FULL)]
