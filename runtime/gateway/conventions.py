"""What every request gets, whatever it asks for: an id, a place in the traffic, errors as problems, headers, a log line
and a place in the metrics.

One middleware does it all: each further one would cost every request a coroutine.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import structlog
from aiohttp import web

from protocols.errors import Code, Internal, ParleyError
from runtime.gateway.cors import Cors
from runtime.gateway.problems import from_http, problem
from runtime.gateway.traffic import Traffic
from runtime.logs import within
from runtime.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID: Final = web.RequestKey("request_id", str)
CLIENT_GONE: Final = 499
WEBSOCKET_PATH: Final = "/ws"

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "parley",
}
"""Set where the handler set nothing of its own: an answer of the API is no page, and nobody's to keep."""

log = structlog.get_logger("parley.gateway")
_lines: Final = logging.getLogger("parley.gateway")
"""Asked first whether a line for every request is wanted: to begin one and drop it is not free."""

_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Conventions:
    """The middleware. `always` are paths that are answered whatever the load and while draining."""

    def __init__(
        self, traffic: Traffic, metrics: Metrics, cors: Cors, new_id: Callable[[], str], always: Iterable[str]
    ) -> None:
        self._traffic = traffic
        self._metrics = metrics
        self._cors = cors
        self._new_id = new_id
        self._always = frozenset(always)

    @web.middleware
    async def apply(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request."""
        clock = asyncio.get_running_loop().time
        began = clock()
        request_id = request[REQUEST_ID] = self._request_id(request)
        status = CLIENT_GONE
        with within(request_id=request_id):
            try:
                response = await self._answer(request, handler, request_id)
                status = response.status
            finally:
                self._account(request, status, clock() - began)
        if not response.prepared:
            self._add_headers(request, response, request_id)
        return response

    async def _answer(self, request: web.Request, handler: Handler, request_id: str) -> web.StreamResponse:
        try:
            preflight = self._cors.preflight(request)
            if preflight is not None:
                return preflight
            with self._place(request):
                return await handler(request)
        except web.HTTPException as error:
            return problem(from_http(error, request), request, request_id)
        except ParleyError as error:
            if error.code is Code.INTERNAL:
                log.error("request failed", path=request.path, exc_info=error)
            return problem(error, request, request_id)
        except Exception as error:
            log.error("request failed", path=request.path, exc_info=error)
            return problem(Internal(type(error).__name__), request, request_id)

    def _place(self, request: web.Request) -> AbstractContextManager[None]:
        return nullcontext() if request.path in self._always else self._traffic.one()

    def _request_id(self, request: web.Request) -> str:
        # What a client sends goes into logs and headers: only what cannot forge a line there.
        sent = request.headers.get("X-Request-ID", "")
        return sent if _SANE_ID.fullmatch(sent) else self._new_id()

    def _add_headers(self, request: web.Request, response: web.StreamResponse, request_id: str) -> None:
        headers = response.headers
        headers["X-Request-ID"] = request_id
        for name, value in SECURITY_HEADERS.items():
            headers.setdefault(name, value)
        self._cors.add_headers(request, response)
        if self._traffic.draining:
            response.force_close()

    def _account(self, request: web.Request, status: int, seconds: float) -> None:
        if request.path == WEBSOCKET_PATH:
            return  # an open WebSocket is no slow request: it is counted where it lives
        resource = request.match_info.route.resource
        template = resource.canonical if resource is not None else "none"
        self._metrics.request_answered(request.method, template, status, seconds)
        if _lines.isEnabledFor(logging.DEBUG):
            log.debug("request", method=request.method, route=template, status=status, ms=round(seconds * 1000, 2))
