"""The actor system: the root of the tree, and the parts that all actors of a node share."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

import structlog

from runtime.engine import statistics
from runtime.engine.actor import Actor
from runtime.engine.asks import Asks
from runtime.engine.cell import Cell
from runtime.engine.clock import Clock, LoopClock
from runtime.engine.dead_letters import DeadLetters
from runtime.engine.dispatcher import Dispatch, Dispatcher
from runtime.engine.entities import Entities, EntityRef
from runtime.engine.envelope import Envelope
from runtime.engine.errors import ActorStopped, NameTaken, NoSuchActor, SpawnRefused
from runtime.engine.names import Names
from runtime.engine.options import DEFAULT, Options
from runtime.engine.ref import FarRef, Ref
from runtime.engine.states import STARTING
from runtime.engine.statistics import ActorStatistics, SystemStatistics, Tally
from runtime.engine.supervision import Backoff, Supervision
from runtime.engine.watchdog import Watchdog

log: Final = structlog.get_logger("parley.system")

ROOT_SUPERVISION: Final = Supervision(backoff=Backoff())
"""Top-level actors are restarted one for one; past the intensity the system has failed (`wait_failed`)."""


class _Root(Actor):
    __slots__ = ()


class ActorSystem:
    """All actors of a node. Make it on a running event loop, and `await stop()` it in the end.

    `ask_timeout_s` is the default limit of an ask, in seconds. `clock`, `rng` and `dispatcher` are for those who want
    to own time, chance and order, as the test kit does.
    """

    def __init__(
        self,
        name: str = "parley",
        *,
        ask_timeout_s: float = 5.0,
        supervision: Supervision = ROOT_SUPERVISION,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        dispatcher: Dispatch | None = None,
    ) -> None:
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.create_future: Callable[[], asyncio.Future[Any]] = self.loop.create_future
        self.clock: Clock = clock or LoopClock(self.loop)
        self.rng = rng or random.Random()
        self.ask_timeout_s = ask_timeout_s
        self.dispatcher: Dispatch = dispatcher or Dispatcher(self.loop, self.clock)
        self.asks = Asks(self.clock)
        self.dead_letters = DeadLetters()
        self.names = Names()
        self.tasks: dict[asyncio.Task[Any], Cell | None] = {}
        self.busy: dict[Cell, float] = {}
        self.spawned = self.stopped = 0
        self.gone: defaultdict[str, Tally] = defaultdict(Tally)
        self._auto = itertools.count(1)
        self._failed: asyncio.Future[BaseException] = self.create_future()
        self.root = Cell(self, None, "", _Root, (), Options(supervision=supervision))
        self.entities = Entities(self)
        self.watchdog = Watchdog(self)

    # ---- actors

    def spawn(
        self, factory: Callable[..., Actor], *args: Any, name: str | None = None, options: Options | None = None
    ) -> Ref:
        """Start a top-level actor. What `factory` raises comes out here; NameTaken when a live one has the name."""
        return self.spawn_under(self.root, factory, args, name, options)

    def spawn_under(
        self,
        parent: Cell,
        factory: Callable[..., Actor],
        args: tuple[Any, ...] = (),
        name: str | None = None,
        options: Options | None = None,
    ) -> Cell:
        """Start an actor below another. Raises SpawnRefused, NameTaken, ValueError for a bad name."""
        if not parent.alive:
            raise SpawnRefused(f"{parent.path or self.name} is stopping and starts no more actors")
        children = parent.own().children
        if name is None:
            key: str | int = next(self._auto)
        else:
            if not name or "/" in name:
                raise ValueError(f"an actor's name is not empty and has no slash: {name!r}")
            if name in children:
                raise NameTaken(f"{parent.path}/{name} exists".lstrip("/"))
            key = name
        cell = Cell(self, parent, key, factory, args, options or DEFAULT)
        children[key] = cell
        self.spawned += 1
        if cell.state == STARTING:
            cell.schedule()
        return cell

    def entity(self, kind: str, entity_id: str) -> EntityRef | FarRef:
        """A reference to an entity, wherever and whether it is active. Raises NoSuchActor for an unknown kind."""
        return self.entities.ref(kind, entity_id)

    def register(self, name: str, ref: Ref) -> None:
        """Give an actor a well-known name. Raises NameTaken."""
        self.names.register(name, self.cell_of(ref))

    def lookup(self, address: str) -> Ref:
        """The actor behind a name, a path in the tree, or an entity's `kind/id`. Raises NoSuchActor."""
        named = self.names.lookup(address)
        if named is not None:
            return named
        kind, slash, entity_id = address.partition("/")
        if slash and kind in self.entities.kinds:
            return self.entities.ref(kind, entity_id)
        cell: Cell | None = self.root
        for part in address.split("/"):
            children = cell.particulars.children if cell is not None else {}
            cell = children.get(part) or (children.get(int(part)) if part.isdecimal() else None)
        if cell is None:
            raise NoSuchActor(f"there is no actor at {address!r}")
        return cell

    def cell_of(self, ref: Ref) -> Cell:
        """The local cell behind a ref; an entity is started for it."""
        if isinstance(ref, Cell):
            return ref
        if isinstance(ref, EntityRef):
            cell = self.entities.cell(*ref.key) or self.entities.active(*ref.key)
            if cell is not None:
                return cell
        if isinstance(ref, FarRef) and (near := ref.here()) is not None:
            return near
        raise NoSuchActor(f"{ref.path} is not on this node")

    def watched_cell(self, ref: Ref) -> Cell:
        """What to watch for a ref: its cell, or what stands for an actor on another node."""
        return ref.stand_in() if isinstance(ref, FarRef) else self.cell_of(ref)

    def deliver(self, ref: Ref, envelope: Envelope) -> None:
        """Put a message with its asker and deadline into another actor's mailbox."""
        if isinstance(ref, Cell | EntityRef | FarRef):
            ref.put(envelope)
        else:
            raise NoSuchActor(f"{ref.path} is not on this node")

    # ---- what operators ask

    def statistics(self) -> SystemStatistics:
        """Figures of the whole system."""
        return statistics.of_system(self)

    def statistics_of(self, ref: Ref) -> ActorStatistics:
        """Figures of one actor."""
        return statistics.of_actor(self.cell_of(ref))

    def tree(self, limit: int = 1000) -> str:
        """The actors with state, mailbox depth, restarts and last error, as text."""
        return statistics.tree(self, limit)

    def running_path(self) -> str:
        """The path of the actor whose handler is running now, or nothing."""
        cell = self.dispatcher.running or self.tasks.get(asyncio.current_task(self.loop))  # type: ignore[arg-type]
        return cell.path if cell is not None else ""

    # ---- the end

    async def wait_failed(self) -> BaseException:
        """Wait until a failure came up through the root: the system goes on, but what failed is gone."""
        return await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Stop every actor, children first, in reverse order of start; then the system itself. May be called twice."""
        self.root.stop()
        await self.root.wait_stopped()
        self.watchdog.stop()
        self.asks.close()
        self.asks.fail_all(ActorStopped(f"the system {self.name} has stopped"))
        if not self._failed.done():
            self._failed.cancel()
        if self.tasks:
            # Only handlers that ignored their cancellation are left; they were reported when they did.
            await asyncio.wait(list(self.tasks), timeout=0)

    # ---- for the engine's own parts

    def create_task(self, work: Coroutine[Any, Any, None], cell: Cell | None = None) -> asyncio.Task[None]:
        """A task that the system owns until it is done."""
        task = self.loop.create_task(work, context=Context())  # not that of whoever happens to run now
        self.tasks[task] = cell
        task.add_done_callback(self._task_done)
        return task

    def escalated(self, error: BaseException) -> None:
        """A failure came up through the root."""
        log.critical("failure escalated through the root", exc_info=error)
        if not self._failed.done():
            self._failed.set_result(error)

    def cell_stopped(self, cell: Cell) -> None:
        """Count a cell that has stopped, and start its next life where messages wait for it."""
        self.stopped += cell is not self.root
        self.gone[type(cell.actor).__name__].add(cell)
        self.entities.stopped(cell)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        del self.tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("a task of the engine broke", exc_info=error)
