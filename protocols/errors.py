"""The one table of failures: every error of the system carries a `Code`, and every edge maps that code here.

The codes are those of gRPC (https://grpc.github.io/grpc/core/md_doc_statuscodes.html); the HTTP statuses beside them
follow RFC 9110 and the mapping that gRPC's own HTTP gateways use, but for FAILED_PRECONDITION: a state that does not
allow it is a conflict (409) to an HTTP client, not a malformed request. The WebSocket close codes follow RFC 6455.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """Why a request was not done. The value is the name that every wire shows."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class WireCode:
    """One row of the table: how a code looks on each wire, and whether the same request may succeed later."""

    http: int
    grpc: int
    websocket: int
    retryable: bool
    title: str


WIRE: Final[dict[Code, WireCode]] = {
    Code.INVALID_ARGUMENT: WireCode(400, 3, 1008, False, "The request is malformed"),
    Code.UNAUTHENTICATED: WireCode(401, 16, 4401, False, "Who you are is not known"),
    Code.PERMISSION_DENIED: WireCode(403, 7, 4403, False, "You may not do this"),
    Code.NOT_FOUND: WireCode(404, 5, 4404, False, "There is no such thing"),
    Code.ALREADY_EXISTS: WireCode(409, 6, 4409, False, "It exists already"),
    Code.FAILED_PRECONDITION: WireCode(409, 9, 4409, False, "The state does not allow it"),
    Code.ABORTED: WireCode(409, 10, 4409, True, "A concurrent change came first"),
    Code.OUT_OF_RANGE: WireCode(400, 11, 1008, False, "A value is out of range"),
    Code.RESOURCE_EXHAUSTED: WireCode(429, 8, 1013, True, "Too much at once"),
    Code.CANCELLED: WireCode(499, 1, 1000, False, "The caller gave up"),
    Code.DEADLINE_EXCEEDED: WireCode(504, 4, 1013, True, "It took too long"),
    Code.UNIMPLEMENTED: WireCode(501, 12, 1008, False, "This node cannot do it"),
    Code.UNAVAILABLE: WireCode(503, 14, 1013, True, "Not available now"),
    Code.INTERNAL: WireCode(500, 13, 1011, False, "Something broke on our side"),
}


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field that is wrong: where it is (`password`, `items[2].name`) and what to do about it."""

    field: str
    detail: str


class ParleyError(Exception):
    """Root of every error that an edge may show. `detail` says what is wrong and what to do, and holds no secret.

    `retry_after_s` (seconds) is set where the system knows when to come back; `faults` names single fields.
    """

    code: Code = Code.INTERNAL

    def __init__(self, detail: str, *, retry_after_s: float | None = None, faults: Sequence[FieldFault] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.faults = tuple(faults)

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later without a change."""
        return WIRE[self.code].retryable


class InvalidArgument(ParleyError):
    """The request is wrong in itself; `faults` names the fields."""

    code = Code.INVALID_ARGUMENT


class Unauthenticated(ParleyError):
    """No identity, or one that does not hold."""

    code = Code.UNAUTHENTICATED


class PermissionDenied(ParleyError):
    """A known identity that lacks the right."""

    code = Code.PERMISSION_DENIED


class NotFound(ParleyError):
    """The thing asked for does not exist, or the asker may not know that it does."""

    code = Code.NOT_FOUND


class AlreadyExists(ParleyError):
    """A unique thing is there already."""

    code = Code.ALREADY_EXISTS


class FailedPrecondition(ParleyError):
    """The thing is there, in a state that does not allow the request (join an ended meeting)."""

    code = Code.FAILED_PRECONDITION


class Aborted(ParleyError):
    """A concurrent change came first: read again and repeat."""

    code = Code.ABORTED


class OutOfRange(ParleyError):
    """A position past the end, where the request as such is well formed (a cursor, a byte range)."""

    code = Code.OUT_OF_RANGE


class Cancelled(ParleyError):
    """The caller gave up first."""

    code = Code.CANCELLED


class ResourceExhausted(ParleyError):
    """A limit was met: a queue, a rate, a size, a capacity."""

    code = Code.RESOURCE_EXHAUSTED


class DeadlineExceeded(ParleyError):
    """The deadline passed first; whether the work was done is not known."""

    code = Code.DEADLINE_EXCEEDED


class Unimplemented(ParleyError):
    """This node cannot do it as it is set up; `detail` says what would make it able to."""

    code = Code.UNIMPLEMENTED


class Unavailable(ParleyError):
    """What the request needs is away for now."""

    code = Code.UNAVAILABLE


class Internal(ParleyError):
    """A defect on our side. The details are in the log, under the request's id."""

    code = Code.INTERNAL


ERRORS: Final[dict[Code, type[ParleyError]]] = {
    kind.code: kind
    for kind in (
        InvalidArgument,
        Unauthenticated,
        PermissionDenied,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        Aborted,
        OutOfRange,
        Cancelled,
        ResourceExhausted,
        DeadlineExceeded,
        Unimplemented,
        Unavailable,
        Internal,
    )
}
"""The error class of each code that a peer may send us, so that a failure crosses a wire and stays itself."""


def from_code(code: str, detail: str, *, retry_after_s: float | None = None) -> ParleyError:
    """The error that a wire's (code, detail) pair stands for; an unknown code becomes `Internal`."""
    known = code in Code.__members__
    kind = ERRORS.get(Code(code), Internal) if known else Internal
    return kind(detail, retry_after_s=retry_after_s)
