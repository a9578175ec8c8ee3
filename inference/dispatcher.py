"""Which request goes to which worker, and what becomes of it: the broker's rules, without sockets, processes or time.

Every admitted job is settled exactly once: by its answer, its deadline, its cancellation, or as poison. A worker has a
credit of jobs sent ahead and works them off in order, so the oldest unanswered one is the one that it is running.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from inference.jobs import Counts, Job, Limits, Outside, Seat, State
from protocols.errors import DeadlineExceeded, Internal, ParleyError, ResourceExhausted

_POISON_DEATHS: Final = 2
_SMOOTHING: Final = 0.2
_STALE_ENTRIES: Final = 64


class Dispatcher:
    """The state of the queue and of the workers. `now` is any clock that only grows, in seconds."""

    def __init__(self, limits: Limits, outside: Outside) -> None:
        self.limits = limits
        self.counts = Counts()
        self._outside = outside
        self._queue: deque[Job] = deque()
        self._queued = Counter[str]()
        self._queued_bytes = 0
        self._seats: dict[bytes, Seat] = {}
        self._watch: list[tuple[float, int, Job]] = []
        self._entries = itertools.count()
        self._number = 0
        self._live = 0
        self._service_s = 0.1

    @property
    def queued(self) -> int:
        """Jobs that wait for a worker."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """Jobs that workers hold, those included for which nobody waits any more."""
        return sum(len(seat.jobs) for seat in self._seats.values())

    def held_by(self, key: bytes) -> int:
        """Jobs that one worker holds."""
        seat = self._seats.get(key)
        return len(seat.jobs) if seat else 0

    def admit(self, pool: str, size: int, deadline: float) -> Job:
        """Take a job in; `dispatch` sends it. Raises ResourceExhausted, with when to come back, past a limit."""
        if self._queued[pool] >= self.limits.queue or self._queued_bytes + size > self.limits.queue_bytes:
            self.counts.refused += 1
            wait_s = max(0.1, self._service_s * (len(self._queue) + 1) / max(1, len(self._seats)))
            raise ResourceExhausted(
                f"{len(self._queue)} requests are waiting for inference; come back later",
                retry_after_s=round(wait_s, 3),
            )
        self._number += 1
        job = Job(self._number, pool, size, deadline)
        self.counts.admitted += 1
        self._live += 1
        self._enqueue(job, front=False)
        self._watch_until(deadline, job)
        return job

    def dispatch(self, now: float) -> None:
        """Send what can be sent. A job that a worker died on goes to an idle worker, alone, so that a second death is
        its own; until one is idle, the queue holds.
        """
        while self._queue:
            job = self._queue[0]
            if job.deadline <= now:
                self._expire(job)
                continue
            seat = self._free_seat(now, idle=job.deaths > 0)
            if seat is None:
                return
            if not self._outside.send(seat.key, job, job.deadline - now):
                seat.closed = True  # what it holds is taken back when its process is seen to end
                self._outside.kill(seat.key, "it could not be reached")
                continue
            self._dequeue(job)
            job.state = State.SENT
            if not seat.jobs:
                job.ran_from = now
            seat.jobs.append(job)
            seat.alone = job.deaths > 0

    def join(self, key: bytes, now: float) -> None:
        """A worker is ready. One that is known already keeps what it holds."""
        self._seats.setdefault(key, Seat(key))
        self.dispatch(now)

    def lose(self, key: bytes, now: float, *, blame: bool) -> None:
        """A worker is gone. What it held goes back to the front of the queue; with `blame` the job that it was running
        has one death more, and at the second is refused as poison.
        """
        seat = self._seats.pop(key, None)
        if seat is None:
            return
        if blame and seat.jobs:
            seat.jobs[0].deaths += 1
        for job in reversed(seat.jobs):
            if job.settled:
                self._finish(job)
            elif job.deaths >= _POISON_DEATHS:
                self.counts.poisoned += 1
                self._settle(job, Internal(f"refused as poison: {job.deaths} workers died while they ran this request"))
                self._finish(job)
            else:
                self.counts.retried += 1
                self._enqueue(job, front=True)
        self.dispatch(now)

    def answer(self, key: bytes, number: int, now: float) -> Job | None:
        """A worker has answered. The job, if somebody waits for it; `dispatch` is the caller's next step."""
        seat = self._seats.get(key)
        job = next((held for held in seat.jobs if held.number == number), None) if seat else None
        if seat is None or job is None:
            return None
        self._service_s += _SMOOTHING * (now - job.ran_from - self._service_s)
        seat.jobs.remove(job)
        seat.alone = False
        if seat.jobs:
            head = seat.jobs[0]
            head.ran_from = now
            if head.settled:
                self._watch_until(now + self.limits.grace_s, head)
        self._finish(job)
        if job.settled:
            return None
        job.settled = True
        self.counts.answered += 1
        return job

    def cancel(self, job: Job) -> None:
        """Nobody waits for this job any more."""
        if not job.settled:
            job.settled = True
            self.counts.cancelled += 1
            self._release(job)

    def tick(self, now: float) -> None:
        """Do what time asks for: expire jobs, have stuck workers killed. Call it at `next_tick` or later."""
        while self._watch and self._watch[0][0] <= now:
            _, _, job = heapq.heappop(self._watch)
            if job.state is State.DONE:
                continue
            if not job.settled:
                self._expire(job)
            if job.state is State.SENT:
                self._check_stuck(job, now)
        self.dispatch(now)

    def next_tick(self) -> float | None:
        """When `tick` has something to do at the earliest."""
        return self._watch[0][0] if self._watch else None

    def abandon(self, make_error: Callable[[], ParleyError]) -> None:
        """Settle everything that waits in the queue: nothing will be there to run it."""
        for job in list(self._queue):
            self._settle(job, make_error())
            self._release(job)

    def _free_seat(self, now: float, *, idle: bool) -> Seat | None:
        room = 1 if idle else self.limits.credit
        free = [seat for seat in self._seats.values() if len(seat.jobs) < room and not seat.alone and not seat.closed]
        return min((seat for seat in free if not _overdue(seat, now)), key=lambda seat: len(seat.jobs), default=None)

    def _check_stuck(self, job: Job, now: float) -> None:
        seat = next((seat for seat in self._seats.values() if seat.jobs and seat.jobs[0] is job), None)
        if seat is None:
            return  # it waits behind another; `answer` sets its watch when its turn comes
        limit = max(job.deadline, job.ran_from) + self.limits.grace_s
        if now < limit:
            self._watch_until(limit, job)
            return
        self.counts.stuck += 1
        self._outside.kill(seat.key, f"it was busy {self.limits.grace_s:g} s past its request's deadline")

    def _expire(self, job: Job) -> None:
        self.counts.expired += 1
        self._settle(job, DeadlineExceeded("the deadline passed before inference had an answer"))
        self._release(job)

    def _release(self, job: Job) -> None:
        """Take a settled job out of the queue, or tell the worker that has it."""
        if job.state is State.QUEUED:
            self._dequeue(job)
            self._finish(job)
        elif job.state is State.SENT:
            for seat in self._holders(job):
                self._outside.withdraw(seat.key, job)

    def _holders(self, job: Job) -> Iterator[Seat]:
        return (seat for seat in self._seats.values() if job in seat.jobs)

    def _settle(self, job: Job, error: ParleyError) -> None:
        job.settled = True
        self._outside.settle(job, error)

    def _enqueue(self, job: Job, *, front: bool) -> None:
        job.state = State.QUEUED
        self._queued[job.pool] += 1
        self._queued_bytes += job.size
        if front:
            self._queue.appendleft(job)
        else:
            self._queue.append(job)

    def _dequeue(self, job: Job) -> None:
        self._queue.remove(job)
        self._queued[job.pool] -= 1
        if not self._queued[job.pool]:
            del self._queued[job.pool]
        self._queued_bytes -= job.size

    def _finish(self, job: Job) -> None:
        job.state = State.DONE
        self._live -= 1

    def _watch_until(self, at: float, job: Job) -> None:
        heapq.heappush(self._watch, (at, next(self._entries), job))
        if len(self._watch) > 2 * self._live + _STALE_ENTRIES:
            self._watch = [entry for entry in self._watch if entry[2].state is not State.DONE]
            heapq.heapify(self._watch)


def _overdue(seat: Seat, now: float) -> bool:
    """Whether the worker is still busy with a job whose deadline has passed: then it may be stuck, and gets no more."""
    return bool(seat.jobs) and seat.jobs[0].deadline <= now
