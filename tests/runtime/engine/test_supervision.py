"""Supervision: who decides, what is decided, and how often."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random

import pytest

from runtime.engine import (
    Actor,
    Backoff,
    ChildFailed,
    Directive,
    HandlerFailed,
    Options,
    Reason,
    RestartIntensityExceeded,
    Strategy,
    Supervision,
    on,
)
from runtime.engine.supervision import RestartWindow
from runtime.testkit import Simulation, simulate
from tests.runtime.engine.samples import (
    Break,
    Broken,
    Do,
    Hooked,
    Log,
    Parent,
    Say,
    Worker,
    child,
    reasons,
    simulated,
    state,
    supervising,
)


async def family(sim: Simulation, log: Log, options: Options, names: str = "abc") -> list[str]:
    """Start a parent with children, and forget what they logged while they started."""
    sim.system.spawn(Parent, log, names, name="parent", options=options)
    await sim.settle()
    log.clear()
    return [f"parent/{name}" for name in names]


@simulated
async def test_one_for_one_restarts_who_failed(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(Strategy.ONE_FOR_ONE))
    sim.system.lookup("parent/b").tell(Break())
    await sim.settle()
    assert log == ["b:restarting Broken", "b:started"]


@simulated
async def test_one_for_all_restarts_every_child(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(Strategy.ONE_FOR_ALL))
    sim.system.lookup("parent/b").tell(Break())
    await sim.settle()
    assert log[:3] == ["c:restarting Broken", "b:restarting Broken", "a:restarting Broken"]
    assert sorted(log[3:]) == ["a:started", "b:started", "c:started"]


@simulated
async def test_rest_for_one_restarts_who_failed_and_who_came_after(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(Strategy.REST_FOR_ONE))
    sim.system.lookup("parent/b").tell(Break())
    await sim.settle()
    assert log[:2] == ["c:restarting Broken", "b:restarting Broken"]
    assert sorted(log[2:]) == ["b:started", "c:started"]


@simulated
async def test_resume_goes_on_with_the_same_instance(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(otherwise=Directive.RESUME))
    ref = sim.system.lookup("parent/a")
    await ref.ask(Do(lambda self: setattr(self, "name", "same")))
    ref.tell(Break())
    ref.tell(Say("on"))
    await sim.settle()
    assert log == ["same:on"]
    assert sim.system.statistics_of(ref).failures == 1


@simulated
async def test_restart_makes_a_new_instance_with_the_same_mailbox(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising())
    ref = sim.system.lookup("parent/a")
    await ref.ask(Do(lambda self: setattr(self, "name", "old")))
    for message in (Say("before"), Break(), Say("after")):
        ref.tell(message)
    assert await ref.ask(Say("end")) == "end"
    assert log == ["old:before", "old:restarting Broken", "a:started", "a:after", "a:end"]
    assert reasons(sim) == [(Break(), Reason.FAILED)]
    assert sim.system.statistics_of(ref).restarts == 1


@simulated
async def test_stop_ends_who_failed_and_no_other(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(otherwise=Directive.STOP))
    ref = sim.system.lookup("parent/a")
    ref.tell(Break())
    ref.tell(Say("never"))
    await ref.wait_stopped()
    assert log == ["a:stopped"]
    assert reasons(sim) == [(Break(), Reason.FAILED), (Say("never"), Reason.STOPPED)]
    assert await sim.system.lookup("parent/b").ask(Say("here")) == "here"


@simulated
async def test_escalate_fails_the_supervisor(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(otherwise=Directive.ESCALATE))
    sim.system.lookup("parent/b").tell(Break())
    await asyncio.sleep(5.0)
    assert log[0] == "parent:restarting ChildFailed"
    assert log[1:5] == ["c:stopped", "b:stopped", "a:stopped", "parent:started"]
    assert sorted(log[5:]) == ["a:started", "b:started", "c:started"]


@simulated
async def test_directives_are_read_in_order_and_match_subclasses(sim: Simulation) -> None:
    rules = Supervision(directives=((KeyError, Directive.STOP), (LookupError, Directive.RESUME)))
    assert rules.directive(KeyError()) is Directive.STOP
    assert rules.directive(IndexError()) is Directive.RESUME
    assert rules.directive(Broken()) is Directive.RESTART
    with pytest.raises(ValueError, match="exceeded"):
        Supervision(exceeded=Directive.RESUME)
    with pytest.raises(ValueError, match="within_s"):
        Supervision(within_s=0)


@simulated
async def test_too_many_restarts_escalate(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(max_restarts=2, within_s=10.0))
    ref = sim.system.lookup("parent/a")
    for _ in range(2):
        ref.tell(Break())
    await asyncio.sleep(10.1)
    for _ in range(2):
        ref.tell(Break())
    await sim.settle()
    assert sim.system.statistics_of(ref).restarts == 4  # the window slides
    ref.tell(Break())
    await asyncio.sleep(1.0)
    assert "parent:restarting ChildFailed" in log
    error = sim.system.statistics_of(sim.system.lookup("parent")).last_error
    assert "RestartIntensityExceeded: more than 2 restarts within 10 s" in error


@simulated
async def test_a_restarted_supervisor_counts_afresh(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(max_restarts=1))
    for restarts in (1, 0, 1):
        sim.system.lookup("parent/a").tell(Break())
        await asyncio.sleep(1.0)
        assert sim.system.statistics_of(sim.system.lookup("parent/a")).restarts == restarts
    assert sim.system.statistics_of(sim.system.lookup("parent")).restarts == 1


@simulated
async def test_too_many_restarts_may_stop_instead(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(max_restarts=1, exceeded=Directive.STOP))
    a, b = sim.system.lookup("parent/a"), sim.system.lookup("parent/b")
    a.tell(Break())
    b.tell(Break())  # one window for all children
    await sim.settle()
    assert sorted(line for line in log if line.endswith("stopped")) in (["a:stopped"], ["b:stopped"])


@simulated
async def test_a_window_for_each_child_has_nothing_to_do_with_that_childs_own_children(sim: Simulation) -> None:
    log: Log = []
    rules = Supervision(per_child=True, max_restarts=2, exceeded=Directive.STOP)
    top = sim.system.spawn(Worker, log, options=Options(supervision=rules))
    middle = await top.ask(Do(lambda self: self.spawn(Parent, log, "ab", name="middle")))
    for name in "abab":
        (await child(sim, middle, name)).tell(Break())
        await sim.settle()
    middle.tell(Break())
    await sim.settle()
    assert sim.system.statistics_of(middle).restarts == 1
    assert state(sim, middle) == "running"


@simulated
async def test_failures_reach_the_root_and_the_system_goes_on(sim: Simulation) -> None:
    log: Log = []
    waiter = asyncio.ensure_future(sim.system.wait_failed())
    bad = sim.system.spawn(Hooked, log, "bad")
    good = sim.system.spawn(Hooked, log, "good")
    for _ in range(6):
        bad.tell(Break())
        await asyncio.sleep(1.2)
    error = await waiter
    assert isinstance(error, ChildFailed)
    assert isinstance(error.__cause__, RestartIntensityExceeded)
    assert isinstance(error.__cause__.__cause__, Broken)
    await bad.wait_stopped()
    assert await good.ask(Say("on")) == "on"


@simulated
async def test_a_supervisor_that_resumes_lets_those_below_go_on(sim: Simulation) -> None:
    """Who escalated waits for its supervisor's own supervisor; forgotten, it would keep its messages for ever."""
    log: Log = []
    top = sim.system.spawn(Worker, log, options=supervising(otherwise=Directive.RESUME))
    escalates = supervising(otherwise=Directive.ESCALATE)
    await top.ask(Do(lambda self: self.spawn(Parent, log, "a", name="middle", options=escalates)))
    await sim.settle()
    ref = sim.system.lookup(f"{top.path}/middle/a")
    ref.tell(Break())
    assert await ref.ask(Say("on")) == "on"


@simulated
async def test_an_escalated_child_is_stopped_when_its_supervisor_restarts(sim: Simulation) -> None:
    log: Log = []
    await family(sim, log, supervising(otherwise=Directive.ESCALATE), "a")
    ref = sim.system.lookup("parent/a")
    ref.tell(Break())
    await sim.settle()
    assert state(sim, ref) == "suspended"  # the root's backoff
    ref.tell(Say("kept until then"))
    await asyncio.sleep(1.0)
    assert state(sim, ref) == "stopped"
    assert sim.system.lookup("parent/a") is not ref
    assert (Say("kept until then"), Reason.STOPPED) in reasons(sim)


def test_backoff_grows_to_its_limit_and_jitter_only_shortens() -> None:
    backoff = Backoff(min_s=0.1, max_s=5.0, factor=2.0, jitter=0.2)
    rng = random.Random(1)
    for attempt in (1, 2, 3, 10, 1_000_000):
        full = min(5.0, 0.1 * 2.0 ** min(attempt - 1, 64))
        delays = [backoff.delay_s(attempt, rng) for _ in range(100)]
        assert all(0.8 * full <= delay <= full for delay in delays)
        assert len(set(delays)) > 50
    assert Backoff(jitter=0.0).delay_s(3, rng) == pytest.approx(0.4)


@simulated
async def test_restarts_wait_longer_each_time(sim: Simulation) -> None:
    log: Log = []
    times: list[float] = []

    class Unlucky(Actor):
        def started(self) -> None:
            times.append(sim.now_s)
            raise Broken

    backoff = Backoff(min_s=1.0, max_s=4.0, jitter=0.0)
    rules = supervising(max_restarts=5, within_s=100.0, exceeded=Directive.STOP, backoff=backoff)
    parent = sim.system.spawn(Worker, log, options=rules)
    ref = await parent.ask(Do(lambda self: self.spawn(Unlucky)))
    await ref.wait_stopped()
    gaps = [round(later - earlier, 6) for earlier, later in itertools.pairwise(times)]
    assert gaps == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_a_window_holds_what_it_must() -> None:
    window, rules = RestartWindow(), Supervision(max_restarts=2, within_s=1.0)
    assert [window.admit(now, rules) for now in (0.0, 0.5, 0.9, 1.0, 1.4, 1.5)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]
    assert window.attempt == 2
    assert not RestartWindow().admit(0.0, Supervision(max_restarts=0))


@simulated
async def test_the_handler_of_a_failed_message_is_told_apart(sim: Simulation) -> None:
    """Two children fail at once; each asker learns of its own."""
    log: Log = []
    await family(sim, log, supervising(Strategy.ONE_FOR_ALL))
    asks = [sim.system.lookup(f"parent/{name}").ask(Break(), timeout_s=2.0) for name in "ab"]
    first, second = await asyncio.gather(*asks, return_exceptions=True)
    assert isinstance(first, HandlerFailed)
    assert isinstance(second, HandlerFailed)


def test_failures_are_logged_with_the_type_and_never_the_content(caplog: pytest.LogCaptureFixture) -> None:
    class Password(Actor):
        @on(str)
        def take(self, _: str) -> None:
            raise Broken("cannot take it")

    async def scenario(sim: Simulation) -> None:
        sim.system.spawn(Password, name="login").tell("hunter2")
        sim.system.spawn(Worker, []).tell("hunter2")
        await sim.settle()

    with caplog.at_level(logging.DEBUG):
        simulate(scenario)
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "login" in text
    assert "'str'" in text
    assert "Broken" in text
    assert "hunter2" not in text
