"""Entities: actors addressed by kind and id, which start at their first message and rest again when idle.

Nobody creates or finds them: a ref to `room/room_12` always works. A message that comes while the entity is going to
rest waits for its next life; none is lost and none overtakes another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

from runtime.engine.actor import Actor, on
from runtime.engine.dead_letters import DeadLetter, Reason
from runtime.engine.envelope import Envelope, message_of
from runtime.engine.errors import ActorStopped, EngineError, HandlerFailed, MailboxFull, NoSuchActor
from runtime.engine.options import DEFAULT, Options
from runtime.engine.ref import FarRef, Ref
from runtime.engine.states import RUNNING
from runtime.engine.supervision import Backoff, Directive, Supervision

if TYPE_CHECKING:
    from runtime.engine.cell import Cell
    from runtime.engine.system import ActorSystem

log: Final = structlog.get_logger("parley.entities")

ENTITY_SUPERVISION: Final = Supervision(
    max_restarts=5, within_s=60.0, per_child=True, exceeded=Directive.STOP, backoff=Backoff(min_s=0.05, max_s=5.0)
)
"""An entity that fails again and again stops and starts afresh at its next message; the others of its kind go on."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity. `factory` makes one of an id; `rest_after_s` None: it never rests."""

    name: str
    factory: Callable[[str], Actor]
    options: Options
    rest_after_s: float | None


@dataclass(frozen=True, slots=True)
class _LookForIdle:
    pass


class KindSupervisor(Actor):
    """Parent of all entities of one kind; lets those rest that were idle for a while."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._handled: dict[str | int, int] = {}

    def started(self) -> None:
        """Begin to look for idle entities."""
        if self._kind.rest_after_s is not None:
            self.timers.start("idle", _LookForIdle(), self._kind.rest_after_s, every_s=self._kind.rest_after_s)

    @on(_LookForIdle)
    def look(self, _: _LookForIdle) -> None:
        """Stop those who handled nothing since the last look and have nothing to do."""
        before, self._handled = self._handled, {}
        for cell in list(self._cell.particulars.children.values()):
            busy = cell.queue or cell.particulars.stash or cell.task is not None or cell.state != RUNNING
            if not busy and before.get(cell.name) == cell.handled and self._may_rest(cell):
                cell.stop()
            else:
                self._handled[cell.name] = cell.handled

    def _may_rest(self, cell: Cell) -> bool:
        try:
            return cell.actor.may_rest()
        except Exception as error:
            # Its own affair: were it this actor's failure, every entity of the kind would go down.
            log.error("may_rest failed", actor=cell.path, exc_info=error)
            return False


class EntityRef(Ref):
    """Reaches an entity, starting it if need be."""

    __slots__ = ("_entities", "_id", "_kind")

    def __init__(self, entities: Entities, kind: str, entity_id: str) -> None:
        self._entities = entities
        self._kind = kind
        self._id = entity_id

    @property
    def path(self) -> str:
        """`kind/id`."""
        return f"{self._kind}/{self._id}"

    def tell(self, message: object) -> bool:
        """Put a message into the entity's mailbox."""
        cell = self._entities.cell(self._kind, self._id)
        return cell.tell(message) if cell is not None else self._entities.hold(self, Envelope(message)) is None

    def ask(self, message: object, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Ask the entity."""
        cell = self._entities.cell(self._kind, self._id)
        if cell is not None:
            return cell.ask(message, timeout_s)
        system = self._entities.system
        reply = system.create_future()
        deadline = system.asks.add(reply, system.ask_timeout_s if timeout_s is None else timeout_s)
        self._entities.hold(self, Envelope(message, reply, deadline))
        return reply

    def put(self, envelope: Envelope) -> None:
        """Take in a message that comes with its envelope."""
        cell = self._entities.cell(self._kind, self._id)
        if cell is not None:
            cell.put(envelope)
        else:
            self._entities.hold(self, envelope)

    async def wait_tell(self, message: object, timeout_s: float | None = None) -> None:
        """Put a message into the entity's mailbox, waiting for room if it lets its senders wait."""
        cell = self._entities.cell(self._kind, self._id)
        if cell is not None:
            await cell.wait_tell(message, timeout_s)
        elif (error := self._entities.hold(self, Envelope(message))) is not None:
            raise error

    def stop(self) -> None:
        """Stop the entity if it is active. Its next message starts it again."""
        cell = self._entities.active(self._kind, self._id)
        if cell is not None:
            cell.stop()

    async def wait_stopped(self) -> None:
        """Wait until the entity is not active."""
        cell = self._entities.active(self._kind, self._id)
        if cell is not None:
            await cell.wait_stopped()

    @property
    def key(self) -> tuple[str, str]:
        """Kind and id."""
        return self._kind, self._id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntityRef) and other.key == self.key and other._entities is self._entities

    def __hash__(self) -> int:
        return hash(self.key)


class Placement(Protocol):
    """Who decides, in a cluster, on which node an entity lives. Without one they all live here."""

    def ref(self, kind: str, entity_id: str) -> FarRef | None:
        """The way to an entity; None for a kind of which each node has its own."""

    def stopped(self, entity: str, cell: Cell) -> None:
        """The actor of an entity (`kind/id`) that `Entities.start` began has stopped."""

    def fence_of(self, entity: str) -> int:
        """The fencing token under which this node carries an entity."""


class Entities:
    """The kinds of entity that this node carries, and the way to every entity."""

    def __init__(self, system: ActorSystem) -> None:
        self.system = system
        self._kinds: dict[str, tuple[Kind, Cell]] = {}
        self._held: dict[tuple[str, str], deque[Envelope]] = {}
        self.placement: Placement | None = None

    def define(
        self,
        name: str,
        factory: Callable[[str], Actor],
        *,
        options: Options = DEFAULT,
        supervision: Supervision = ENTITY_SUPERVISION,
        rest_after_s: float | None = 300.0,
    ) -> None:
        """Carry a kind of entity: `factory(id)` makes one. Raises NameTaken for a kind that is defined."""
        kind = Kind(name, factory, options, rest_after_s)
        cell = self.system.spawn_under(
            self.system.root, KindSupervisor, (kind,), name, Options(supervision=supervision)
        )
        self._kinds[name] = (kind, cell)

    @property
    def kinds(self) -> dict[str, int]:
        """The kinds and how many of each are active."""
        return {name: len(cell.particulars.children) for name, (_, cell) in self._kinds.items()}

    def ref(self, kind: str, entity_id: str) -> EntityRef | FarRef:
        """A reference to an entity. Raises NoSuchActor for a kind that nobody carries."""
        if self.placement is not None and (placed := self.placement.ref(kind, entity_id)) is not None:
            return placed
        if kind not in self._kinds:
            raise NoSuchActor(f"no node carries entities of kind {kind!r}")
        return EntityRef(self, kind, entity_id)

    def start(self, kind: str, entity_id: str) -> Cell:
        """Start an entity for the placement. Raises what its factory raises."""
        described, parent = self._kinds[kind]
        return self.system.spawn_under(parent, described.factory, (entity_id,), entity_id, described.options)

    def fence_of(self, cell: Cell) -> int:
        """The fencing token of an entity's activation; 0 where no other node can have it."""
        return self.placement.fence_of(cell.path) if self.placement is not None else 0

    def active(self, kind: str, entity_id: str) -> Cell | None:
        """The entity's cell if it is active or on its way down."""
        return self._kinds[kind][1].particulars.children.get(entity_id)

    def cell(self, kind: str, entity_id: str) -> Cell | None:
        """The cell to put a message into; None while the entity goes to rest (hold the message then)."""
        described, parent = self._kinds[kind]
        cell = parent.particulars.children.get(entity_id)
        if cell is None:
            if not parent.alive:
                return None
            try:
                return self.system.spawn_under(parent, described.factory, (entity_id,), entity_id, described.options)
            except Exception as error:
                log.error("entity cannot start", entity=f"{kind}/{entity_id}", exc_info=error)
                return None
        return cell if cell.alive else None

    def hold(self, ref: EntityRef, envelope: Envelope) -> EngineError | None:
        """Keep a message until the entity on its way down has stopped, or say why it cannot be kept."""
        described, parent = self._kinds[ref.key[0]]
        going = parent.particulars.children.get(ref.key[1])
        held = self._held.setdefault(ref.key, deque()) if going is not None and parent.alive else None
        if held is not None and len(held) < described.options.capacity:
            held.append(envelope)
            return None
        if held is not None:
            error: EngineError = MailboxFull(f"too many messages wait for {ref.path} to start again")
            reason = Reason.MAILBOX_FULL
        elif parent.alive:
            error, reason = HandlerFailed(f"{ref.path} cannot start; the log says why"), Reason.FAILED
        else:
            error, reason = ActorStopped(f"{ref.path} has stopped with its node"), Reason.STOPPED
        if envelope.reply is not None and not envelope.reply.done():
            envelope.reply.set_exception(error)
        letter = DeadLetter(message_of(envelope), ref.path, reason, self.system.running_path())
        self.system.dead_letters.publish(letter)
        return error

    def stopped(self, cell: Cell) -> None:
        """An entity has stopped: if messages wait for it, its next life begins with them."""
        if cell.parent is None or not isinstance(cell.parent.actor, KindSupervisor):
            return
        key = (str(cell.parent.name), str(cell.name))
        if self.placement is not None:
            self.placement.stopped("/".join(key), cell)
        held = self._held.pop(key, None)
        if held:
            ref = EntityRef(self, *key)
            for envelope in held:
                if envelope.reply is None:
                    ref.tell(envelope.message)
                else:
                    ref.put(envelope)
