"""Which function does the tasks of which type, how many at once, and what it gets to know of the task in its hands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from protocols.errors import Code, ParleyError
from protocols.task_message import TaskMessage, TaskType, type_of

P = TypeVar("P")


class Unprocessable(ParleyError):
    """Raised by a handler: this task can never be done, so it goes to the dead letters without a retry."""

    code = Code.FAILED_PRECONDITION


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is: `fraction` from 0 to 1, and a word for people."""

    fraction: float
    note: str = ""


class TaskContext:
    """What a handler may know and say. `deadline` is in the seconds of the worker's clock."""

    __slots__ = ("_say", "_time", "deadline", "message")

    def __init__(
        self, message: TaskMessage, deadline: float, time: Callable[[], float], say: Callable[[Progress], None]
    ) -> None:
        self.message = message
        self.deadline = deadline
        self._time = time
        self._say = say

    @property
    def attempt(self) -> int:
        """Which attempt this is, from 1."""
        return self.message.retry_count + 1

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure now would be final."""
        return self.message.retry_count >= self.message.max_retries

    @property
    def remaining_s(self) -> float:
        """Seconds until the handler is cancelled for taking too long."""
        return self.deadline - self._time()

    def progress(self, fraction: float, note: str = "") -> None:
        """Say how far the task is. Returns at once; of many in a row the last one is sure to be told."""
        self._say(Progress(min(max(fraction, 0.0), 1.0), note))


Run = Callable[[Any, TaskContext], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Handler:
    """`concurrency`: how many tasks of the type a worker runs at once. `timeout_s`: in place of the task's own."""

    kind: TaskType
    run: Run
    concurrency: int
    timeout_s: float | None


class Handlers:
    """The handlers of a worker, by type of task. Complete it before the worker starts."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}

    def add(
        self,
        payload: type[P],
        run: Callable[[P, TaskContext], Awaitable[object]],
        *,
        concurrency: int = 64,
        timeout_s: float | None = None,
    ) -> None:
        """Let `run(payload, context)` do the tasks of a type; what it returns is the result. Once for each type.

        An exception is a failed attempt, and `Unprocessable` the last one. A task may come twice, after a crash or a
        lost lease: running it again must do no harm.
        """
        kind = type_of(payload)
        if kind.name in self._handlers:
            raise ValueError(f"task type {kind.name!r} has a handler already")
        if concurrency < 1:
            raise ValueError("a handler runs at least one task at once: concurrency >= 1")
        self._handlers[kind.name] = Handler(kind, run, concurrency, timeout_s)

    def __getitem__(self, name: str) -> Handler:
        return self._handlers[name]

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())

    def __len__(self) -> int:
        return len(self._handlers)
