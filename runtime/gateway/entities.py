"""Reaching entities from the edge: a kind that this node lacks is named, and an answer has the type it must have."""

from __future__ import annotations

from typing import TypeVar

from protocols.errors import DeadlineExceeded, Unimplemented
from runtime.engine import ActorSystem, NoSuchActor, Ref

T = TypeVar("T")


def entity(system: ActorSystem, kind: str, entity_id: str) -> Ref:
    """The entity at `kind/entity_id`. Raises Unimplemented when this node runs no such kind."""
    try:
        return system.entity(kind, entity_id)
    except NoSuchActor:
        raise Unimplemented(f"this node runs no {kind} actors, which this request needs") from None


async def ask_entity(
    system: ActorSystem, expected: type[T], kind: str, entity_id: str, message: object, *, timeout_s: float
) -> T:
    """Ask an entity. Raises what it refuses with, AskTimeout, and TypeError for an answer of another type."""
    if timeout_s <= 0:
        raise DeadlineExceeded("the time for this request is used up")
    found = await entity(system, kind, entity_id).ask(message, timeout_s)
    if not isinstance(found, expected):
        raise TypeError(
            f"{kind} answered {type(message).__name__} with {type(found).__name__}, not with {expected.__name__}"
        )
    return found
