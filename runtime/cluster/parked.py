"""What is on its way to an entity: a message of this node in its envelope, or a frame that came from another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from protocols.cluster import Ask, Placed, Tell, Want, Watch
from runtime.engine.envelope import Envelope


class Wish(Envelope):
    """A message of this node whose sender waits for something else than an answer."""

    __slots__ = ("want",)

    def __init__(self, message: object, reply: asyncio.Future[Any], deadline: float, want: Want) -> None:
        super().__init__(message, reply, deadline)
        self.want = want


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame from elsewhere. `origin` sent it first; `deadline` is that of an `Ask`, on this node's clock."""

    frame: Placed
    origin: str
    deadline: float = 0.0


Parked = Envelope | Arrived


def is_of_use(parked: Parked) -> bool:
    """Whether somebody still waits for it, or nobody ever did."""
    return not isinstance(parked, Envelope) or parked.reply is None or not parked.reply.done()


def wakes(parked: Parked) -> bool:
    """Whether it is reason enough to start the entity."""
    if isinstance(parked, Envelope):
        return is_of_use(parked) and want_of(parked) is not Want.STOPPED
    frame = parked.frame
    return isinstance(frame, Tell | Watch) or (isinstance(frame, Ask) and frame.want is not Want.STOPPED)


def want_of(envelope: Envelope) -> Want:
    """What its sender waits for."""
    return envelope.want if isinstance(envelope, Wish) else Want.ANSWER
