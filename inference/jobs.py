"""What the dispatcher moves about: jobs, the seats of workers, its limits and counts, and what it asks of others."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from protocols.errors import ParleyError


class State(Enum):
    """Where a job is."""

    QUEUED = auto()
    SENT = auto()
    DONE = auto()


class Job:
    """One request on its way. `deaths` counts the workers that died while running it."""

    __slots__ = ("deadline", "deaths", "number", "pool", "ran_from", "settled", "size", "state")

    def __init__(self, number: int, pool: str, size: int, deadline: float) -> None:
        self.number = number
        self.pool = pool
        self.size = size
        self.deadline = deadline
        self.deaths = 0
        self.ran_from = 0.0
        self.settled = False
        self.state = State.QUEUED


class Seat:
    """A ready worker and the jobs it holds, oldest first. `alone`: it gets no more until the one it has is answered;
    `closed`: it gets no more at all.
    """

    __slots__ = ("alone", "closed", "jobs", "key")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.jobs: deque[Job] = deque()
        self.alone = False
        self.closed = False


class Outside(Protocol):
    """What the dispatcher has done for it. None of these may call back into the dispatcher."""

    def send(self, key: bytes, job: Job, remaining_s: float) -> bool:
        """Send a job to a worker; False where the worker cannot be reached, which is as good as dead."""
        ...

    def withdraw(self, key: bytes, job: Job) -> None:
        """Tell a worker that nobody waits for this job."""
        ...

    def settle(self, job: Job, error: ParleyError) -> None:
        """Give the asker an error."""
        ...

    def kill(self, key: bytes, reason: str) -> None:
        """End a worker that is stuck; its loss is reported by `lose` when it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`credit`: jobs a worker holds at most. `queue`: jobs that may wait per pool (model); `queue_bytes`: all their
    payload. `grace_s`: how long past a deadline a worker may still be busy with the job before it counts as stuck.
    """

    credit: int = 2
    queue: int = 64
    queue_bytes: int = 256 * 1024 * 1024
    grace_s: float = 2.0


@dataclass(slots=True)
class Counts:
    """What happened so far."""

    admitted: int = 0
    answered: int = 0
    refused: int = 0
    expired: int = 0
    cancelled: int = 0
    retried: int = 0
    poisoned: int = 0
    stuck: int = 0
