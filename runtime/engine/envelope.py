"""What surrounds a message in a mailbox when it has more to carry than itself. A plain `tell` travels bare."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Envelope:
    """A message with who waits for its answer, until when it is of use, and a condition under which it still counts.

    `deadline` is in the clock's seconds, 0.0 for none. `still_counts` is asked just before the message would be
    handled (a timer that was cancelled meanwhile, a watch that was given up).
    """

    __slots__ = ("deadline", "message", "reply", "still_counts")

    def __init__(
        self,
        message: object,
        reply: asyncio.Future[Any] | None = None,
        deadline: float = 0.0,
        still_counts: Callable[[], bool] | None = None,
    ) -> None:
        self.message = message
        self.reply = reply
        self.deadline = deadline
        self.still_counts = still_counts


def message_of(item: object) -> object:
    """The message itself, in an envelope or bare."""
    return item.message if type(item) is Envelope else item


class Reply:
    """The right to answer a message later, once. Held by the actor that called `defer()`."""

    __slots__ = ("_future", "deadline")

    def __init__(self, future: asyncio.Future[Any] | None, deadline: float) -> None:
        self._future = future
        self.deadline = deadline

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits: not after an answer, a timeout, or when the message was told, not asked."""
        return self._future is not None and not self._future.done()

    def send(self, value: object) -> None:
        """Answer. When nobody waits any more this does nothing."""
        if self._future is not None and not self._future.done():
            self._future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Answer with an error, which the asker's `ask` raises."""
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)

    def on_unwanted(self, callback: Callable[[], None]) -> None:
        """Call back once when the asker gives up or is answered, so that work for nobody can be dropped."""
        if self._future is not None:
            self._future.add_done_callback(lambda _: callback())
