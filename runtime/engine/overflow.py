"""A mailbox that cannot take a message by the short way: it is full, its senders wait, or it is closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

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
        cell.bury(message, Reason.STOPPED)
        return False
    if cell.options.overflow is Overflow.DROP_OLDEST:
        _drop_oldest(cell)
        cell.put_unbounded(message)
        return True
    cell.own().refused += 1
    cell.bury(message, Reason.MAILBOX_FULL)
    return False


def put(cell: Cell, envelope: Envelope) -> None:
    """An `ask`, or a forwarded message, that found no room."""
    if cell.state >= STOPPING:
        cell.bury(envelope, Reason.STOPPED)
    elif cell.options.overflow is Overflow.DROP_OLDEST:
        _drop_oldest(cell)
        cell.put_unbounded(envelope)
    elif cell.options.overflow is Overflow.WAIT:
        _wait_in_line(cell, envelope, None)
    else:
        cell.own().refused += 1
        cell.bury(envelope, Reason.MAILBOX_FULL)
        if envelope.reply is not None and not envelope.reply.done():
            envelope.reply.set_exception(MailboxFull(_full(cell)))


async def wait_tell(cell: Cell, message: object, timeout_s: float | None) -> None:
    """Put a message in, waiting for room where overflow is WAIT. Raises MailboxFull, ActorStopped, AskTimeout."""
    if cell.state >= STOPPING:
        cell.bury(message, Reason.STOPPED)
        raise ActorStopped(f"{cell.path} has stopped")
    if len(cell.queue) < cell.capacity or cell.options.overflow is not Overflow.WAIT:
        if not cell.tell(message):
            raise MailboxFull(_full(cell))
        return
    admitted: asyncio.Future[None] = cell.system.create_future()
    cell.system.asks.add(admitted, timeout_s or cell.system.ask_timeout_s)
    _wait_in_line(cell, Envelope(message), admitted)
    await admitted


def admit_senders(cell: Cell) -> None:
    """Let the senders that wait into the room there is now, first come first served."""
    senders = cell.particulars.senders
    while senders and len(cell.queue) < cell.options.capacity and cell.state < STOPPING:
        envelope, admitted = senders.popleft()
        if admitted is None:
            if envelope.reply is not None and envelope.reply.done():
                cell.bury(envelope, Reason.CANCELLED if envelope.reply.cancelled() else Reason.EXPIRED)
            else:
                cell.put_unbounded(envelope)
        elif not admitted.done():  # else its sender gave up, and was told so
            admitted.set_result(None)
            cell.put_unbounded(envelope.message)
    if not senders and cell.state < STOPPING:
        cell.capacity = cell.options.capacity


def refuse_senders(cell: Cell) -> None:
    """Turn away the senders that wait, when the actor stops."""
    senders = cell.particulars.senders
    while senders:
        envelope, admitted = senders.popleft()
        cell.bury(envelope, Reason.STOPPED)
        if admitted is not None and not admitted.done():
            admitted.set_exception(ActorStopped(f"{cell.path} has stopped"))


def _wait_in_line(cell: Cell, envelope: Envelope, admitted: asyncio.Future[None] | None) -> None:
    cell.own().senders.append((envelope, admitted))
    # Whoever comes next must not overtake those in line.
    cell.capacity = 0


def _drop_oldest(cell: Cell) -> None:
    if not cell.queue:
        return
    oldest = cell.queue.popleft()
    cell.bury(oldest, Reason.DROPPED_OLDEST)
    if type(oldest) is Envelope and oldest.reply is not None and not oldest.reply.done():
        oldest.reply.set_exception(MailboxFull(_full(cell)))


def _full(cell: Cell) -> str:
    return f"the mailbox of {cell.path} is full ({cell.options.capacity} messages)"
