"""The interfaces behind which every database lives; their docstrings are the contract that each one is tested against.

For all of them: a call that returned has been stored for good; a call that raised, or was cancelled before it was
committed, left nothing behind. A lookup of one thing raises NotFound. A page has at most `limit` items (1 to 500); the
empty cursor gets the first. Raised by every call: InvalidArgument for what is out of bounds, ResourceExhausted when too
many callers wait already, Unavailable when the database is away or closed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from models.paging import Page
from models.records import (
    Analysis,
    Credential,
    LoginRecord,
    Meeting,
    NewMeeting,
    NewUser,
    Participant,
    RefreshSession,
    TranscriptSegment,
    User,
)

Clock = Callable[[], datetime]
"""The time now, in UTC."""


class UserStore(Protocol):
    """Users and their credentials. Usernames and e-mail addresses are unique in the form of `records.folded`."""

    async def create(self, new: NewUser) -> User:
        """Store a user, offline and in version 1, with a credential. Raises AlreadyExists, whose faults name fields."""
        ...

    async def by_id(self, user_id: int) -> User:
        """The user with that id."""
        ...

    async def by_ids(self, user_ids: Sequence[int]) -> tuple[User, ...]:
        """Those of at most 1000 users who exist, each once, in the order of their ids."""
        ...

    async def by_username(self, username: str) -> User:
        """The user of that name, however it is written."""
        ...

    async def by_email(self, email: str) -> User:
        """The user with that address, however it is written."""
        ...

    async def credential(self, username: str) -> Credential:
        """What to check the password of that user against."""
        ...

    async def set_credential(self, credential: Credential) -> None:
        """Replace a user's password hash."""
        ...

    async def update(self, user: User) -> User:
        """Store the changed fields of a user and return it in its next version; `id` and `created_at` never change.

        Raises Aborted when the stored version is not `user.version`, AlreadyExists when a new name or address is taken.
        """
        ...


class RotationOutcome(StrEnum):
    """What became of a refresh token that was presented."""

    ROTATED = "rotated"
    REUSED = "reused"
    REVOKED = "revoked"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rotation:
    """`session` is the successor when ROTATED, else the one presented; None only when UNKNOWN."""

    outcome: RotationOutcome
    session: RefreshSession | None


class SessionStore(Protocol):
    """Refresh tokens by their SHA-256, in families: a token is traded once for its successor."""

    async def create(self, session: RefreshSession) -> None:
        """Store the first token of a family. Raises NotFound without its user, AlreadyExists for a known token."""
        ...

    async def rotate(self, token_hash: bytes, successor_hash: bytes, expires_at: datetime) -> Rotation:
        """Trade a token for its successor, in one step: of two that present the same token, one is given the successor.

        A token presented again means that two hold it, one of whom stole it: the whole family is revoked, and the
        outcome is REUSED. A token of a revoked family is REVOKED, one past its time EXPIRED. None of these is raised.
        """
        ...

    async def revoke(self, token_hash: bytes) -> bool:
        """End the family of a token (log out). False when it was unknown or had ended."""
        ...

    async def revoke_user(self, user_id: int) -> int:
        """End every family of a user; returns how many were alive."""
        ...


class LoginStore(Protocol):
    """The login log."""

    async def append(self, record: LoginRecord) -> bool:
        """Write a line. False when it was there already: the same user, moment and address are the same login."""
        ...

    async def list_for_user(self, user_id: int, *, cursor: str = "", limit: int = 50) -> Page[LoginRecord]:
        """A user's logins, newest first."""
        ...


class MeetingStore(Protocol):
    """Meetings and who is in them.

    `fence` is the fencing token of the writer's lease on the meeting. It only grows; a write under an older one than
    the meeting has seen raises FailedPrecondition, since its writer has lost the lease. None writes without a lease.
    """

    async def create(self, new: NewMeeting) -> Meeting:
        """Store a scheduled meeting in version 1."""
        ...

    async def get(self, meeting_id: int) -> Meeting:
        """The meeting with that id."""
        ...

    async def update(self, meeting: Meeting, *, fence: int | None = None) -> Meeting:
        """Store the changed fields and return the next version; `id`, `creator_id` and `created_at` never change.

        Raises Aborted when the stored version is not `meeting.version`.
        """
        ...

    async def list_for_user(self, user_id: int, *, cursor: str = "", limit: int = 50) -> Page[Meeting]:
        """The meetings that a user made or has taken part in, newest first."""
        ...

    async def list_active(self, *, cursor: str = "", limit: int = 50) -> Page[Meeting]:
        """The meetings that are going on, newest first."""
        ...

    async def join(self, participant: Participant, *, fence: int | None = None) -> Participant:
        """Put a user into a meeting. One who was there before keeps the first `joined_at`, and is present again."""
        ...

    async def leave(self, meeting_id: int, user_id: int, left_at: datetime, *, fence: int | None = None) -> Participant:
        """Note that a participant left. One who has left already stays as they are.

        A `left_at` before `joined_at` (two clocks that differ) counts as `joined_at`.
        """
        ...

    async def participant(self, meeting_id: int, user_id: int) -> Participant:
        """A user's part in a meeting, also after they left."""
        ...

    async def participants(self, meeting_id: int, *, present: bool = False) -> tuple[Participant, ...]:
        """Everyone who took part, or who is `present`, in the order in which they first joined."""
        ...


class TranscriptStore(Protocol):
    """What was said in meetings."""

    async def append(self, segments: Sequence[TranscriptSegment]) -> int:
        """Store all or none; one whose (task_id, index) is there already stays as it is. Returns how many were new."""
        ...

    async def list_for_meeting(self, meeting_id: int, *, cursor: str = "", limit: int = 500) -> Page[TranscriptSegment]:
        """A meeting's segments by `start_at`, then `task_id` and `index`."""
        ...


class AnalysisStore(Protocol):
    """Results of AI tasks."""

    async def save(self, analysis: Analysis) -> bool:
        """Store a result. False when (task_id, result_type) is there already; the first stays."""
        ...

    async def list_for_meeting(self, meeting_id: int, *, cursor: str = "", limit: int = 100) -> Page[Analysis]:
        """A meeting's results by `created_at`, then `task_id` and `result_type`."""
        ...

    async def by_task(self, task_id: str) -> tuple[Analysis, ...]:
        """The results of one task by `result_type`; empty when there are none."""
        ...


@dataclass(frozen=True, slots=True)
class BackendStatistics:
    """How busy a database is: calls that work and wait now; calls refused and transactions ended since the start."""

    backend: str
    connections: int
    working: int
    waiting: int
    refused: int
    committed: int
    rolled_back: int


class Backend(Protocol):
    """A database behind one or more of the stores."""

    async def ping(self) -> None:
        """Return when the database answers. Raises Unavailable."""
        ...

    async def close(self) -> None:
        """Finish what is under way, refuse the rest with Unavailable, and let go. May be called again."""
        ...

    def statistics(self) -> BackendStatistics:
        """The figures now."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """Every store of a node, and the databases behind them."""

    users: UserStore
    sessions: SessionStore
    logins: LoginStore
    meetings: MeetingStore
    transcripts: TranscriptStore
    analyses: AnalysisStore
    backends: tuple[Backend, ...]

    async def close(self) -> None:
        """Close every database, the last first, each even when another fails to."""
        async with AsyncExitStack() as closing:
            for backend in self.backends:
                closing.push_async_callback(backend.close)
