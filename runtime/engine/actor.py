"""What a user of the engine writes: an actor, with a handler for each kind of message.

    class Counter(Actor):
        def __init__(self) -> None:
            self.total = 0

        @on(Add)
        def add(self, message: Add) -> int:
            self.total += message.amount
            return self.total

Handlers are `def` or `async def`; what one returns answers an `ask`. One runs at a time. A `ParleyError` raised in a
handler refuses that message and no more; any other exception fails the actor, and its supervisor decides. Everything
but the plain attributes of the subclass is available from `started` on, not in `__init__`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from runtime.engine import watch
from runtime.engine.envelope import Envelope, Reply
from runtime.engine.errors import AskTimeout, StashFull, Unhandled
from runtime.engine.ref import Ref
from runtime.engine.timers import Timers

if TYPE_CHECKING:
    from runtime.engine.cell import Cell
    from runtime.engine.options import Options
    from runtime.engine.system import ActorSystem

Handler = Callable[[Any], Any]
M = TypeVar("M", bound=Callable[..., Any])


def on(*kinds: type) -> Callable[[M], M]:
    """Mark a method as the handler of these kinds of message (exactly these: not their subclasses)."""

    def mark(method: M) -> M:
        method.__handles__ = kinds  # type: ignore[attr-defined]
        return method

    return mark


class Actor:
    """Base of every actor. Subclasses may declare `__slots__`."""

    __slots__ = ("_cell",)

    _cell: Cell
    _handlers: ClassVar[dict[type, Callable[..., Any]]] = {}
    has_started_hook: ClassVar[bool] = False
    has_stopped_hook: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # By name, so that a subclass that overrides a handler need not mark it again.
        marked = [
            (kind, name)
            for base in reversed(cls.__mro__)
            for name, method in vars(base).items()
            for kind in getattr(method, "__handles__", ())
        ]
        cls._handlers = {kind: getattr(cls, name) for kind, name in marked}
        cls.has_started_hook = cls.started is not Actor.started
        cls.has_stopped_hook = cls.stopped is not Actor.stopped

    # ---- what a subclass may define

    def started(self) -> Any:
        """Before the first message, and again after each restart. May be `async def`; a failure is the supervisor's."""

    def stopped(self) -> Any:
        """After the last message, when the children have stopped. May be `async def`."""

    def restarting(self, error: BaseException) -> Any:
        """In the failed instance, before it is replaced. May be `async def`. Its children stop after it."""

    def may_rest(self) -> bool:
        """Whether an idle entity may be stopped until its next message. False for one that holds what is not stored."""
        return True

    def receive(self, message: Any) -> Any:
        """Handle a message: by the methods marked with `on`, unless a subclass does it in its own way."""
        handler = self._handlers.get(type(message))
        if handler is None:
            raise Unhandled(f"{type(self).__name__} does not handle {type(message).__name__}")
        return handler(self, message)

    # ---- what a handler may use

    @property
    def ref(self) -> Ref:
        """This actor's own reference."""
        return self._cell

    @property
    def path(self) -> str:
        """Where this actor is in the tree."""
        return self._cell.path

    @property
    def id(self) -> str:
        """The last part of the path: an entity's id."""
        return str(self._cell.name)

    @property
    def fence(self) -> int:
        """The fencing token of this entity's activation, for stores that refuse what an older one writes. It only
        grows; 0 where there is no cluster, and so nobody to be kept out.
        """
        return self._cell.system.entities.fence_of(self._cell)

    @property
    def system(self) -> ActorSystem:
        """The system that it lives in."""
        return self._cell.system

    @property
    def timers(self) -> Timers:
        """This actor's timers."""
        own = self._cell.own()
        if own.timers is None:
            own.timers = Timers(self._cell)
        return own.timers

    @property
    def children(self) -> tuple[Ref, ...]:
        """Its children, in order of start."""
        return tuple(self._cell.particulars.children.values())

    def spawn(
        self, factory: Callable[..., Actor], *args: Any, name: str | None = None, options: Options | None = None
    ) -> Ref:
        """Start a child. What `factory` raises comes out here; NameTaken when a live child has the name."""
        return self.system.spawn_under(self._cell, factory, args, name, options)

    def stop(self) -> None:
        """Stop this actor once the current handler is done."""
        self._cell.stop()

    def watch(self, ref: Ref) -> None:
        """Get a `Terminated` message when that actor has stopped, at once if it has."""
        watch.watch(self._cell, self.system.watched_cell(ref), ref)

    def unwatch(self, ref: Ref) -> None:
        """Take a watch back."""
        watch.unwatch(self._cell, ref)

    def become(self, behaviour: Handler) -> None:
        """Handle messages with `behaviour` from the next one on, until `unbecome`, another `become`, or a restart."""
        cell = self._cell
        cell.own().behaviours.append(cell.behaviour)
        cell.behaviour = behaviour
        cell.steady = False

    def unbecome(self) -> None:
        """Go back to the behaviour before the last `become`. Without one, nothing happens."""
        cell = self._cell
        if cell.particulars.behaviours:
            cell.behaviour = cell.particulars.behaviours.pop()
            cell.steady = False

    def stash(self) -> None:
        """Put the current message aside, its asker included. Raises StashFull when as many are stashed as a mailbox
        holds.
        """
        cell = self._cell
        stash = cell.own().stash
        if len(stash) >= cell.options.capacity:
            raise StashFull(f"the stash of {cell.path} is full ({cell.options.capacity} messages)")
        if cell.current is not None:
            stash.append(cell.current)
            cell.current = None

    def unstash_all(self) -> None:
        """Put the stashed messages back to the front of the mailbox, in the order in which they came."""
        stash = self._cell.particulars.stash
        while stash:
            self._cell.put_unbounded(stash.pop(), first=True)

    def defer(self) -> Reply:
        """Take over the answering of the current message: this handler's return value no longer answers it. What it
        raises still does.
        """
        item = self._cell.current
        if type(item) is not Envelope:
            return Reply(None, 0.0)
        # The rest of the handler is still about this message and under its deadline; only the answer is another's.
        self._cell.current = Envelope(item.message, None, item.deadline)
        return Reply(item.reply, item.deadline)

    def forward(self, ref: Ref, message: object = None) -> None:
        """Pass the current message on, or `message` in its place, with its asker and deadline: that actor answers."""
        item = self._cell.current
        if type(item) is Envelope:
            self.system.deliver(ref, Envelope(item.message if message is None else message, item.reply, item.deadline))
        elif item is not None:
            ref.tell(item if message is None else message)
        self._cell.current = None

    @property
    def remaining_s(self) -> float | None:
        """Seconds until the current message's deadline; None when it has none."""
        item = self._cell.current
        if type(item) is Envelope and item.deadline:
            return item.deadline - self.system.clock.time()
        return None

    def ask(self, ref: Ref, message: object, timeout_s: float | None = None) -> Awaitable[Any]:
        """Ask another actor, for at most `timeout_s` and never past the deadline of the message being handled."""
        remaining = self.remaining_s
        if remaining is not None:
            if remaining <= 0:
                raise AskTimeout("the deadline of the message being handled has passed")
            # Rounded up by at most 1/16, so that asks share the queues of few distinct limits. The receiver is not
            # misled: nothing past the first asker's deadline is of use to anyone, and that asker is told on time.
            mantissa, exponent = math.frexp(remaining)
            remaining = math.ldexp(math.ceil(mantissa * 32) / 32, exponent)
            timeout_s = min(remaining, self.system.ask_timeout_s if timeout_s is None else timeout_s)
        return ref.ask(message, timeout_s)
