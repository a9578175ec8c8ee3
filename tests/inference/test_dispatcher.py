"""The broker's rules on their own: no sockets, no processes, and time is a number."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inference.dispatcher import Dispatcher
from inference.jobs import Job, Limits
from protocols.errors import Code, ParleyError, ResourceExhausted


@dataclass
class Recorder:
    """Takes what the dispatcher asks for."""

    sent: list[tuple[bytes, int]] = field(default_factory=list)
    withdrawn: list[tuple[bytes, int]] = field(default_factory=list)
    settled: dict[int, ParleyError] = field(default_factory=dict)
    killed: list[bytes] = field(default_factory=list)
    unreachable: set[bytes] = field(default_factory=set)

    def send(self, key: bytes, job: Job, remaining_s: float) -> bool:
        assert remaining_s > 0
        if key in self.unreachable:
            return False
        self.sent.append((key, job.number))
        return True

    def withdraw(self, key: bytes, job: Job) -> None:
        self.withdrawn.append((key, job.number))

    def settle(self, job: Job, error: ParleyError) -> None:
        assert job.number not in self.settled
        self.settled[job.number] = error

    def kill(self, key: bytes, reason: str) -> None:
        assert reason
        self.killed.append(key)


class Rig:
    """A dispatcher and its surroundings."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.outside = Recorder()
        self.dispatcher = Dispatcher(limits or Limits(), self.outside)

    def submit(self, now: float = 0.0, timeout_s: float = 10.0, pool: str = "m", size: int = 1) -> Job:
        job = self.dispatcher.admit(pool, size, now + timeout_s)
        self.dispatcher.dispatch(now)
        return job

    def code(self, job: Job) -> Code:
        return self.outside.settled[job.number].code


def test_jobs_are_sent_in_order_up_to_the_credit() -> None:
    rig = Rig(Limits(credit=2))
    jobs = [rig.submit() for _ in range(3)]
    assert rig.outside.sent == []
    rig.dispatcher.join(b"a", 0.0)
    assert rig.outside.sent == [(b"a", jobs[0].number), (b"a", jobs[1].number)]
    assert rig.dispatcher.queued == 1
    assert rig.dispatcher.answer(b"a", jobs[0].number, 1.0) is jobs[0]
    rig.dispatcher.dispatch(1.0)
    assert rig.outside.sent[2] == (b"a", jobs[2].number)


def test_the_worker_with_the_least_to_do_is_chosen() -> None:
    rig = Rig()
    rig.dispatcher.join(b"a", 0.0)
    rig.dispatcher.join(b"b", 0.0)
    for _ in range(4):
        rig.submit()
    assert [key for key, _ in rig.outside.sent] == [b"a", b"b", b"a", b"b"]


def test_a_worker_that_reports_again_keeps_what_it_holds() -> None:
    rig = Rig()
    rig.dispatcher.join(b"a", 0.0)
    job = rig.submit()
    rig.dispatcher.join(b"a", 1.0)
    assert rig.dispatcher.answer(b"a", job.number, 2.0) is job


def test_past_the_queue_a_job_is_refused_with_the_time_to_come_back() -> None:
    rig = Rig(Limits(queue=2))
    rig.submit()
    rig.submit()
    with pytest.raises(ResourceExhausted) as refused:
        rig.submit()
    assert refused.value.retry_after_s is not None
    assert refused.value.retry_after_s > 0
    assert rig.dispatcher.counts.refused == 1
    rig.submit(pool="another")  # each model has its own queue


def test_the_bytes_that_wait_are_bounded() -> None:
    rig = Rig(Limits(queue_bytes=100))
    first = rig.submit(size=60)
    with pytest.raises(ResourceExhausted):
        rig.submit(size=60, pool="another")
    rig.dispatcher.cancel(first)
    rig.submit(size=60)


def test_an_expired_job_is_settled_and_never_sent() -> None:
    rig = Rig()
    job = rig.submit(timeout_s=1.0)
    assert rig.dispatcher.next_tick() == 1.0
    rig.dispatcher.tick(1.0)
    assert rig.code(job) is Code.DEADLINE_EXCEEDED
    rig.dispatcher.join(b"a", 1.0)
    assert rig.outside.sent == []


def test_a_job_that_expired_since_the_last_tick_is_not_sent_either() -> None:
    rig = Rig()
    job = rig.submit(timeout_s=1.0)
    rig.dispatcher.join(b"a", 5.0)
    assert rig.outside.sent == []
    assert rig.code(job) is Code.DEADLINE_EXCEEDED


def test_a_worker_is_told_of_an_expired_job_and_killed_when_it_goes_on() -> None:
    rig = Rig(Limits(grace_s=2.0))
    rig.dispatcher.join(b"a", 0.0)
    job = rig.submit(timeout_s=1.0)
    rig.dispatcher.tick(1.0)
    assert rig.code(job) is Code.DEADLINE_EXCEEDED
    assert rig.outside.withdrawn == [(b"a", job.number)]
    rig.dispatcher.tick(2.9)
    assert rig.outside.killed == []
    rig.dispatcher.tick(3.0)
    assert rig.outside.killed == [b"a"]


def test_a_worker_busy_past_a_deadline_gets_nothing_more() -> None:
    rig = Rig()
    rig.dispatcher.join(b"a", 0.0)
    rig.submit(timeout_s=1.0)
    rig.dispatcher.tick(1.0)
    rig.submit(now=1.5)
    assert len(rig.outside.sent) == 1


def test_an_expired_job_behind_a_long_one_is_no_reason_to_kill() -> None:
    rig = Rig(Limits(grace_s=1.0))
    rig.dispatcher.join(b"a", 0.0)
    long = rig.submit(timeout_s=100.0)
    short = rig.submit(timeout_s=1.0)
    for now in (1.0, 2.0, 5.0):
        rig.dispatcher.tick(now)
    assert rig.outside.killed == []
    rig.dispatcher.answer(b"a", long.number, 6.0)
    rig.dispatcher.tick(6.5)
    assert rig.outside.killed == []  # it has only now come to the short one
    rig.dispatcher.tick(7.0)
    assert rig.outside.killed == [b"a"]
    assert rig.code(short) is Code.DEADLINE_EXCEEDED


def test_what_a_dead_worker_held_runs_elsewhere_in_the_same_order() -> None:
    rig = Rig()
    rig.dispatcher.join(b"a", 0.0)
    jobs = [rig.submit() for _ in range(3)]
    rig.dispatcher.lose(b"a", 1.0, blame=True)
    rig.dispatcher.join(b"b", 1.0)
    assert rig.outside.sent[2:] == [(b"b", jobs[0].number)]  # alone: a worker has died on it
    rig.dispatcher.answer(b"b", jobs[0].number, 2.0)
    rig.dispatcher.dispatch(2.0)
    assert rig.outside.sent[3:] == [(b"b", jobs[1].number), (b"b", jobs[2].number)]
    assert rig.outside.settled == {}


def test_the_second_death_is_poison_and_its_neighbours_are_spared() -> None:
    rig = Rig()
    rig.dispatcher.join(b"a", 0.0)
    poison, neighbour = rig.submit(), rig.submit()
    rig.dispatcher.lose(b"a", 1.0, blame=True)
    rig.dispatcher.join(b"b", 1.0)
    rig.dispatcher.lose(b"b", 2.0, blame=True)
    assert rig.code(poison) is Code.INTERNAL
    assert "poison" in rig.outside.settled[poison.number].detail
    rig.dispatcher.join(b"c", 2.0)
    assert rig.dispatcher.answer(b"c", neighbour.number, 3.0) is neighbour


def test_a_worker_that_left_in_good_order_blames_nobody() -> None:
    rig = Rig()
    job = rig.submit()
    for key in (b"a", b"b", b"c"):
        rig.dispatcher.join(key, 0.0)
        rig.dispatcher.lose(key, 0.0, blame=False)
    rig.dispatcher.join(b"d", 0.0)
    assert rig.dispatcher.answer(b"d", job.number, 1.0) is job


def test_a_worker_that_cannot_be_reached_is_given_up_and_the_job_goes_on() -> None:
    rig = Rig()
    rig.outside.unreachable.add(b"a")
    rig.dispatcher.join(b"a", 0.0)
    job = rig.submit()
    assert rig.outside.killed == [b"a"]
    rig.dispatcher.join(b"b", 0.0)
    assert rig.outside.sent == [(b"b", job.number)]


def test_a_cancelled_job_is_withdrawn_and_its_answer_goes_nowhere() -> None:
    rig = Rig()
    rig.dispatcher.join(b"a", 0.0)
    job = rig.submit()
    rig.dispatcher.cancel(job)
    assert rig.outside.withdrawn == [(b"a", job.number)]
    assert rig.dispatcher.answer(b"a", job.number, 1.0) is None
    assert rig.dispatcher.in_flight == 0


@pytest.mark.parametrize("key", [b"a", b"nobody"])
def test_an_answer_to_nothing_is_ignored(key: bytes) -> None:
    rig = Rig()
    rig.dispatcher.join(b"a", 0.0)
    assert rig.dispatcher.answer(key, 99, 0.0) is None


def test_the_timer_list_does_not_grow_with_the_jobs_that_are_done() -> None:
    rig = Rig()
    rig.dispatcher.join(b"a", 0.0)
    for _ in range(1000):
        job = rig.submit(timeout_s=1e6)
        rig.dispatcher.answer(b"a", job.number, 0.0)
    assert len(rig.dispatcher._watch) < 100


class EveryJobIsSettledOnce(RuleBasedStateMachine):
    """Workers come, die, answer and hang, time passes, askers give up: each job still ends exactly once."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(Limits(credit=2, queue=5, grace_s=2.0))
        self.now = 0.0
        self.workers: list[bytes] = []
        self.started = 0
        self.jobs: list[Job] = []
        self.answered: set[int] = set()
        self.cancelled: set[int] = set()

    @rule(timeout_s=st.sampled_from([0.5, 3.0, 50.0]))
    def submit(self, timeout_s: float) -> None:
        try:
            self.jobs.append(self.rig.submit(self.now, timeout_s))
        except ResourceExhausted:
            assert self.rig.dispatcher.queued >= 5

    @rule()
    def join(self) -> None:
        self.started += 1
        self.workers.append(f"w{self.started}".encode())
        self.rig.dispatcher.join(self.workers[-1], self.now)

    @precondition(lambda self: self.workers)
    @rule(data=st.data(), blame=st.booleans())
    def lose(self, data: st.DataObject, blame: bool) -> None:
        key = data.draw(st.sampled_from(self.workers))
        self.workers.remove(key)
        self.rig.dispatcher.lose(key, self.now, blame=blame)

    @precondition(lambda self: self.rig.outside.sent)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        key, number = data.draw(st.sampled_from(self.rig.outside.sent))
        job = self.rig.dispatcher.answer(key, number, self.now)
        if job is not None:
            assert key in self.workers
            assert number not in self.answered
            self.answered.add(number)
        self.rig.dispatcher.dispatch(self.now)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        if not job.settled:
            self.cancelled.add(job.number)
        self.rig.dispatcher.cancel(job)

    @rule(step_s=st.sampled_from([0.1, 1.0, 10.0]))
    def wait(self, step_s: float) -> None:
        self.now += step_s
        self.rig.dispatcher.tick(self.now)
        for key in self.rig.outside.killed:
            if key in self.workers:
                self.workers.remove(key)
            self.rig.dispatcher.lose(key, self.now, blame=True)
        self.rig.outside.killed.clear()

    @invariant()
    def each_end_excludes_the_others(self) -> None:
        failed = set(self.rig.outside.settled)
        assert not failed & self.answered
        assert not failed & self.cancelled
        assert not self.answered & self.cancelled
        ended = failed | self.answered | self.cancelled
        assert ended == {job.number for job in self.jobs if job.settled}

    def teardown(self) -> None:
        self.now += 1000.0
        self.rig.dispatcher.tick(self.now)
        assert all(job.settled for job in self.jobs)
        assert self.rig.dispatcher.queued == 0


TestEveryJobIsSettledOnce = EveryJobIsSettledOnce.TestCase
TestEveryJobIsSettledOnce.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
