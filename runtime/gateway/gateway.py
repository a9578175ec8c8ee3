"""The gateway: one web application on every port of the node, from opening them to closing the last connection."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import structlog
from aiohttp import web

from protocols.ice import IceServer
from protocols.tokens import TokenSigner
from runtime.engine import ActorSystem
from runtime.gateway import account_routes, ai_routes, meeting_routes, signaling_routes, transcript_routes
from runtime.gateway.conventions import WEBSOCKET_PATH, Conventions
from runtime.gateway.cors import Cors
from runtime.gateway.endpoint import Endpoints
from runtime.gateway.limits import GatewayLimits
from runtime.gateway.listening import Listener, listen
from runtime.gateway.node_routes import ALWAYS_ANSWERED, NodeFacts, NodeRoutes
from runtime.gateway.page import Page
from runtime.gateway.readiness import Readiness
from runtime.gateway.route import Route
from runtime.gateway.traffic import Traffic
from runtime.gateway.websocket import Sockets
from runtime.metrics import Metrics

log = structlog.get_logger("parley.gateway")

LINGER_S: Final = 2.0
"""How long the rest of a refused body is read, so that the client gets to read the refusal."""


def new_uuid() -> str:
    """32 hexadecimal digits that nobody can guess."""
    return uuid.uuid4().hex


class Gateway:
    """The HTTP and WebSocket edge of a node. Start it once; `drain`, then `stop`.

    `now` gives Unix seconds, `new_id` ids of requests, tasks and sessions.
    """

    def __init__(
        self,
        system: ActorSystem,
        signer: TokenSigner,
        listeners: Sequence[Listener],
        *,
        now: Callable[[], float],
        facts: NodeFacts,
        readiness: Readiness,
        metrics: Metrics,
        limits: GatewayLimits = GatewayLimits(),  # noqa: B008 - frozen
        ice_servers: tuple[IceServer, ...] = (),
        new_id: Callable[[], str] = new_uuid,
    ) -> None:
        self._listeners = tuple(listeners)
        self._readiness = readiness
        self._traffic = Traffic(limits.max_requests)
        self._sockets = Sockets(system, signer, limits, now, new_id, ice_servers)
        node = NodeRoutes(facts, readiness, metrics, self._traffic, self._sockets)
        self.routes: tuple[Route[Any], ...] = (
            *account_routes.ROUTES,
            *meeting_routes.ROUTES,
            *transcript_routes.ROUTES,
            *ai_routes.ROUTES,
            *signaling_routes.ROUTES,
            *node.routes(),
        )
        node.describe(self.routes)
        conventions = Conventions(
            self._traffic, metrics, Cors(limits.cors_origins), new_id, (*ALWAYS_ANSWERED, WEBSOCKET_PATH)
        )
        self._runner = web.AppRunner(
            _application(self.routes, Endpoints(system, signer, limits, now, new_id), conventions, node, self._sockets),
            handle_signals=False,
            access_log=None,
            handler_cancellation=True,
            lingering_time=LINGER_S,
            shutdown_timeout=LINGER_S,
        )
        self._observe(metrics)
        self._addresses: dict[str, tuple[str, int]] = {}

    @property
    def addresses(self) -> Mapping[str, tuple[str, int]]:
        """Host and port of each listener, by its name."""
        return dict(self._addresses)

    async def start(self) -> None:
        """Open every port. Raises PortTaken or ListenFailed, and then none is open."""
        opened = []
        try:
            for listener in self._listeners:
                opened.append(listen(listener))
        except BaseException:
            for each in opened:
                each.close()
            raise
        await self._runner.setup()
        self._sockets.start()
        for listener, each in zip(self._listeners, opened, strict=True):
            await web.SockSite(self._runner, each).start()
            host, port = each.getsockname()[:2]
            self._addresses[listener.name] = (host, port)
            log.info("listening", listener=listener.name, host=host, port=port)

    async def drain(self, timeout_s: float) -> bool:
        """Take no new connections, close the WebSockets with 1001, and let the requests in flight end.

        `/readyz` answers 503 from now on. False: some were not done within `timeout_s` seconds.
        """
        self._readiness.draining = True
        self._traffic.draining = True
        for site in list(self._runner.sites):
            await site.stop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._sockets.close_all()
                await self._traffic.wait_idle()
        except TimeoutError:
            log.warning("not all ended in time", requests=self._traffic.requests, websockets=self._sockets.open)
            return False
        return True

    async def stop(self) -> None:
        """Close every connection that is left. Without a `drain` before, requests in flight are cut."""
        await self._sockets.stop()
        await self._runner.cleanup()

    def _observe(self, metrics: Metrics) -> None:
        sockets, traffic = self._sockets, self._traffic

        def figure(kind: Literal["gauge", "counter"], name: str, text: str, read: Callable[[], int]) -> None:
            metrics.observe(kind, name, text, (), lambda: [((), read())])

        figure("gauge", "parley_http_requests_in_flight", "HTTP requests being answered.", lambda: traffic.requests)
        figure("gauge", "parley_websockets_open", "WebSockets open.", lambda: sockets.open)
        figure("counter", "parley_websocket_frames_in", "Frames that clients sent.", lambda: sockets.frames_in)
        figure("counter", "parley_websocket_frames_out", "Frames written to clients.", lambda: sockets.frames_out)
        metrics.observe(
            "counter",
            "parley_websockets_closed",
            "WebSockets closed, by close code; 0: a code of the client's own.",
            ("code",),
            lambda: [((str(code),), count) for code, count in sockets.closed.items()],
        )


def _application(
    routes: Sequence[Route[Any]], endpoints: Endpoints, conventions: Conventions, node: NodeRoutes, sockets: Sockets
) -> web.Application:
    application = web.Application(middlewares=[conventions.apply])
    router = application.router
    for route in routes:
        methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
        resource = router.add_resource(route.pattern)
        handler = endpoints.of(route)
        for method in methods:
            resource.add_route(method, handler)
    router.add_get("/metrics", node.metrics)
    router.add_get("/openapi.json", node.document)
    router.add_get(WEBSOCKET_PATH, sockets.handle)
    Page().add_to(router)
    return application
