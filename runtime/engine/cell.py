"""The cell: one actor's mailbox, state and statistics, and the hot path of the engine (tell, ask, a turn).

A cell outlives restarts of the actor inside it, so it is what a local ref refers to, and is that ref. An idle cell
owns no task: a turn of the dispatcher runs its `def` handlers, and a task is made for an `async def` handler only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from runtime.engine import failure, lifecycle, overflow
from runtime.engine.awaiting import drive
from runtime.engine.dead_letters import DeadLetter, Reason
from runtime.engine.envelope import Envelope, message_of
from runtime.engine.errors import ActorStopped
from runtime.engine.mailbox import IDLE, fresh, give_back
from runtime.engine.options import Options
from runtime.engine.particulars import NOTHING_SPECIAL, Particulars
from runtime.engine.ref import Ref
from runtime.engine.states import RUNNING, STARTING, STATE_NAMES, STOPPED, STOPPING

if TYPE_CHECKING:
    from runtime.engine.actor import Actor
    from runtime.engine.system import ActorSystem

Handling = Coroutine[Any, Any, Any]


class Cell(Ref):
    """One local actor. What has no part in `Ref` is for the engine alone."""

    __slots__ = (
        "actor",
        "args",
        "behaviour",
        "capacity",
        "current",
        "factory",
        "handled",
        "name",
        "options",
        "parent",
        "particulars",
        "queue",
        "scheduled",
        "state",
        "steady",
        "system",
        "task",
    )

    def __init__(
        self,
        system: ActorSystem,
        parent: Cell | None,
        name: str | int,
        factory: Callable[..., Actor],
        args: tuple[Any, ...],
        options: Options,
    ) -> None:
        self.system = system
        self.parent = parent
        self.name = name
        self.factory = factory
        self.args = args
        self.options = options
        # 0 while no message may come in by the short way: stopping, or senders already wait for room.
        self.capacity = options.capacity
        self.queue = IDLE
        self.scheduled = False
        self.steady = True
        self.handled = 0
        self.current: object = None
        self.task: asyncio.Task[None] | None = None
        self.particulars: Particulars = NOTHING_SPECIAL
        self.behaviour: Callable[[Any], Any] | None = None
        self.actor: Actor = factory(*args)
        self.actor._cell = self
        self.state = STARTING if self.actor.has_started_hook else RUNNING

    # ---- what a ref can do

    @property
    def path(self) -> str:
        """Names from the root down to here, joined by slashes."""
        parts: list[str] = []
        cell: Cell | None = self
        while cell is not None and cell.parent is not None:
            parts.append(str(cell.name))
            cell = cell.parent
        return "/".join(reversed(parts))

    def tell(self, message: object) -> bool:
        """Put a message into the mailbox. False: refused, and a dead letter says why."""
        queue = self.queue
        if len(queue) >= self.capacity:
            return overflow.tell(self, message)
        if queue is IDLE:
            self.queue = queue = fresh()
        queue.append(message)
        if not self.scheduled:
            self.scheduled = True
            self.system.dispatcher.ready(self)
        return True

    def ask(self, message: object, timeout_s: float | None = None) -> asyncio.Future[Any]:
        """Send a message; the future holds its answer."""
        system = self.system
        reply = system.create_future()
        limit_s = system.ask_timeout_s if timeout_s is None else timeout_s
        envelope = Envelope(message, reply, system.asks.add(reply, limit_s))
        queue = self.queue
        if len(queue) >= self.capacity:
            overflow.put(self, envelope)
            return reply
        if queue is IDLE:
            self.queue = queue = fresh()
        queue.append(envelope)
        if not self.scheduled:
            self.scheduled = True
            system.dispatcher.ready(self)
        return reply

    def put(self, envelope: Envelope) -> None:
        """Take in a message that comes with its envelope, or fail the ask inside it."""
        if len(self.queue) >= self.capacity:
            overflow.put(self, envelope)
        else:
            self.put_unbounded(envelope)

    def put_unbounded(self, item: object, *, first: bool = False) -> None:
        """Take in what was accepted before, or what the engine itself has to say: no limit applies."""
        if self.state >= STOPPING:
            self.turn_away(item, Reason.STOPPED)
            return
        if self.queue is IDLE:
            self.queue = fresh()
        if first:
            self.queue.appendleft(item)
        else:
            self.queue.append(item)
        self.schedule()

    def wait_tell(self, message: object, timeout_s: float | None = None) -> Awaitable[None]:
        """Put a message into the mailbox, waiting for room if the mailbox lets its senders wait."""
        return overflow.wait_tell(self, message, timeout_s)

    def stop(self) -> None:
        """Stop: ahead of the mailbox, after the message that is being handled."""
        lifecycle.request_stop(self)

    def wait_stopped(self) -> Awaitable[None]:
        """Wait until the actor has stopped."""
        return lifecycle.wait_stopped(self)

    @property
    def alive(self) -> bool:
        """Whether it still takes messages."""
        return self.state < STOPPING

    @property
    def stopped(self) -> bool:
        """Whether the actor is gone."""
        return self.state == STOPPED

    def __repr__(self) -> str:
        return f"<Ref {self.path or '/'} {STATE_NAMES[self.state]}>"

    # ---- a turn

    def schedule(self) -> None:
        """Ask for a turn."""
        if not self.scheduled:
            self.scheduled = True
            self.system.dispatcher.ready(self)

    def turn(self, quantum: int) -> None:
        """Handle up to `quantum` messages. Called by the dispatcher alone."""
        # `scheduled` stays True until `rest`: while it is at work, no message needs to ask for a turn.
        if self.state == RUNNING:
            handling = None
            try:
                handling = self.batch(quantum)
            finally:
                # Also when a handler is left by KeyboardInterrupt, or this actor would never get a turn again.
                if handling is None:
                    self.rest()
            if handling is not None:
                self.occupy(drive(self, handling, quantum))
        elif self.state == STARTING:
            lifecycle.start(self)
        else:
            self.scheduled = False

    def batch(self, quantum: int) -> Handling | None:
        """Handle messages until one needs awaiting (its coroutine is returned), none is left, or quantum is spent."""
        queue = self.queue
        left = quantum
        item: object = None
        while queue and left and self.state == RUNNING:
            self.steady = True
            receive = self.behaviour or self.actor.receive
            try:
                # `steady` turns False when the state or the behaviour changes under a handler's hands.
                while queue and left and self.steady:
                    self.current = item = queue.popleft()
                    left -= 1
                    if type(item) is Envelope:
                        if self.lapsed(item):
                            continue
                        result = receive(item.message)
                        if type(result) is CoroutineType:
                            self.handled += quantum - left
                            return result
                        # `current` is another when the handler deferred, stashed or forwarded the message.
                        if self.current is item and item.reply is not None and not item.reply.done():
                            item.reply.set_result(result)
                    else:
                        result = receive(item)
                        if type(result) is CoroutineType:
                            self.handled += quantum - left
                            return result
            except (Exception, asyncio.CancelledError) as error:
                failure.settle(self, item, error)
        self.handled += quantum - left
        return None

    def occupy(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a task for what must be awaited. It ends by `rest`, unless it was left behind."""
        self.task = self.system.create_task(work, self)
        if self.state == STOPPING:
            lifecycle.proceed(self)

    def rest(self) -> None:
        """End a batch or a task: let waiting senders in, then go on later, give an empty mailbox back, or stop."""
        self.current = None
        if self.task is not None:
            self.task = None
            self.system.busy.pop(self, None)
            if self.particulars.hung:
                self.particulars.hung = False
        self.scheduled = False
        if self.particulars.senders:
            overflow.admit_senders(self)
        queue = self.queue
        if self.state == STOPPING:
            lifecycle.proceed(self)
        elif queue:
            if self.state == RUNNING:
                self.schedule()
        elif queue is not IDLE:
            self.queue = IDLE
            give_back(queue)

    def lapsed(self, envelope: Envelope) -> bool:
        """Whether the message in an envelope is of no use any more; if so it is accounted for."""
        reply = envelope.reply
        if reply is None:
            if envelope.still_counts is None or envelope.still_counts():
                return False
        elif reply.done():
            # Cancelled by its asker, or expired and failed by the sweep.
            self.bury(envelope, Reason.CANCELLED if reply.cancelled() else Reason.EXPIRED)
        elif envelope.deadline and self.system.clock.time() >= envelope.deadline:
            self.bury(envelope, Reason.EXPIRED)
        else:
            return False
        self.handled -= 1  # the batch counts what it takes out
        return True

    # ---- accounts

    def turn_away(self, item: object, reason: Reason) -> None:
        """Make a dead letter of a message that is being sent just now."""
        self.bury(item, reason, sender=self.system.running_path())

    def bury(self, item: object, reason: Reason, detail: str = "", *, sender: str = "") -> None:
        """Make a dead letter of a message. Who asked is told, if the actor has stopped; for other reasons it was."""
        if type(item) is Envelope:
            if item.still_counts is not None:
                return  # a timer's tick or a notice of the engine: nobody sent it, nobody misses it
            if item.reply is not None and not item.reply.done() and reason is Reason.STOPPED:
                item.reply.set_exception(ActorStopped(f"{self.path} has stopped"))
        self.system.dead_letters.publish(DeadLetter(message_of(item), self.path, reason, sender, detail))

    def own(self) -> Particulars:
        """The rare things about this cell, to write to."""
        if self.particulars is NOTHING_SPECIAL:
            self.particulars = Particulars()
        return self.particulars
