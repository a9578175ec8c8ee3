"""One request on its way to the actors: who sends it, how long it may take, and what its path names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from aiohttp import web

from protocols.errors import NotFound, PermissionDenied, Unauthenticated
from protocols.http import MAX_ID
from protocols.tokens import Identity
from runtime.engine import ActorSystem
from runtime.gateway.entities import ask_entity
from runtime.gateway.limits import GatewayLimits

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """What a handler gets. `deadline` is in the event loop's time; `now` gives Unix seconds."""

    request: web.Request
    system: ActorSystem
    limits: GatewayLimits
    now: Callable[[], float]
    new_id: Callable[[], str]
    deadline: float
    identity: Identity | None

    @property
    def user(self) -> Identity:
        """Who sends it. Raises Unauthenticated on a route that does not ask for a token."""
        if self.identity is None:
            raise Unauthenticated("log in first")
        return self.identity

    @property
    def remaining_s(self) -> float:
        """Seconds that are left for it."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    def utc_now(self) -> datetime:
        """Wall-clock time."""
        return datetime.fromtimestamp(self.now(), UTC)

    def number(self, name: str) -> int:
        """An id of the path. Raises NotFound for one that nothing can have."""
        value = int(self.request.match_info[name])
        if not 1 <= value <= MAX_ID:
            raise NotFound(f"no {name.removesuffix('_id')} has the id {value}")
        return value

    def text(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def check_owner(self, claimed: int | None) -> None:
        """Raises PermissionDenied when a body claims to come from another user than the token's."""
        if claimed is not None and claimed != self.user.user_id:
            raise PermissionDenied("`user_id` is not yours: leave it out, the token says who you are")

    async def ask(self, expected: type[T], kind: str, entity_id: object, message: object) -> T:
        """Ask an entity and check that its answer is of the type that its protocol names."""
        return await ask_entity(self.system, expected, kind, str(entity_id), message, timeout_s=self.remaining_s)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler found, with headers of its own. A handler that needs none returns the value itself."""

    value: object
    headers: Mapping[str, str] = field(default_factory=dict)
