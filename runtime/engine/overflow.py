"""A mailbox that cannot take a message by the short way: it is full, its senders wait, or it is closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from runtime.engine.dead_letters import Reason
from runtime.engine.envelope import Envelope
from runtime.engine.errors import ActorStopped, MailboxFull
from runtime.engine.options import Overflow
from runtime.engine.states import STOPPING

if TYPE_CHECKING:
    from runtime.engine.cell import Cell


def tell(cell: Cell, message: object) -> bool:
    """A `tell` that found no room."""
    if cell.state >= STOPPING:
        cell.turn_away(message, Reason.STOPPED)
        return False
    if cell.options.overflow is Overflow.DROP_OLDEST:
        _drop_oldest(cell)
        cell.put_unbounded(message)
        return True
    cell.own().refused += 1
    cell.turn_away(message, Reason.MAILBOX_FULL)
    return False


def put(cell: Cell, envelope: Envelope) -> None:
    """An `ask`, or a forwarded message, that found no room."""
    if cell.state >= STOPPING:
        cell.turn_away(envelope, Reason.STOPPED)
    elif cell.options.overflow is Overflow.DROP_OLDEST:
        _drop_oldest(cell)
        cell.put_unbounded(envelope)
    elif cell.options.overflow is Overflow.WAIT and envelope.reply is not None:
        _wait_in_line(cell, envelope, envelope.reply)
    else:
        cell.own().refused += 1
        cell.turn_away(envelope, Reason.MAILBOX_FULL)
        if envelope.reply is not None and not envelope.reply.done():
            envelope.reply.set_exception(MailboxFull(_full(cell)))


async def wait_tell(cell: Cell, message: object, timeout_s: float | None) -> None:
    """Put a message in, waiting for room where overflow is WAIT. Raises MailboxFull, ActorStopped, AskTimeout."""
    if cell.state >= STOPPING:
        cell.turn_away(message, Reason.STOPPED)
        raise ActorStopped(f"{cell.path} has stopped")
    if len(cell.queue) < cell.capacity or cell.options.overflow is not Overflow.WAIT:
        if not cell.tell(message):
            raise MailboxFull(_full(cell))
        return
    admitted: asyncio.Future[None] = cell.system.create_future()
    cell.system.asks.add(admitted, cell.system.ask_timeout_s if timeout_s is None else timeout_s)
    _wait_in_line(cell, Envelope(message), admitted)
    await admitted


def admit_senders(cell: Cell) -> None:
    """Let the senders that wait into the room there is now, first come first served."""
    senders = cell.particulars.senders
    while senders and len(cell.queue) < cell.options.capacity and cell.state < STOPPING:
        if _dismissed(cell):
            continue
        envelope, waiting = senders.popleft()
        if envelope.reply is None:
            waiting.set_result(None)
            cell.put_unbounded(envelope.message)
        else:
            cell.put_unbounded(envelope)
    if not senders and cell.state < STOPPING:
        cell.capacity = cell.options.capacity


def refuse_senders(cell: Cell) -> None:
    """Turn away the senders that wait, when the actor stops."""
    senders = cell.particulars.senders
    while senders:
        envelope, waiting = senders.popleft()
        cell.bury(envelope, Reason.STOPPED)
        if not waiting.done():
            waiting.set_exception(ActorStopped(f"{cell.path} has stopped"))


def _wait_in_line(cell: Cell, envelope: Envelope, waiting: asyncio.Future[Any]) -> None:
    """`waiting` ends when the sender gives up: the reply of an ask, or what `wait_tell` awaits."""
    senders = cell.own().senders
    # The line is as long as its senders are patient, also when the actor takes nothing in.
    while senders and _dismissed(cell):
        continue
    senders.append((envelope, waiting))
    # Whoever comes next must not overtake those in line.
    cell.capacity = 0


def _dismissed(cell: Cell) -> bool:
    """Whether the first in line gave up: then it is out of the line."""
    envelope, waiting = cell.particulars.senders[0]
    if not waiting.done():
        return False
    cell.particulars.senders.popleft()
    cell.bury(envelope, Reason.CANCELLED if waiting.cancelled() else Reason.EXPIRED)
    return True


def _drop_oldest(cell: Cell) -> None:
    for index, oldest in enumerate(cell.queue):
        # A timer's tick or a notice of the engine is nobody's message: those stay.
        if type(oldest) is not Envelope or oldest.still_counts is None:
            del cell.queue[index]
            cell.bury(oldest, Reason.DROPPED_OLDEST)
            if type(oldest) is Envelope and oldest.reply is not None and not oldest.reply.done():
                oldest.reply.set_exception(MailboxFull(_full(cell)))
            return


def _full(cell: Cell) -> str:
    return f"the mailbox of {cell.path} is full ({cell.options.capacity} messages)"
