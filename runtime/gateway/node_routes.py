"""What the node says of itself: alive, ready, measured, described."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from protocols.http import Given, Nothing, Time
from runtime.gateway import openapi
from runtime.gateway.call import Call
from runtime.gateway.readiness import Readiness, ReadinessReport
from runtime.gateway.route import API, Access, Route
from runtime.gateway.traffic import Traffic
from runtime.gateway.websocket import Sockets
from runtime.metrics import Metrics

ALWAYS_ANSWERED: Final = frozenset({"/livez", "/readyz", "/metrics"})
"""Answered whatever the load and while draining: those who ask are the ones who must know."""


class Alive(Given, frozen=True, kw_only=True):
    """The process runs and its loop turns."""

    status: str = "alive"


class Model(Given, frozen=True, kw_only=True):
    """A model that the node has, or lacks."""

    name: str
    task: str
    version: str
    state: str


class ActorCount(Given, frozen=True, kw_only=True):
    """How many actors of a kind are active."""

    kind: str
    count: int


class Status(Given, frozen=True, kw_only=True):
    """What runs here."""

    name: str
    version: str
    node: str
    started_at: Time
    uptime_s: float
    versions: dict[str, str]
    models: tuple[Model, ...]
    actors: tuple[ActorCount, ...]
    requests: int
    websockets: int


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the node tells about itself. `versions` of what it is built of; `models` is asked each time."""

    node: str
    version: str
    started_at: datetime
    name: str = "Parley"
    versions: Mapping[str, str] = field(default_factory=dict)
    models: Callable[[], Sequence[Model]] = tuple


class NodeRoutes:
    """The handlers. They answer from what the process has at hand, but `/readyz`, which asks the dependencies."""

    def __init__(
        self, facts: NodeFacts, readiness: Readiness, metrics: Metrics, traffic: Traffic, sockets: Sockets
    ) -> None:
        self._facts = facts
        self._readiness = readiness
        self._metrics = metrics
        self._traffic = traffic
        self._sockets = sockets
        self._document = b""

    def routes(self) -> tuple[Route[Any], ...]:
        """What belongs into the table of routes."""
        return (
            _open("/livez", self.livez, Alive, "Whether the process runs"),
            _open("/readyz", self.readyz, ReadinessReport, "Whether the node can do its work", also=(503,)),
            _open(f"{API}/status", self.status, Status, "What runs here"),
        )

    def describe(self, routes: Sequence[Route[Any]]) -> None:
        """Make the OpenAPI document of the finished table."""
        made = openapi.document(routes, title=self._facts.name, version=self._facts.version)
        self._document = msgspec.json.encode(made)

    async def livez(self, call: Call, sent: Nothing) -> Alive:
        """Answers while the event loop turns."""
        return Alive()

    async def readyz(self, call: Call, sent: Nothing) -> web.Response:
        """Each dependency with its state; 503 unless every required one is there, and while the node drains."""
        report = await self._readiness.report()
        status = 200 if report.status == "ready" else 503
        return web.Response(status=status, body=msgspec.json.encode(report), content_type="application/json")

    async def status(self, call: Call, sent: Nothing) -> Status:
        """Versions, models, and how many actors of each kind are active."""
        facts = self._facts
        return Status(
            name=facts.name,
            version=facts.version,
            node=facts.node,
            started_at=facts.started_at,
            uptime_s=round(call.now() - facts.started_at.timestamp(), 3),
            versions=dict(facts.versions),
            models=tuple(facts.models()),
            actors=tuple(ActorCount(kind=kind, count=count) for kind, count in call.system.entities.kinds.items()),
            requests=self._traffic.requests,
            websockets=self._sockets.open,
        )

    async def metrics(self, request: web.Request) -> web.Response:
        """The registry, in the form that the scraper asks for."""
        body, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def document(self, request: web.Request) -> web.Response:
        """The OpenAPI document."""
        return web.Response(body=self._document, content_type="application/json")


def _open(path: str, handler: Any, gives: Any, summary: str, *, also: tuple[int, ...] = ()) -> Route[Any]:
    return Route("GET", path, handler, Nothing, gives, summary, "node", access=Access.ANYONE, also_status=also)
