"""Asks: answers, deadlines, cancellation, and what the asker learns when there is no answer."""

from __future__ import annotations

import asyncio

import pytest

from protocols.errors import NotFound, ParleyError
from runtime.engine import (
    ActorStopped,
    AskTimeout,
    HandlerFailed,
    MailboxFull,
    Options,
    Overflow,
    Reason,
    Reply,
    Unhandled,
)
from runtime.engine.asks import SLACK, Asks
from runtime.engine.clock import LoopClock
from runtime.testkit import Simulation, VirtualLoop
from tests.runtime.engine.samples import Break, Broken, Do, DoAsync, Log, Refuse, Say, Work, Worker, reasons, simulated


@simulated
async def test_the_return_value_answers(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])
    assert await ref.ask(Say("a")) == "a"
    assert await ref.ask(Work("b", 1.0)) == "b"
    assert await ref.ask(Do(lambda _: None)) is None
    assert reasons(sim) == []


@simulated
async def test_what_the_asker_learns_without_an_answer(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [], name="worker", options=Options(capacity=1))
    with pytest.raises(NotFound, match="no such thing"):
        await ref.ask(Refuse())
    with pytest.raises(Unhandled, match="Worker does not handle int"):
        await ref.ask(1)
    with pytest.raises(HandlerFailed, match="worker broke while handling Break") as caught:
        await ref.ask(Break("secret"))
    assert isinstance(caught.value.__cause__, Broken)
    assert "secret" not in str(caught.value)
    await asyncio.sleep(60)
    ref.tell(Say("fills the mailbox"))
    with pytest.raises(MailboxFull):
        await ref.ask(Say("does not fit"))
    ref.stop()
    with pytest.raises(ActorStopped):
        await ref.ask(Say("too late"))


@simulated
async def test_ask_ends_at_its_deadline_and_the_late_message_is_not_handled(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    ref.tell(Work("long", 10.0))
    began = sim.now_s
    with pytest.raises(AskTimeout, match=r"2 s"):
        await ref.ask(Say("queued"), timeout_s=2.0)
    assert sim.now_s - began == pytest.approx(2.0, abs=0.01)
    await ref.ask(Say("end"), timeout_s=60)
    assert log == ["long+", "long-", "end"]
    assert reasons(sim) == [(Say("queued"), Reason.EXPIRED)]
    assert sim.system.statistics().asks_expired == 1


@simulated
async def test_a_message_that_expires_behind_a_blocking_handler_is_not_handled(sim: Simulation) -> None:
    """A `def` handler that holds the loop keeps the sweep from running too; the message says itself that it is late."""
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    loop = sim.system.loop
    assert isinstance(loop, VirtualLoop)
    ref.tell(Do(lambda _: setattr(loop._jumping, "passed_s", loop.time() + 3.0)))
    ask = asyncio.ensure_future(ref.ask(Say("late"), timeout_s=2.0))
    with pytest.raises(AskTimeout):
        await ask
    assert log == []
    assert reasons(sim) == [(Say("late"), Reason.EXPIRED)]


@simulated
async def test_no_time_at_all_is_a_limit_too(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    await asyncio.sleep(1.0)
    began = sim.now_s
    with pytest.raises(AskTimeout):
        await ref.ask(Say("now or never"), timeout_s=0)
    assert sim.now_s == began
    await sim.settle()
    assert log == []


@simulated
async def test_cancelling_withdraws_a_message_that_is_not_being_handled(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    running = asyncio.ensure_future(ref.ask(Work("running", 5.0)))
    queued = asyncio.ensure_future(ref.ask(Say("queued")))
    await sim.settle()
    running.cancel()
    queued.cancel()
    await ref.ask(Say("end"), timeout_s=60)
    assert log == ["running+", "running-", "end"]  # one that runs is let be: it may be half done
    assert reasons(sim) == [(Say("queued"), Reason.CANCELLED)]


@simulated
async def test_the_deadline_travels_through_asks_of_asks(sim: Simulation) -> None:
    log: Log = []
    last = sim.system.spawn(Worker, log, "last")
    middle = sim.system.spawn(Worker, log, "middle")
    left: list[float | None] = []

    async def pass_on(self: Worker) -> object:
        await asyncio.sleep(1.0)
        return await self.ask(last, Do(lambda inner: left.append(inner.remaining_s)), timeout_s=60)

    await middle.ask(DoAsync(pass_on), timeout_s=3.0)
    assert left[0] is not None
    assert 2.0 <= left[0] <= 2.0 * 17 / 16
    # Told messages have no deadline.
    await middle.wait_tell(Do(lambda self: left.append(self.remaining_s)))
    await sim.settle()
    assert left[1] is None


@simulated
async def test_an_ask_never_outlives_the_message_being_handled(sim: Simulation) -> None:
    log: Log = []
    slow = sim.system.spawn(Worker, log, "slow")
    middle = sim.system.spawn(Worker, log, "middle")
    slow.tell(Work("busy", 100.0))

    async def pass_on(self: Worker) -> object:
        try:
            return await self.ask(slow, Say("never"), timeout_s=60)
        finally:
            ended.append(sim.now_s)

    ended: list[float] = []
    began = sim.now_s
    with pytest.raises(AskTimeout):
        await middle.ask(DoAsync(pass_on), timeout_s=2.0)
    await asyncio.sleep(5)
    assert 2.0 <= ended[0] - began <= 2.2

    async def too_late(self: Worker) -> object:
        await asyncio.sleep(3.0)
        return await self.ask(slow, Say("never"))

    with pytest.raises(AskTimeout):
        await middle.ask(DoAsync(too_late), timeout_s=2.0)
    await asyncio.sleep(5)
    assert sim.system.statistics_of(middle).failures == 0


@simulated
async def test_deferred_replies_answer_later_and_once(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])
    replies: list[Reply] = []

    def take(self: Worker) -> str:
        replies.append(self.defer())
        return "not this"

    later = asyncio.ensure_future(ref.ask(Do(take)))
    failed = asyncio.ensure_future(ref.ask(Do(take)))
    gone: list[str] = []
    given_up = asyncio.ensure_future(ref.ask(Do(take), timeout_s=1.0))
    await sim.settle()
    replies_now = replies[:3]
    replies_now[2].on_unwanted(lambda: gone.append("given up"))
    assert all(reply.wanted for reply in replies_now)
    await asyncio.sleep(2.0)
    assert gone == ["given up"]
    replies[0].send("first")
    replies[0].send("second")
    replies[1].fail(NotFound("gone"))
    replies[2].send("nobody hears this")
    assert await later == "first"
    with pytest.raises(NotFound):
        await failed
    with pytest.raises(AskTimeout):
        await given_up
    assert not any(reply.wanted for reply in replies)


@simulated
async def test_what_a_handler_raises_after_defer_answers_too(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])

    def take_over(error: Exception) -> Do:
        def run(self: Worker) -> None:
            self.defer()
            raise error

        return Do(run)

    with pytest.raises(NotFound):
        await ref.ask(take_over(NotFound("gone")))
    with pytest.raises(HandlerFailed):
        await ref.ask(take_over(Broken()))
    assert [reason for _, reason in reasons(sim)] == [Reason.FAILED]


@simulated
async def test_a_handler_that_deferred_is_still_under_its_deadline(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])
    left: list[float | None] = []

    def take(self: Worker) -> None:
        self.defer()
        left.append(self.remaining_s)

    with pytest.raises(AskTimeout):
        await ref.ask(Do(take), timeout_s=2.0)
    assert left == [pytest.approx(2.0, abs=0.01)]


@simulated
async def test_forwarding_passes_asker_and_deadline_on(sim: Simulation) -> None:
    log: Log = []
    last = sim.system.spawn(Worker, log, "last")
    middle = sim.system.spawn(Worker, log, "middle")
    assert await middle.ask(Do(lambda self: self.forward(last, Say("instead")))) == "instead"
    left: list[float | None] = []
    look = Do(lambda self: left.append(self.remaining_s))
    await middle.ask(Do(lambda self: self.forward(last, look)), timeout_s=2.0)
    assert left == [pytest.approx(2.0, abs=0.01)]
    # A second forward, or a failure after it, has nothing more to do with the message.
    assert await middle.ask(Do(lambda self: (self.forward(last, Say("once")), self.forward(last)))) == "once"
    ask = asyncio.ensure_future(middle.ask(Do(lambda self: (self.forward(last, Work("slow", 1.0)), 1 / 0))))
    assert await ask == "slow"
    assert reasons(sim) == []
    last.stop()
    with pytest.raises(ActorStopped):
        await middle.ask(Do(lambda self: self.forward(last, Say("too late"))))


@simulated
async def test_forwarded_after_the_asker_gave_up_is_not_handled(sim: Simulation) -> None:
    log: Log = []
    last = sim.system.spawn(Worker, log, "last")
    middle = sim.system.spawn(Worker, log, "middle")

    async def slowly(self: Worker) -> None:
        await asyncio.sleep(3.0)
        self.forward(last, Say("too late"))

    with pytest.raises(AskTimeout):
        await middle.ask(DoAsync(slowly), timeout_s=1.0)
    await asyncio.sleep(5)
    assert log == []
    assert reasons(sim) == [(Say("too late"), Reason.EXPIRED)]


@simulated
async def test_dropping_the_oldest_tells_its_asker(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [], options=Options(capacity=1, overflow=Overflow.DROP_OLDEST))
    oldest = asyncio.ensure_future(ref.ask(Say("oldest")))
    newest = asyncio.ensure_future(ref.ask(Say("newest")))
    with pytest.raises(MailboxFull):
        await oldest
    assert await newest == "newest"
    assert reasons(sim) == [(Say("oldest"), Reason.DROPPED_OLDEST)]


@simulated
async def test_the_end_of_the_system_ends_every_ask(sim: Simulation) -> None:
    ref = sim.system.spawn(Worker, [])
    replies: list[Reply] = []
    deferred = asyncio.ensure_future(ref.ask(Do(lambda self: replies.append(self.defer())), timeout_s=600))
    running = asyncio.ensure_future(ref.ask(Work("long", 600), timeout_s=600))
    await sim.settle()
    queued = asyncio.ensure_future(ref.ask(Say("queued"), timeout_s=600))
    await sim.system.stop()
    for ask in (deferred, running, queued):
        with pytest.raises(ActorStopped):
            await ask
    assert not replies[0].wanted


async def test_the_sweep_keeps_no_more_than_it_must() -> None:
    loop = asyncio.get_running_loop()
    asks = Asks(LoopClock(loop))
    for i in range(20 * SLACK):
        future: asyncio.Future[None] = loop.create_future()
        asks.add(future, 60.0)
        if i % 100:
            future.set_result(None)
    waiting = 20 * SLACK // 100 + 1
    assert waiting - 1 <= asks.pending <= waiting
    assert sum(len(limit.entries) for limit in asks._limits.values()) <= 2 * waiting + SLACK
    asks.fail_all(NotFound("over"))
    asks.close()
    assert asks.pending == 0


@simulated
async def test_limits_no_longer_in_use_are_forgotten(sim: Simulation) -> None:
    asks = sim.system.asks
    ref = sim.system.spawn(Worker, [])
    ref.tell(Work("long", 200.0))
    pending = [ref.ask(Say(""), timeout_s=1.0 + i / 7) for i in range(100)]
    pending.append(ref.ask(Say(""), timeout_s=float("inf")))
    assert asks.pending == 101
    results = await asyncio.gather(*pending[:-1], return_exceptions=True)
    assert all(isinstance(result, AskTimeout) for result in results)
    await asyncio.sleep(50.0)
    assert len(asks._limits) == 1
    assert await pending[-1] == ""
    assert isinstance(results[0], ParleyError)
    assert results[0].retryable
