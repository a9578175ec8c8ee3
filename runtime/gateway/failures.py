"""Failures that only the HTTP edge knows: each carries its own status, beside the code that every wire shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from protocols.errors import Code, FieldFault, ParleyError


class HttpFailure(ParleyError):
    """Root of them. `headers` go out with the answer."""

    status = 400
    title = "The request is malformed"

    def __init__(
        self, detail: str, *, faults: Sequence[FieldFault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail, faults=faults)
        self.headers = dict(headers or {})


class BadRequest(HttpFailure):
    """Not the HTTP, or not the JSON, that it should be."""

    code = Code.INVALID_ARGUMENT


class NoSuchRoute(HttpFailure):
    """Nothing is at this path."""

    code = Code.NOT_FOUND
    status = 404
    title = "There is no such path"


class WrongMethod(HttpFailure):
    """The path is there, and not for this method."""

    code = Code.UNIMPLEMENTED
    status = 405
    title = "Not with this method"


class NotAcceptable(HttpFailure):
    """No form in which the client takes the answer."""

    code = Code.INVALID_ARGUMENT
    status = 406
    title = "Not in any of these forms"


class BodyTimeout(HttpFailure):
    """The body did not arrive in time."""

    code = Code.DEADLINE_EXCEEDED
    status = 408
    title = "The body came too slowly"


class BodyTooLarge(HttpFailure):
    """The body is larger than the route takes."""

    code = Code.OUT_OF_RANGE
    status = 413
    title = "The body is too large"


class WrongMediaType(HttpFailure):
    """The body is of a kind that the route does not read."""

    code = Code.INVALID_ARGUMENT
    status = 415
    title = "Not this kind of body"


class UpgradeRequired(HttpFailure):
    """The path speaks WebSocket only."""

    code = Code.INVALID_ARGUMENT
    status = 426
    title = "This path speaks WebSocket"


class HttpRefused(HttpFailure):
    """Any further failure that the HTTP library found, with its own status."""

    code = Code.INVALID_ARGUMENT

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
