"""A route as data: from one table of these come both what the server serves and what the OpenAPI document says."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from protocols.errors import Code
from protocols.http import MAX_ID, Sent
from runtime.gateway.call import Call

S = TypeVar("S", bound=Sent)

API: Final = "/api/v1"


class Access(Enum):
    """Who may call a route: ANYONE, or a USER with an access token."""

    ANYONE = "anyone"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Route(Generic[S]):
    """`takes` is the schema of the body (POST) or of the query (GET), `gives` that of the answer; None: an empty one.

    `also_gives` are further media types that the handler may answer with, `also_status` further statuses; `refuses` the
    codes that the route may fail with beyond those that its shape implies. `upload`: its body carries a clip or a
    picture. `slow`: it may take as long as a recognition.
    """

    method: str
    path: str
    handler: Callable[[Call, S], Awaitable[object]]
    takes: type[S]
    gives: Any
    summary: str
    tag: str
    status: int = 200
    access: Access = Access.USER
    upload: bool = False
    also_gives: tuple[str, ...] = ()
    also_status: tuple[int, ...] = ()
    refuses: tuple[Code, ...] = ()
    slow: bool = False

    @property
    def name(self) -> str:
        """Unique: the handler's name, which is the operation's id as well."""
        return self.handler.__name__

    @property
    def has_body(self) -> bool:
        """Whether `takes` comes in the body."""
        return self.method in ("POST", "PUT", "PATCH")

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in its path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def pattern(self) -> str:
        """Its path with the form of each name: what does not have it, is not there."""
        return re.sub(r"{(\w+)}", lambda found: f"{{{found[1]}:{PATH_NAMES[found[1]].form}}}", self.path)


@dataclass(frozen=True, slots=True)
class PathName:
    """What a name in a path stands for: its form as a regular expression and as JSON Schema."""

    form: str
    schema: Mapping[str, object]


PATH_NAMES: Final[Mapping[str, PathName]] = {
    "meeting_id": PathName("[0-9]{1,10}", {"type": "integer", "minimum": 1, "maximum": MAX_ID}),
    "room_id": PathName("[A-Za-z0-9_-]{1,64}", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}),
}
