"""What the cluster itself answers, and how errors cross from node to node."""

from __future__ import annotations

from typing import Final

from protocols.cluster import Failure
from protocols.errors import Code, FieldFault, ParleyError, from_code
from runtime.engine import (
    ActorStopped,
    AskTimeout,
    EngineError,
    HandlerFailed,
    MailboxFull,
    NoSuchActor,
    StashFull,
    Unhandled,
)


class NodeAway(EngineError):
    """The node that has, or is to have, the actor is away, or nothing reaches it now."""

    code = Code.UNAVAILABLE


class NotSendable(EngineError):
    """The message, or the answer, is of a kind that cannot leave its node: it is no registered message."""

    code = Code.INVALID_ARGUMENT


_KINDS: Final[dict[str, type[EngineError]]] = {
    kind.__name__: kind
    for kind in (
        ActorStopped,
        AskTimeout,
        HandlerFailed,
        MailboxFull,
        NoSuchActor,
        NodeAway,
        NotSendable,
        StashFull,
        Unhandled,
    )
}
"""The engine's own errors stay themselves: who asks catches the same, wherever the actor lives."""


def to_failure(ask_id: int, error: BaseException) -> Failure:
    """How an error travels. What is no ParleyError stays at home, but for its type."""
    if not isinstance(error, ParleyError):
        return Failure(ask_id, Code.INTERNAL.value, f"the answer failed: {type(error).__name__}")
    kind = type(error).__name__ if type(error) in _KINDS.values() else ""
    faults = tuple((fault.field, fault.detail) for fault in error.faults)
    return Failure(ask_id, error.code.value, error.detail, error.retry_after_s, kind, faults)


def from_failure(failure: Failure) -> ParleyError:
    """The error that travelled."""
    kind = _KINDS.get(failure.kind)
    if kind is not None:
        return kind(failure.detail, retry_after_s=failure.retry_after_s)
    error = from_code(failure.code, failure.detail, retry_after_s=failure.retry_after_s)
    error.faults = tuple(FieldFault(field, detail) for field, detail in failure.faults)
    return error
