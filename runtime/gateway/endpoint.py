"""From a route to a request handler: identity, then body or query, then the route's handler, then its answer as JSON.

JSON is written by msgspec: the schemas are its structs already, and what encodes them validates and documents them too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from protocols.http import Sent
from protocols.tokens import Identity, TokenSigner
from runtime.engine import ActorSystem
from runtime.gateway import body
from runtime.gateway.call import Answer, Call
from runtime.gateway.identity import Bearers
from runtime.gateway.limits import GatewayLimits
from runtime.gateway.route import Access, Route
from runtime.gateway.validation import from_json, from_query

S = TypeVar("S", bound=Sent)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_encode: Final = msgspec.json.Encoder().encode


class Endpoints:
    """Makes the request handlers of a gateway."""

    def __init__(
        self,
        system: ActorSystem,
        signer: TokenSigner,
        limits: GatewayLimits,
        now: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._system = system
        self._bearers = Bearers(signer)
        self._limits = limits
        self._now = now
        self._new_id = new_id
        self._budget = body.BodyBudget(limits.max_buffered_bytes)

    def of(self, route: Route[Any]) -> Handler:
        """The request handler of a route."""

        async def handle(request: web.Request) -> web.StreamResponse:
            call = self._call(route, request)
            if not route.has_body:
                return answer(route, await route.handler(call, from_query(request.query, route.takes)))
            limit = self._body_limit(route)
            with self._budget.held(body.expected_size(request, limit)):
                return answer(route, await route.handler(call, await self._sent(route, request, limit)))

        return handle

    def _call(self, route: Route[Any], request: web.Request) -> Call:
        limits = self._limits
        allowed_s = limits.recognition_timeout_s if route.slow else limits.request_timeout_s
        return Call(
            request=request,
            system=self._system,
            limits=limits,
            now=self._now,
            new_id=self._new_id,
            deadline=asyncio.get_running_loop().time() + allowed_s,
            identity=self._identity(route, request),
        )

    def _identity(self, route: Route[Any], request: web.Request) -> Identity | None:
        if route.access is Access.ANYONE:
            return None
        return self._bearers.identity(request, now=self._now())

    def _body_limit(self, route: Route[Any]) -> int:
        return self._limits.max_body_bytes if route.upload else self._limits.max_fields_bytes

    async def _sent(self, route: Route[S], request: web.Request, limit: int) -> S:
        raw = await body.read(request, limit=limit, timeout_s=self._limits.body_timeout_s)
        if not raw:
            return from_json(b"{}", route.takes)
        body.require_json(request)
        # On the loop: with the base64 it takes 1 ms a MiB, and it holds the interpreter's lock: a thread gains nothing.
        return from_json(raw, route.takes)


def answer(route: Route[Any], found: object) -> web.StreamResponse:
    """The response for what a route's handler found: in the route's schema, whatever attributes it has beyond that."""
    if isinstance(found, web.StreamResponse):
        return found
    value, headers = (found.value, found.headers) if isinstance(found, Answer) else (found, {})
    if route.gives is None:
        return web.Response(status=204, headers=headers)
    shown = msgspec.convert(value, route.gives, from_attributes=True)
    return web.Response(status=route.status, body=_encode(shown), headers=headers, content_type="application/json")
