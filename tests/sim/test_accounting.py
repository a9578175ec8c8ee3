"""Every message is handled exactly once or is exactly one dead letter, whatever stops, fails, restarts or overflows."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import NotFound, ParleyError
from runtime.engine import Actor, Backoff, DeadLetter, Options, Overflow, Ref, StashFull, Strategy, Supervision, on
from runtime.engine.mailbox import IDLE
from runtime.engine.particulars import NOTHING_SPECIAL, Particulars
from runtime.testkit import Simulation, simulate

ACTIONS = (
    *("handle", "handle", "handle", "await", "await", "yield"),
    *("refuse", "fail", "fail later", "cancelled"),
    *("stash", "stash and fail", "unstash", "forward", "forward and fail", "forward later"),
    *("defer", "defer and fail", "defer and refuse", "stop", "stop later", "spawn"),
)


@dataclass(frozen=True, slots=True)
class Job:
    """One message. `asked`: by an ask, which is told of a refusal."""

    number: int
    action: str
    asked: bool


@dataclass(slots=True)
class Account:
    """What became of each message."""

    sent: list[Job] = field(default_factory=list)
    handled: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    letters: Counter[int] = field(default_factory=Counter)
    deferred: int = 0
    others: list[Ref] = field(default_factory=list)

    def bury(self, letter: DeadLetter) -> None:
        assert isinstance(letter.message, Job), letter
        self.letters[letter.message.number] += 1

    def check(self) -> None:
        for job in self.sent:
            ends = self.handled[job.number], self.refused[job.number], self.letters[job.number]
            assert sum(ends) == 1, (job, ends)


class Chaotic(Actor):
    """Does with a message what its action says, and takes note of those that it is done with."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.seen: set[int] = set()
        self.busy = False

    def started(self) -> object:
        if self.system.rng.random() < 0.2:
            return asyncio.sleep(0.01)
        if self.system.rng.random() < 0.1:
            raise ValueError("cannot start")
        return None

    async def stopped(self) -> None:
        await asyncio.sleep(self.system.rng.random() * 0.02)

    @on(Job)
    def work(self, job: Job) -> object:
        assert not self.busy, "two handlers of one actor at once"
        again = job.number in self.seen
        self.seen.add(job.number)
        if again or not hasattr(self, action := "on_" + job.action.replace(" ", "_")):
            return self.done(job)
        return getattr(self, action)(job)

    def done(self, job: Job) -> int:
        self.account.handled[job.number] += 1
        return job.number

    async def later(self, job: Job, error: BaseException | None = None, for_s: float = 0.01) -> int:
        self.busy = True
        try:
            await asyncio.sleep(for_s)
        finally:
            self.busy = False
        if error is not None:
            raise error
        return self.done(job)

    def on_await(self, job: Job) -> object:
        return self.later(job)

    def on_yield(self, job: Job) -> object:
        return self.later(job, for_s=0)

    def on_refuse(self, job: Job) -> None:
        self.account.refused[job.number] += job.asked  # the asker is told, or gave up while it was handled
        raise NotFound("refused")

    def on_fail(self, _: Job) -> None:
        raise ValueError("failed")

    def on_fail_later(self, job: Job) -> object:
        return self.later(job, ValueError("failed"))

    def on_cancelled(self, job: Job) -> object:
        if job.number % 2:
            raise asyncio.CancelledError
        return self.later(job, asyncio.CancelledError())

    def on_stash(self, job: Job) -> None:
        try:
            self.stash()
        except StashFull:
            self.account.refused[job.number] += job.asked
            raise

    def on_stash_and_fail(self, job: Job) -> None:
        self.on_stash(job)
        raise ValueError("failed")

    def on_unstash(self, job: Job) -> int:
        self.unstash_all()
        return self.done(job)

    def pass_on(self) -> None:
        self.forward(self.system.rng.choice(self.account.others))

    def on_forward(self, _: Job) -> None:
        self.pass_on()

    def on_forward_and_fail(self, _: Job) -> None:
        self.pass_on()
        raise ValueError("failed")

    async def on_forward_later(self, _: Job) -> None:
        await asyncio.sleep(0.01)
        self.pass_on()

    def on_defer(self, job: Job) -> str:
        reply = self.defer()
        self.account.deferred += 1
        self.done(job)
        self.system.loop.call_later(0.05, reply.send, job.number)
        return "not this"

    def on_defer_and_fail(self, _: Job) -> None:
        self.defer()
        raise ValueError("failed")

    def on_defer_and_refuse(self, job: Job) -> None:
        self.defer()
        self.on_refuse(job)

    def on_stop(self, job: Job) -> int:
        self.stop()
        return self.done(job)

    async def on_stop_later(self, job: Job) -> int:
        await asyncio.sleep(0)
        self.stop()
        await asyncio.sleep(0.01)
        return self.done(job)

    def on_spawn(self, job: Job) -> int:
        self.account.others.append(self.spawn(Chaotic, self.account))
        return self.done(job)


class Top(Actor):
    @on(list)
    def start(self, made: list[tuple[Account, Options]]) -> list[Ref]:
        return [self.spawn(Chaotic, account, options=options) for account, options in made]


async def ask(ref: Ref, job: Job, timeout_s: float) -> None:
    with contextlib.suppress(ParleyError):
        answer = await ref.ask(job, timeout_s)
        assert answer in (job.number, None), (job, answer)


async def wait_tell(ref: Ref, job: Job, timeout_s: float) -> None:
    with contextlib.suppress(ParleyError):
        await ref.wait_tell(job, timeout_s)


async def send_all(sim: Simulation, account: Account, jobs: list[tuple[str, str]]) -> None:
    """Tell, ask and wait_tell, cancel some of it, stop some receivers; then wait for all that was asked."""
    rng, tasks = sim.rng, list[asyncio.Task[None]]()
    for number, (action, way) in enumerate(jobs):
        ref = rng.choice(account.others)
        job = Job(number, action, way == "ask")
        account.sent.append(job)
        if way == "tell":
            before = account.letters[number]
            assert ref.tell(job) == (account.letters[number] == before)
        else:
            send = ask if way == "ask" else wait_tell
            tasks.append(asyncio.create_task(send(ref, job, rng.choice([0.005, 0.02, 5.0]))))
            await asyncio.sleep(0)  # a task that is cancelled before its first step sends nothing
        if tasks and rng.random() < 0.05:
            rng.choice(tasks).cancel()
        if rng.random() < 0.03:
            ref.stop()
        if rng.random() < 0.3:
            await asyncio.sleep(rng.random() * 0.01)
    if rng.random() < 0.5:
        await asyncio.sleep(rng.random())
    await sim.system.stop()
    await asyncio.gather(*tasks, return_exceptions=True)


OPTIONS = st.builds(
    Options,
    capacity=st.sampled_from([1, 2, 5, 1000]),
    overflow=st.sampled_from(Overflow),
    stop_timeout_s=st.sampled_from([0.0, 0.005, 1.0]),
)
SUPERVISION = st.builds(
    Supervision,
    strategy=st.sampled_from(Strategy),
    max_restarts=st.sampled_from([1, 5, 1000]),
    per_child=st.booleans(),
    backoff=st.sampled_from([None, Backoff(min_s=0.005, max_s=0.02)]),
)


@given(
    seed=st.integers(0, 2**32),
    jobs=st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from(["tell", "ask", "wait"])), max_size=60),
    options=OPTIONS,
    rules=SUPERVISION,
)
@settings(max_examples=300)
def test_every_message_is_accounted_for_once(
    seed: int, jobs: list[tuple[str, str]], options: Options, rules: Supervision
) -> None:
    account = Account()

    async def scenario(sim: Simulation) -> None:
        sim.system.dead_letters.listen(account.bury)
        top = sim.system.spawn(Top, options=Options(supervision=rules))
        account.others += await top.ask([(account, options)] * 4)
        sim.system.entities.define("kind", lambda _: Chaotic(account), options=options, rest_after_s=0.05)
        account.others += [sim.system.entity("kind", name) for name in "ab"]
        await send_all(sim, account, jobs)
        figures = sim.system.statistics()
        assert (figures.actors, figures.busy_handlers, figures.mailbox, figures.asks_pending) == (0, 0, 0, 0)

    simulate(scenario, seed=seed)  # which sees to it that no task is left
    account.check()
    untouched = Particulars()
    assert len(IDLE) == 0
    assert all(getattr(NOTHING_SPECIAL, slot) == getattr(untouched, slot) for slot in Particulars.__slots__)
