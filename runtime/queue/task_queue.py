"""What a task queue does, whatever keeps it: the interface that Redis and SQLite fulfil, and the values it speaks in.

A task that was accepted is done, dead or cancelled in the end, and until then in exactly one place. Every call here is
atomic and may be repeated: a reply that got lost is given again to the same call of the same caller.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from protocols.task_message import Priority


@dataclass(frozen=True, slots=True)
class Entry:
    """A task to be taken in. `due`: not before this time; `delay_s`: not before so many seconds from now."""

    id: str
    priority: Priority
    text: bytes
    delay_s: float = 0.0
    due: datetime | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Intake:
    """A call that takes tasks in. Number and caller make it recognisable when it has to be repeated."""

    caller: str
    number: int
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A task in a worker's hands. `fence` grows with each claim of anything: an old one settles nothing."""

    id: str
    fence: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Completed:
    """The task is done; its result, JSON, can be read for `result_ttl_s` seconds."""

    claim: Claim
    result: bytes = b"null"
    result_ttl_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed: once more after `delay_s` seconds, or, after the last retry, to the dead letters."""

    claim: Claim
    reason: str
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Buried:
    """Trying again is of no use: to the dead letters at once."""

    claim: Claim
    reason: str


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Not done, and no fault of the task: it waits again as the next of its list, and no attempt is counted."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The handler stopped because somebody cancelled the task."""

    claim: Claim


Settlement = Completed | Failed | Buried | GivenBack | Cancelled


@dataclass(frozen=True, slots=True)
class Exchange:
    """A worker's call: what became of its claims, and for how many more it has room, in all and of each type."""

    caller: str
    number: int
    settlements: tuple[Settlement, ...] = ()
    batch: int = 0
    rooms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchanged:
    """`refused`: ids that were settled too late, by a worker whose claim had lapsed. `due_in_s`: when to ask again."""

    claims: tuple[Claim, ...]
    refused: tuple[str, ...]
    due_in_s: float | None


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim that is to be kept for `visibility_s` seconds more."""

    id: str
    fence: int
    visibility_s: float


@dataclass(frozen=True, slots=True)
class Renewal:
    """`lost`: claims that are another's by now. `cancelled`: claims that somebody wants stopped."""

    lost: tuple[str, ...]
    cancelled: tuple[str, ...]


class Renewer(ABC):
    """Keeps leases from a thread of its own: nothing here touches an event loop."""

    @abstractmethod
    def renew(self, leases: Sequence[Lease]) -> Renewal:
        """Keep them. Raises Unavailable."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds open."""


class State(StrEnum):
    """Where a task is."""

    WAITING = "waiting"
    DELAYED = "delayed"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """What is known of a task. `progress` and `result` are JSON; `reason` says why it is dead."""

    id: str
    state: State
    progress: bytes | None = None
    result: bytes | None = None
    reason: str | None = None


class Cancellation(StrEnum):
    """What a cancellation came to: the task will not run, or its worker is being told."""

    CANCELLED = "cancelled"
    CANCELLING = "cancelling"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that was given up. `text` is its message, or, where it was none, whatever lay in the list."""

    id: str
    died_at: datetime
    reason: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Moved:
    """How many dead letters were replayed or dropped, and the ids of those that could not be."""

    count: int
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Depths:
    """How many tasks are where. `unread`: texts of others that nobody has looked at yet.

    `by_type` has those of the waiting that no worker had room for when their turn came; `counts`, what happened so far.
    """

    waiting: Mapping[Priority, int]
    delayed: int
    processing: int
    dead: int
    unread: int
    by_type: Mapping[str, int]
    counts: Mapping[str, int]


class TaskQueue(ABC):
    """A queue of tasks. Whatever it needs may be away: then every method raises Unavailable."""

    @abstractmethod
    async def take_in(self, intake: Intake) -> tuple[str | None, ...]:
        """Take tasks in. For each the id under which it is known: its own, that of the task which has its key, or None.

        None: its list is full.
        """

    @abstractmethod
    async def exchange(self, exchange: Exchange) -> Exchanged:
        """Settle claims, put back what is due or whose worker died, and claim more, in one step."""

    @abstractmethod
    def renewer(self) -> Renewer:
        """A new keeper of leases, for a thread."""

    @abstractmethod
    async def note_progress(self, progress: Sequence[tuple[Claim, bytes]]) -> None:
        """Note how far claimed tasks are, as JSON."""

    @abstractmethod
    async def cancel(self, task_id: str) -> Cancellation:
        """Cancel a task. Raises NotFound for one that is over or was never there."""

    @abstractmethod
    async def status(self, task_id: str) -> TaskStatus:
        """What is known of a task. Raises NotFound."""

    @abstractmethod
    async def depths(self) -> Depths:
        """How many tasks are where."""

    @abstractmethod
    async def dead_letters(self, *, offset: int = 0, limit: int = 100) -> tuple[DeadLetter, ...]:
        """Dead letters, the newest first."""

    @abstractmethod
    async def dead_letter(self, task_id: str) -> DeadLetter:
        """One dead letter. Raises NotFound."""

    @abstractmethod
    async def replay(self, task_id: str | None = None) -> Moved:
        """Let a dead task, or all of them, wait again with no retry counted. Raises NotFound."""

    @abstractmethod
    async def drop(self, task_id: str | None = None) -> Moved:
        """Throw a dead letter, or all of them, away. Raises NotFound."""

    @abstractmethod
    async def listen(self, woken: Callable[[], None], cancelled: Callable[[str], None]) -> None:
        """Call back when there may be something to claim, and when a running task is cancelled; until cancelled."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of what it holds open."""
