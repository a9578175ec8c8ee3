"""A reference: the one way to reach an actor, wherever it lives. Refs are values: compare, hash and keep them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.engine.cell import Cell
    from runtime.engine.envelope import Envelope


class Ref(ABC):
    """Reaches one actor, or the entity at one address."""

    __slots__ = ()

    @property
    @abstractmethod
    def path(self) -> str:
        """Where it is in the tree of its node: `kind/id` for an entity."""

    @abstractmethod
    def tell(self, message: object) -> bool:
        """Put a message into the mailbox. Never raises and never waits; False: refused, and a dead letter says why."""

    @abstractmethod
    def wait_tell(self, message: object, timeout_s: float | None = None) -> Awaitable[None]:
        """Put a message into the mailbox, waiting for room if the receiver's mailbox lets its senders wait.

        Raises MailboxFull, ActorStopped, or AskTimeout when there was no room within `timeout_s` seconds.
        """

    @abstractmethod
    def ask(self, message: object, timeout_s: float | None = None) -> Awaitable[Any]:
        """Send a message and await its answer, for at most `timeout_s` seconds (None: the system's default).

        Raises what the receiver refused it with, AskTimeout, MailboxFull, ActorStopped, or HandlerFailed when the
        receiver broke. Cancelling it withdraws a message that is not being handled yet.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ask the actor to stop: ahead of its mailbox, after the message that it is handling."""

    @abstractmethod
    def wait_stopped(self) -> Awaitable[None]:
        """Wait until it has stopped, hooks and children included. Many may wait; one that is gone answers at once."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"


class FarRef(Ref):
    """A ref to what may live on another node. The cluster makes them; the engine only asks them for the way."""

    __slots__ = ()

    @abstractmethod
    def ask(self, message: object, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Send a message; the future holds its answer."""

    @abstractmethod
    def put(self, envelope: Envelope) -> None:
        """Take in a message that comes with its envelope, or fail the ask inside it."""

    @abstractmethod
    def here(self) -> Cell | None:
        """The cell behind it, if that is on this node now."""

    @abstractmethod
    def stand_in(self) -> Cell:
        """A cell of this node that stops when the actor has, wherever it lives: what to watch in its place."""
