"""Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): allowed to the listed origins only.

No credentials are allowed along: the token is a header that a page must hold, never a cookie that a browser adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

ANY: Final = "*"
_METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-ID"
_RESPONSE_HEADERS: Final = "ETag, Location, Retry-After, WWW-Authenticate, X-Request-ID"
_PREFLIGHT_AGE_S: Final = 600


class Cors:
    """The origins whose pages may call the API; `*`: all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._any = ANY in origins
        self._origins = frozenset(origin.rstrip("/") for origin in origins)

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may call."""
        return self._any or origin in self._origins

    def preflight(self, request: web.Request) -> web.Response | None:
        """The answer to a browser that asks before it sends; None for any other request."""
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        response = web.Response(status=204)
        if self.allows(request.headers.get("Origin", "")):
            response.headers["Access-Control-Allow-Methods"] = _METHODS
            response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_AGE_S)
        return response

    def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the page of an allowed origin read the answer."""
        if not self._origins:
            return
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin is not None and self.allows(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS
