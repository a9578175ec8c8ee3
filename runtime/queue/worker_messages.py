"""What a worker may be told and asked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """To a worker: exchange with the queue, if there is anything to exchange."""


@dataclass(frozen=True, slots=True)
class GetWorkerStatistics:
    """To a worker: answered with its WorkerStatistics."""


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """What one worker did since it started, and what it is at."""

    running: dict[str, int]
    claimed: int
    settled: dict[str, int]
    too_late: int
    away: bool
