"""Reading a body: its kind, its size and its time are checked while it comes, and the sum of all bodies is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from protocols.errors import ResourceExhausted
from runtime.gateway.failures import BadRequest, BodyTimeout, BodyTooLarge, WrongMediaType


class BodyBudget:
    """Bytes of bodies that may be in memory at one time, over all requests."""

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self.used_bytes = 0

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Hold `size` bytes while the body is in use. Raises ResourceExhausted when they are not to be had."""
        if self.used_bytes + size > self.total_bytes:
            raise ResourceExhausted("too many uploads at once: try again shortly", retry_after_s=1)
        self.used_bytes += size
        try:
            yield
        finally:
            self.used_bytes -= size


def expected_size(request: web.Request, limit: int) -> int:
    """How many bytes to hold for a body: what it declares, or all that it may have. Raises BodyTooLarge."""
    declared = request.content_length
    if declared is None:
        return limit if request.can_read_body else 0
    if declared > limit:
        raise _too_large(limit)
    return declared


def require_json(request: web.Request) -> None:
    """Raises WrongMediaType unless the body says that it is JSON in UTF-8."""
    kind = request.content_type
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise WrongMediaType(f"send the body as application/json, not as {kind}")
    if (charset := request.charset) is not None and charset.lower() not in ("utf-8", "utf8"):
        raise WrongMediaType("JSON travels in UTF-8 only (RFC 8259)")


async def read(request: web.Request, *, limit: int, timeout_s: float) -> bytearray:
    """The whole body, at most `limit` bytes of it, within `timeout_s` seconds.

    Raises BodyTooLarge (a packed body counts unpacked), BodyTimeout, or BadRequest when it is not what its headers say.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.content.iter_any():
                if len(body) + len(chunk) > limit:
                    raise _too_large(limit)
                body += chunk
    except TimeoutError:
        raise BodyTimeout(f"the body did not arrive within {timeout_s:g} s") from None
    except (HttpProcessingError, web.RequestPayloadError) as error:
        raise BadRequest(f"the body is not what its headers say: {type(error).__name__}") from None
    return body


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body may have at most {limit} bytes here")
