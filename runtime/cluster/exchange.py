"""Questions across nodes: those that this node asked and waits for, and those that it was asked and owes an answer."""

from __future__ import annotations

import asyncio
import itertools
import math
from functools import partial
from typing import Any, Final

from msgspec import Raw

from protocols.cluster import Answer, Ask, Cancel, Failure, Tell, Want
from protocols.errors import ParleyError
from runtime.cluster.codec import Codec
from runtime.cluster.errors import NodeAway, from_failure, to_failure
from runtime.cluster.outbox import Outbox
from runtime.cluster.parked import Arrived, Wish, want_of
from runtime.engine import ActorSystem, AskTimeout, DeadLetter, MailboxFull, Reason, Ref
from runtime.engine.envelope import Envelope

Future = asyncio.Future[Any]


class _Asked:
    """A question under way: its reply, and by which address and node it went out."""

    __slots__ = ("node", "reply", "target")

    def __init__(self, reply: Future, node: str, target: str) -> None:
        self.reply = reply
        self.node = node
        self.target = target


class Exchange:
    """Both sides of every question that leaves or enters the node."""

    def __init__(self, system: ActorSystem, codec: Codec, outbox: Outbox) -> None:
        self._system = system
        self._codec = codec
        self._outbox = outbox
        self._ids = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._owed: dict[tuple[str, int], Future] = {}

    @property
    def asked(self) -> int:
        """Questions of this node that wait for an answer."""
        return len(self._asked)

    @property
    def owed(self) -> int:
        """Questions of other nodes that this one has not answered yet."""
        return len(self._owed)

    # ---- what goes out

    def send(self, node: str, target: str, envelope: Envelope) -> bool:
        """Send a message to an address on another node. False: refused, and who asked was told."""
        try:
            raw = NOTHING if envelope.message is None else self._codec.message(envelope.message)
        except ParleyError as error:
            self.refuse(envelope, target, error)
            return False
        reply = envelope.reply
        frame: Tell | Ask
        ask_id = 0
        if reply is None:
            frame = Tell(target, raw)
        else:
            if reply.done():
                return True
            ask_id = next(self._ids)
            frame = Ask(target, ask_id, envelope.deadline or math.inf, raw, want_of(envelope))
        if not self._outbox.put(node, frame):
            self.refuse(envelope, target, MailboxFull(f"too much waits to be sent to {node}"), Reason.MAILBOX_FULL)
            return False
        if reply is not None:
            self._asked[ask_id] = _Asked(reply, node, target)
            reply.add_done_callback(partial(self._settled, ask_id))
        return True

    def refuse(self, envelope: Envelope, target: str, error: ParleyError, reason: Reason = Reason.REFUSED) -> None:
        """Account for a message that will not get there."""
        if envelope.reply is not None and not envelope.reply.done():
            envelope.reply.set_exception(error)
        sender = self._system.running_path()
        self._system.dead_letters.publish(DeadLetter(envelope.message, target, reason, sender, error.detail))

    def answered(self, answer: Answer) -> None:
        """An answer came in. One that nobody waits for any more is dropped."""
        asked = self._asked.pop(answer.id, None)
        if asked is None or asked.reply.done():
            return
        try:
            asked.reply.set_result(self._codec.read_answer(answer.value))
        except ParleyError as error:
            asked.reply.set_exception(error)

    def failed(self, failure: Failure) -> None:
        """An error came in as an answer."""
        asked = self._asked.pop(failure.id, None)
        if asked is not None and not asked.reply.done():
            asked.reply.set_exception(from_failure(failure))

    def sent_elsewhere(self, ask_id: int) -> None:
        """A question goes to another node than it was meant for at first."""
        if ask_id in self._asked:
            self._asked[ask_id].node = ""

    def node_gone(self, node: str) -> None:
        """A node has died: nobody there answers, and nobody there waits."""
        for ask_id in [ask_id for ask_id, asked in self._asked.items() if asked.node == node]:
            asked = self._asked.pop(ask_id)
            if not asked.reply.done():
                asked.reply.set_exception(NodeAway(f"the node of {asked.target} is gone; whether it was done is open"))
        for key in [key for key in self._owed if key[0] == node]:
            self._owed.pop(key).cancel()

    def _settled(self, ask_id: int, reply: Future) -> None:
        asked = self._asked.pop(ask_id, None)
        if asked is not None:
            # Not by an answer: it was cancelled, or its time is up.
            self._outbox.put(asked.node, Cancel(asked.target, ask_id))

    # ---- what comes in

    def serve_tell(self, ref: Ref, tell: Tell) -> None:
        """Give a message from elsewhere to its actor."""
        try:
            message = self._codec.read_message(tell.message)
        except ParleyError as error:
            self.bury(tell.message, tell.target, error)
            return
        ref.tell(message)

    def serve(self, ref: Ref, arrived: Arrived, ask: Ask) -> None:
        """Give a question from elsewhere to its actor, and see that its answer goes back."""
        system, key = self._system, (arrived.origin, ask.id)
        if key in self._owed:
            return
        remaining_s = arrived.deadline - system.clock.time()
        if remaining_s <= 0:
            self.bury(ask.message, ask.target, AskTimeout("it was too late when it came"), Reason.EXPIRED)
            return
        try:
            message = None if ask.want is Want.STOPPED else self._codec.read_message(ask.message)
        except ParleyError as error:
            self.bury(ask.message, ask.target, error)
            self._outbox.put_always(arrived.origin, to_failure(ask.id, error))
            return
        reply: Future = system.create_future()
        if remaining_s < math.inf:
            system.asks.add(reply, rounded_up(remaining_s))
        self._owed[key] = reply
        reply.add_done_callback(partial(self._reply, key))
        if ask.want is Want.ANSWER:
            system.deliver(ref, Envelope(message, reply, arrived.deadline if remaining_s < math.inf else 0.0))
        else:
            self.grant(ref, Wish(message, reply, arrived.deadline, ask.want))

    def grant(self, ref: Ref, wish: Wish) -> None:
        """Do what a sender waits for, with an actor that is here, in a task that ends when nobody waits any more."""
        reply = wish.reply
        if reply is not None and not reply.done():
            remaining_s = wish.deadline - self._system.clock.time()
            task = self._system.create_task(_wait(ref, wish, remaining_s, reply))
            reply.add_done_callback(lambda _: task.cancel())

    def cancel(self, origin: str, ask_id: int) -> bool:
        """Nobody there waits for this any more. Whether it was here."""
        reply = self._owed.pop((origin, ask_id), None)
        return reply is not None and reply.cancel()

    def fail(self, origin: str, ask_id: int, error: ParleyError) -> None:
        """Answer a question from elsewhere, which no actor has seen, with an error."""
        self._outbox.put_always(origin, to_failure(ask_id, error))

    def close(self, error: ParleyError) -> None:
        """Nothing is sent or received any more."""
        asked, self._asked = self._asked, {}
        for one in asked.values():
            if not one.reply.done():
                one.reply.set_exception(error)
        owed, self._owed = self._owed, {}
        for reply in owed.values():
            reply.cancel()

    def _reply(self, key: tuple[str, int], reply: Future) -> None:
        if self._owed.pop(key, None) is None or reply.cancelled():
            return
        origin, ask_id = key
        error = reply.exception()
        if error is not None:
            self._outbox.put_always(origin, to_failure(ask_id, error))
            return
        try:
            frame: Answer | Failure = Answer(ask_id, self._codec.answer(reply.result()))
        except ParleyError as unsendable:
            frame = to_failure(ask_id, unsendable)
        self._outbox.put_always(origin, frame)

    def bury(self, raw: Raw, target: str, error: ParleyError, reason: Reason = Reason.REFUSED) -> None:
        """Make a dead letter of what came in and cannot be given to anybody."""
        try:
            message = self._codec.read_message(raw)
        except ParleyError:
            message = bytes(raw)
        self._system.dead_letters.publish(DeadLetter(message, target, reason, "", error.detail))


NOTHING: Final = Raw(b"\xc0")


def rounded_up(seconds: float) -> float:
    """At most 1/16 more, so that limits of any length share the queues of few."""
    mantissa, exponent = math.frexp(seconds)
    return math.ldexp(math.ceil(mantissa * 32) / 32, exponent)


async def _wait(ref: Ref, wish: Wish, limit_s: float, reply: Future) -> None:
    try:
        if wish.want is Want.ROOM:
            await ref.wait_tell(wish.message, limit_s)
        else:
            await ref.wait_stopped()
    except ParleyError as error:
        if not reply.done():
            reply.set_exception(error)
    else:
        if not reply.done():
            reply.set_result(None)
