"""Dead letters: every message that will not be handled, counted by reason and kept for a look."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

log: Final = structlog.get_logger("parley.dead_letters")


class Reason(StrEnum):
    """Why a message was not handled."""

    MAILBOX_FULL = "mailbox_full"
    DROPPED_OLDEST = "dropped_oldest"
    STOPPED = "stopped"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNHANDLED = "unhandled"
    REFUSED = "refused"
    FAILED = "failed"
    NO_SUCH_ACTOR = "no_such_actor"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that was not handled. `sender` is the actor that was turned away with it, where known."""

    message: object
    target: str
    reason: Reason
    sender: str = ""
    detail: str = ""


ORDINARY: Final = frozenset({Reason.STOPPED, Reason.EXPIRED, Reason.CANCELLED})
"""What happens every day when somebody leaves: worth a line, and nobody's sleep."""

Listener = Callable[[DeadLetter], None]


class DeadLetters:
    """Counts dead letters, keeps the latest and tells listeners. Logs the message's type, never its content.

    The first of every (reason, message type) is logged, then each power of ten: a flood fills no disk.
    """

    def __init__(self, keep: int = 100) -> None:
        self._latest: deque[DeadLetter] = deque(maxlen=keep)
        self._counts: Counter[Reason] = Counter()
        self._seen: Counter[tuple[Reason, type]] = Counter()
        self._listeners: list[Listener] = []

    def publish(self, letter: DeadLetter) -> None:
        """Take one in."""
        self._counts[letter.reason] += 1
        self._latest.append(letter)
        self._report(letter)
        for listener in tuple(self._listeners):
            try:
                listener(letter)
            except Exception as error:
                log.error("a listener to dead letters broke", exc_info=error)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every dead letter from now on, on the loop, at once. Returns the way to end it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def latest(self) -> tuple[DeadLetter, ...]:
        """The last ones, oldest first."""
        return tuple(self._latest)

    @property
    def counts(self) -> dict[Reason, int]:
        """How many there were, by reason."""
        return dict(self._counts)

    @property
    def total(self) -> int:
        """How many there were."""
        return self._counts.total()

    def _report(self, letter: DeadLetter) -> None:
        key = (letter.reason, type(letter.message))
        self._seen[key] += 1
        count = self._seen[key]
        if count == 10 ** (len(str(count)) - 1):
            level = logging.INFO if letter.reason in ORDINARY else logging.WARNING
            log.log(
                level,
                "dead letter",
                message=type(letter.message).__qualname__,
                target=letter.target,
                reason=letter.reason.value,
                sender=letter.sender or None,
                detail=letter.detail or None,
                count=count,
            )
