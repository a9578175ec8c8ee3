"""The task of an actor whose handler needs awaiting. It goes on with the mailbox until that is empty, the quantum is
spent, or a handler needs no awaiting any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from runtime.engine import failure, overflow
from runtime.engine.envelope import Envelope
from runtime.engine.states import RUNNING

if TYPE_CHECKING:
    from runtime.engine.cell import Cell


async def drive(cell: Cell, handling: Coroutine[Any, Any, Any] | None, quantum: int) -> None:
    """Await the handler of the cell's current message and answer it; then go on, up to `quantum` messages."""
    mine = cell.task
    assert mine is not None
    spent = cell.handled + quantum
    try:
        while handling is not None:
            cell.system.watchdog.mark(cell)
            if cell.particulars.senders:
                overflow.admit_senders(cell)
            item = cell.current
            try:
                result = await handling
            except asyncio.CancelledError:
                if cell.task is mine:  # else it was left behind, and accounted for
                    failure.interrupted(cell, item)
            except Exception as error:
                if cell.task is mine:
                    failure.settle(cell, item, error)
            else:
                # `current` is another when the handler deferred, stashed or forwarded the message.
                if cell.current is item and type(item) is Envelope and item.reply is not None:
                    _answer(item.reply, result)
            # A task that was once cancelled stays marked as such: what comes next gets another.
            goes_on = cell.task is mine and cell.state == RUNNING and cell.handled < spent and not mine.cancelling()
            handling = cell.batch(quantum) if goes_on else None
    finally:
        if cell.task is mine:
            cell.rest()


def _answer(reply: asyncio.Future[Any], result: object) -> None:
    if not reply.done():
        reply.set_result(result)
