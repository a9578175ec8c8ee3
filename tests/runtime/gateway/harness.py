"""A gateway on free ports, with stand-in actors behind it that record what they are told and answer from a table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import aiohttp
import msgspec

from protocols.accounts import UserView
from protocols.ice import IceServer
from protocols.meetings import MeetingSettings, MeetingView
from protocols.tokens import Identity, TokenSigner, TokenUse
from runtime.engine import Actor, ActorSystem, Options, Ref
from runtime.gateway import Gateway, GatewayLimits, Listener, Model, NodeFacts, Readiness
from runtime.metrics import Metrics

KINDS: Final = ("account", "user", "planner", "meeting", "analysis", "peer", "room")
SIGNER: Final = TokenSigner(b"a secret of at least thirty-two bytes")
WHEN: Final = datetime(2026, 5, 4, 10, 30, tzinfo=UTC)
WAIT_S: Final = 10.0


def user_view(user_id: int = 7, username: str = "ada") -> UserView:
    return UserView(user_id, username, f"{username}@example.org", "Ada L.", "offline", "user", WHEN)


def meeting_view(meeting_id: int = 5, *, version: int = 3) -> MeetingView:
    return MeetingView(
        id=meeting_id,
        room_id=f"room_{meeting_id}",
        title="Weekly",
        description="",
        creator_id=7,
        status="scheduled",
        meeting_type="video",
        start_time=WHEN,
        end_time=None,
        actual_start_time=None,
        actual_end_time=None,
        max_participants=100,
        has_password=False,
        settings=MeetingSettings(),
        created_at=WHEN,
        version=version,
    )


@dataclass(slots=True)
class Behind:
    """What is behind the gateway. `answers` by message type: a value, an exception to raise, or a function of the actor
    and the message."""

    answers: dict[type, Any] = field(default_factory=dict)
    told: list[tuple[str, str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def messages(self, kind: type) -> list[Any]:
        return [message for _, _, message in self.told if type(message) is kind]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was told fulfils a condition."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self.news.clear()
                await self.news.wait()


class StandIn(Actor):
    def __init__(self, behind: Behind, kind: str, entity_id: str) -> None:
        self.behind, self.kind, self.entity_id = behind, kind, entity_id

    def receive(self, message: Any) -> Any:
        self.behind.told.append((self.kind, self.entity_id, message))
        self.behind.news.set()
        answer = self.behind.answers.get(type(message))
        if isinstance(answer, Exception):
            raise answer
        return answer(self, message) if callable(answer) else answer


@dataclass(slots=True)
class Edge:
    gateway: Gateway
    system: ActorSystem
    behind: Behind
    http: aiohttp.ClientSession
    readiness: Readiness
    metrics: Metrics

    @property
    def port(self) -> int:
        return self.gateway.addresses["http"][1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.gateway.addresses['signaling'][1]}/ws"

    async def send(
        self, method: str, path: str, *, token: str | None = "", json: Any = None, **options: Any
    ) -> Answered:
        """One request; `token` empty: a good one, None: without."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token or access_token()}")
        if json is not None:
            options["data"] = msgspec.json.encode(json)
            headers.setdefault("Content-Type", "application/json")
        async with self.http.request(method, self.url + path, headers=headers, **options) as response:
            return Answered(response.status, response.headers, await response.read())


@dataclass(frozen=True, slots=True)
class Answered:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def access_token(user_id: int = 7, username: str = "ada", *, now: float | None = None, ttl_s: int = 600) -> str:
    identity = Identity(user_id, username, TokenUse.ACCESS)
    return SIGNER.sign(identity, now=time.time() if now is None else now, ttl_s=ttl_s)


def join_token(user_id: int = 8, username: str = "bob", room_id: str = "room_5") -> str:
    return SIGNER.sign(Identity(user_id, username, TokenUse.JOIN, room_id=room_id), now=time.time(), ttl_s=600)


def ports() -> list[Listener]:
    names = ("http", "signaling", "ai")
    return [Listener(name, "127.0.0.1", 0, f"{name}_port") for name in names]


def make_gateway(
    system: ActorSystem, limits: GatewayLimits, readiness: Readiness, metrics: Metrics, listeners: list[Listener]
) -> Gateway:
    return Gateway(
        system,
        SIGNER,
        listeners,
        now=time.time,
        facts=NodeFacts(
            node="test-node",
            version="1.2.3",
            started_at=datetime.now(UTC),
            versions={"python": "3"},
            models=lambda: [Model(name="tiny", task="speech_recognition", version="1", state="ready")],
        ),
        readiness=readiness,
        metrics=metrics,
        limits=limits,
        ice_servers=(IceServer(("stun:stun.example.org",)),),
    )


@asynccontextmanager
async def running(
    limits: GatewayLimits | None = None, *, kinds: tuple[str, ...] = KINDS, peer_options: Options | None = None
) -> AsyncIterator[Edge]:
    """A gateway from start to stop."""
    system, behind = ActorSystem("test"), Behind()
    for kind in kinds:
        options = peer_options if kind == "peer" and peer_options else Options()
        system.entities.define(kind, partial(StandIn, behind, kind), options=options)
    readiness, metrics = Readiness(timeout_s=0.2), Metrics(node="test-node")
    gateway = make_gateway(system, limits or GatewayLimits(), readiness, metrics, ports())
    await gateway.start()
    session = aiohttp.ClientSession()
    try:
        yield Edge(gateway, system, behind, session, readiness, metrics)
    finally:
        await session.close()
        await gateway.stop()
        await system.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that nothing announces."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def connection_of(edge: Edge, session_id: str) -> Ref:
    return edge.system.lookup(f"connection/{session_id}")
