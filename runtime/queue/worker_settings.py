"""What may be chosen for a worker, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from runtime.engine import Backoff, Options

STOP_MARGIN_S: Final = 10.0
"""What a worker needs to stop beyond its drain: to tell the queue, also one that answers slowly."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """`concurrency`: tasks at work at once, of all types. `batch`: claimed in one exchange, at most.

    `poll_s`: how often an idle worker looks, should it not be woken. `progress_s`: how often progress is told.
    `retry`: the delay of a failed task; `away`: that of an exchange without an answer.
    """

    concurrency: int = 256
    batch: int = 128
    poll_s: float = 1.0
    heartbeat_s: float = 5.0
    progress_s: float = 0.25
    drain_s: float = 10.0
    retry: Backoff = field(default_factory=lambda: Backoff(min_s=1.0, max_s=300.0))
    away: Backoff = field(default_factory=lambda: Backoff(min_s=0.05, max_s=1.0))

    @property
    def options(self) -> Options:
        """What the actor is to be spawned with, so that it may take its time to stop."""
        return Options(stop_timeout_s=self.drain_s + STOP_MARGIN_S)
