"""The same seed gives the same run, to the last dead letter."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.engine import DeadLetter, Options
from runtime.testkit import Simulation, simulate
from tests.sim.test_accounting import ACTIONS, Account, Top, send_all


def trace(seed: int) -> list[object]:
    account = Account()
    lines: list[object] = []

    async def scenario(sim: Simulation) -> None:
        def note(letter: DeadLetter) -> None:
            account.bury(letter)
            lines.append((sim.now_s, letter))

        sim.system.dead_letters.listen(note)
        top = sim.system.spawn(Top)
        account.others += await top.ask([(account, Options(capacity=5))] * 4)
        rng = random.Random(seed)
        jobs = [(rng.choice(ACTIONS), rng.choice(["tell", "ask", "wait"])) for _ in range(50)]
        await send_all(sim, account, jobs)
        lines.append(sim.system.statistics())
        lines.append(sim.now_s)

    simulate(scenario, seed=seed)
    return [*lines, list(account.handled.items())]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=30)
def test_the_same_seed_gives_the_same_run(seed: int) -> None:
    assert trace(seed) == trace(seed)


def test_other_seeds_give_other_runs() -> None:
    assert len({str(trace(seed)) for seed in range(10)}) == 10
