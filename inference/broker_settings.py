"""What goes into the broker and comes out of it: settings, requests, results and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.jobs import Limits
from inference.repository.catalog import DEFAULT_MODELS
from inference.worker_process import RestartPolicy
from protocols.inference import ModelState, NoParams, Params, Payload, ResultValue


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How inference runs on this node.

    `workers` processes with `threads` onnxruntime threads each; more workers of one thread beat fewer with more.
    `broken_after`: starts in a row that must fail, in every slot, before requests are refused at once.
    `command`: the start of the worker's command line, where it is not the project's own worker.
    """

    models_dir: Path
    models: tuple[str, ...] = DEFAULT_MODELS
    workers: int = 1
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    restarts: RestartPolicy = field(default_factory=RestartPolicy)
    broken_after: int = 3
    drain_timeout_s: float = 5.0
    max_audio_s: float = 600.0
    max_audio_bytes: int = 64 * 1024 * 1024
    log_level: str = "INFO"
    log_format: str = "console"
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """One item of work. `model` may be empty: the default of the task. `timeout_s` counts from `submit`."""

    task: str
    payload: Sequence[Payload]
    params: Params = field(default_factory=NoParams)
    model: str = ""
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class InferenceResult:
    """The answer. `queue_ms` is the wait from submit to the start of the work, `compute_ms` the work in the worker."""

    value: ResultValue
    queue_ms: float
    compute_ms: float


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """One worker's place: its present process and the story of those before. `state`: starting, ready or down."""

    slot: int
    pid: int
    state: str
    in_flight: int
    starts: int
    ready_ms: float
    last_error: str
    models: tuple[ModelState, ...]


@dataclass(frozen=True, slots=True)
class BrokerStatistics:
    """The broker at one moment. Counters run from its start; `broken` is why requests are refused at once, or empty."""

    queued: int
    in_flight: int
    admitted: int
    answered: int
    failed: int
    refused: int
    expired: int
    cancelled: int
    retried: int
    poisoned: int
    stuck: int
    malformed: int
    worker_deaths: int
    broken: str
    tasks: tuple[str, ...]
    workers: tuple[WorkerStatistics, ...]
