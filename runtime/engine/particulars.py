"""What most actors have none of, kept apart so that an idle actor stays small: children, watches, timers, failures."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from runtime.engine.cell import Cell
    from runtime.engine.envelope import Envelope
    from runtime.engine.ref import Ref
    from runtime.engine.supervision import RestartWindow
    from runtime.engine.timers import Timers


class Particulars:
    """The rare parts of a cell. A cell without any shares `NOTHING_SPECIAL`, which nobody writes to."""

    __slots__ = (
        "behaviours",
        "children",
        "failures",
        "hung",
        "last_error",
        "names",
        "own_window",
        "plan",
        "refused",
        "restarts",
        "senders",
        "stash",
        "timers",
        "transition",
        "waiters",
        "watchers",
        "watching",
        "window",
    )

    def __init__(self) -> None:
        self.behaviours: list[Any] = []
        self.children: dict[str | int, Cell] = {}
        self.failures = 0
        self.hung = False
        self.last_error = ""
        self.names: list[str] = []
        # The restarts of this actor, where its supervisor counts by child; `window` has those of its children.
        self.own_window: RestartWindow | None = None
        self.plan: object = None
        self.refused = 0
        self.restarts = 0
        self.senders: deque[tuple[Envelope, asyncio.Future[Any]]] = deque()
        self.stash: list[object] = []
        self.timers: Timers | None = None
        self.transition: asyncio.Task[None] | None = None
        self.waiters: dict[asyncio.Future[None], None] = {}
        self.watchers: dict[Cell, None] = {}
        # What is watched, and the ref by which it was named.
        self.watching: dict[Cell, Ref] = {}
        self.window: RestartWindow | None = None


NOTHING_SPECIAL: Final = Particulars()
