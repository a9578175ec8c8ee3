"""Restart intensity against a model that is too simple to be wrong."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from runtime.engine import Actor, Directive, Options, Ref, Strategy, Supervision, on
from runtime.engine.supervision import RestartWindow
from runtime.testkit import Simulation, simulate

GAPS = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 5.0]), max_size=30)


def model(times: list[float], max_restarts: int, within_s: float) -> list[bool]:
    """Whether each failure is answered with a restart."""
    restarts: list[float] = []
    admitted = []
    for now in times:
        admit = sum(now - within_s < earlier for earlier in restarts) < max_restarts
        admitted.append(admit)
        if admit:
            restarts.append(now)
    return admitted


def moments(gaps: list[float]) -> list[float]:
    return [sum(gaps[: i + 1]) for i in range(len(gaps))]


@given(gaps=GAPS, max_restarts=st.integers(0, 5), within_s=st.sampled_from([0.5, 1.0, 3.0]))
def test_the_window_is_that_of_the_model(gaps: list[float], max_restarts: int, within_s: float) -> None:
    rules, window, times = Supervision(max_restarts=max_restarts, within_s=within_s), RestartWindow(), moments(gaps)
    assert [window.admit(now, rules) for now in times] == model(times, max_restarts, within_s)
    for i, first in enumerate(times):
        within = [now for now, admitted in zip(times, model(times, max_restarts, within_s), strict=True) if admitted]
        assert sum(first - within_s < now <= first for now in within) <= max_restarts, (i, first)


class Child(Actor):
    """Fails when it is told to."""

    @on(str)
    def fail(self, _: str) -> None:
        raise ValueError


class Parent(Actor):
    @on(int)
    def start(self, count: int) -> list[Ref]:
        return [self.spawn(Child) for _ in range(count)]


@given(
    seed=st.integers(0, 2**32),
    failures=st.lists(st.tuples(st.sampled_from([0.1, 0.25, 1.0, 2.0]), st.integers(0, 2)), max_size=20),
    max_restarts=st.integers(0, 4),
    within_s=st.sampled_from([0.6, 1.7, 3.1]),
    per_child=st.booleans(),
    strategy=st.sampled_from(Strategy),
)
def test_no_supervisor_restarts_more_often_than_its_window_allows(
    seed: int,
    failures: list[tuple[float, int]],
    max_restarts: int,
    within_s: float,
    per_child: bool,
    strategy: Strategy,
) -> None:
    rules = Supervision(strategy, (), Directive.RESTART, max_restarts, within_s, Directive.STOP, per_child)
    restarts: list[tuple[float, int]] = []
    alive = {0, 1, 2}
    expected: list[tuple[float, int]] = []
    now = 0.0
    for gap, number in failures:  # the model: children fail at moments that are far enough apart
        now += gap
        if number not in alive:
            continue
        counted = [at for at, who in expected if who == number or not per_child]
        if sum(now - within_s < at for at in counted) < max_restarts:
            expected.append((now, number))
        else:
            alive.discard(number)

    async def scenario(sim: Simulation) -> None:
        parent = sim.system.spawn(Parent, options=Options(supervision=rules))
        children = await parent.ask(3)
        for gap, number in failures:
            await asyncio.sleep(gap)
            before = sim.system.statistics_of(children[number]).restarts
            at = sim.now_s
            children[number].tell("fail")
            await sim.settle()
            if sim.system.statistics_of(children[number]).restarts > before:
                restarts.append((at, number))
        states = [sim.system.statistics_of(child).state for child in children]
        assert states == ["running" if number in alive else "stopped" for number in range(3)]

    simulate(scenario, seed=seed)
    assert [number for _, number in restarts] == [number for _, number in expected]
