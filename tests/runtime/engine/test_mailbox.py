"""Delivery: one message at a time, in order, into a bounded mailbox."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from runtime.engine import Actor, Options, Overflow, Reason, on
from runtime.engine.mailbox import IDLE
from runtime.engine.particulars import NOTHING_SPECIAL, Particulars
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Break, Do, DoAsync, Log, Refuse, Say, Work, Worker, reasons, simulated


@simulated
async def test_one_message_at_a_time(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    for i in range(10):
        ref.tell(Work(str(i), sim.rng.random()))
        ref.tell(Say(f"{i}="))
    await ref.ask(Say("end"), timeout_s=60)
    assert log == [f"{i}{mark}" for i in range(10) for mark in "+-="] + ["end"]


@simulated
async def test_a_message_to_itself_does_not_make_two_handlers_run_at_once(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    ref.tell(Do(lambda self: self.ref.tell(Say("own"))))
    ref.tell(Work("long", 1.0))
    ref.tell(Say("after"))
    await sim.settle()
    assert log == ["long+"]
    await ref.ask(Say("end"))
    assert log == ["long+", "long-", "after", "own", "end"]


@simulated
async def test_messages_of_one_sender_to_one_receiver_arrive_in_order(sim: Simulation) -> None:
    class Sender(Actor):
        @on(int)
        def send(self, count: int) -> None:
            for i in range(count):
                ref.tell((self.id, i))

    class Receiver(Actor):
        def receive(self, message: tuple[str, int]) -> None:
            got.setdefault(message[0], []).append(message[1])

    got: dict[str, list[int]] = {}
    ref = sim.system.spawn(Receiver)
    for name in "abc":
        sim.system.spawn(Sender, name=name).tell(20)
    await sim.settle()
    assert got == {name: list(range(20)) for name in "abc"}


@simulated
async def test_handlers_are_found_by_exact_type_and_may_be_overridden(sim: Simulation) -> None:
    @dataclass(frozen=True)
    class Base:
        pass

    @dataclass(frozen=True)
    class Derived(Base):
        pass

    class General(Actor):
        @on(Base, int)
        def general(self, _: object) -> str:
            return "general"

    class Special(General):
        def general(self, _: object) -> str:
            return "special"

        @on(str)
        def text(self, _: str) -> str:
            return "text"

    class Other(Actor):
        @on(float)
        def number(self, _: float) -> str:
            return "number"

    class Both(Special, Other):
        pass

    ref = sim.system.spawn(Both)
    assert [await ref.ask(message) for message in (Base(), 1, "", 1.0)] == ["special", "special", "text", "number"]
    assert not any(kind is str for kind in General._handlers)
    ref.tell(Derived())
    await sim.settle()
    assert reasons(sim) == [(Derived(), Reason.UNHANDLED)]


@simulated
async def test_full_mailbox_refuses_and_the_sender_goes_on(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, options=Options(capacity=2))
    sender = sim.system.spawn(Worker, log, name="sender")
    told = await sender.ask(Do(lambda _: [ref.tell(Say(str(i))) for i in range(4)]))
    # The receiver may have had its turn only after the sender's.
    assert told == [True, True, False, False]
    assert reasons(sim) == [(Say("2"), Reason.MAILBOX_FULL), (Say("3"), Reason.MAILBOX_FULL)]
    assert [letter.sender for letter in sim.system.dead_letters.latest] == ["sender", "sender"]
    assert sim.system.statistics_of(ref).refused == 2
    await sim.settle()
    assert log == ["0", "1"]
    assert await sender.ask(Say("sender lives")) == "sender lives"


@simulated
async def test_drop_oldest_makes_room(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, options=Options(capacity=2, overflow=Overflow.DROP_OLDEST))
    assert [ref.tell(Say(str(i))) for i in range(4)] == [True] * 4
    await sim.settle()
    assert log == ["2", "3"]
    assert reasons(sim) == [(Say("0"), Reason.DROPPED_OLDEST), (Say("1"), Reason.DROPPED_OLDEST)]


@simulated
async def test_drop_oldest_never_drops_what_the_engine_has_to_say(sim: Simulation) -> None:
    log: Log = []
    options = Options(capacity=1, overflow=Overflow.DROP_OLDEST)
    ref = sim.system.spawn(Worker, log, options=options)
    await ref.ask(Do(lambda self: self.timers.start("tick", Say("tick"), 1.0, every_s=1.0)))
    ref.tell(Work("long", 1.5))
    await asyncio.sleep(1.2)  # the tick waits in the mailbox
    for i in range(5):
        ref.tell(Say(str(i)))
    await asyncio.sleep(1.0)
    assert log == ["long+", "long-", "tick", "4", "tick"]
    assert len(reasons(sim)) == 4


@simulated
async def test_control_passes_a_full_mailbox(sim: Simulation) -> None:
    log: Log = []
    probe = sim.probe()
    ref = sim.system.spawn(Worker, log, options=Options(capacity=3))
    other = sim.system.spawn(Worker, log)
    await ref.ask(Do(lambda self: self.watch(other)))
    for i in range(3):
        ref.tell(Say(str(i)))
    other.stop()
    assert sim.system.statistics_of(ref).mailbox == 4  # the notice is in, beyond the capacity
    ref.stop()
    await ref.wait_stopped()
    assert log == []
    assert reasons(sim) == [(Say(str(i)), Reason.STOPPED) for i in range(3)]
    assert probe.drain() == []


@simulated
async def test_a_refusal_is_no_failure(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    ref.tell(Refuse())
    ref.tell(DoAsync(lambda self: self.ask(ref, Refuse(), 0.0)))
    assert await ref.ask(Say("on it goes")) == "on it goes"
    figures = sim.system.statistics_of(ref)
    assert (figures.failures, figures.restarts) == (0, 0)
    told, asked = sim.system.dead_letters.latest[:2]
    assert (told.message, told.reason, told.detail) == (Refuse(), Reason.REFUSED, "there is no such thing")
    assert asked.reason is Reason.REFUSED  # of the handler that let AskTimeout through


@simulated
async def test_a_message_is_handled_at_most_once_even_when_it_fails(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    tries: list[int] = []

    def try_it(_: Worker) -> None:
        tries.append(1)
        raise ValueError

    ref.tell(Do(try_it))
    ref.tell(Say("next"))
    await asyncio.sleep(60)
    assert (tries, log) == ([1], ["next"])
    assert [reason for _, reason in reasons(sim)] == [Reason.FAILED]


@simulated
async def test_shared_empty_things_stay_empty(sim: Simulation) -> None:
    """Every idle actor has the same queue and the same particulars: nobody may write to them."""
    log: Log = []
    refs = [sim.system.spawn(Worker, log) for _ in range(5)]
    for ref in refs:
        ref.tell(Say("hello"))
        ref.tell(Do(lambda self: (self.unstash_all(), self.unbecome(), self.unwatch(refs[0]), self.children)))
    refs[0].tell(Break())
    await sim.settle()
    for ref in refs:
        ref.stop()
        ref.tell(Say("late"))
    await sim.settle()
    assert len(IDLE) == 0
    untouched = Particulars()
    for slot in Particulars.__slots__:
        assert getattr(NOTHING_SPECIAL, slot) == getattr(untouched, slot), slot
