"""One claimed task at work: its handler in a task of the loop, its time limit, and why it was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto

import msgspec

from protocols.task_message import TaskMessage
from runtime.engine import Clock
from runtime.queue.handlers import Handler, TaskContext, Unprocessable
from runtime.queue.task_queue import Buried, Cancelled, Claim, Completed, Failed, GivenBack, Settlement

REASON_CHARACTERS = 500


class Interruption(Enum):
    """Why a handler was cancelled."""

    TOO_LONG = auto()
    CANCELLED = auto()
    LEASE_LOST = auto()
    STOPPING = auto()


class Running:
    """Made with everything in hand; `begin` starts the handler and calls `ended(self)` once it is over."""

    __slots__ = ("claim", "handler", "interruption", "limit_s", "message", "task")

    def __init__(self, claim: Claim, message: TaskMessage, handler: Handler) -> None:
        self.claim = claim
        self.message = message
        self.handler = handler
        self.interruption: Interruption | None = None
        self.task: asyncio.Task[object] | None = None
        self.limit_s = message.timeout if handler.timeout_s is None else handler.timeout_s

    def begin(self, context: TaskContext, clock: Clock, ended: Callable[[Running], None]) -> None:
        """Start the handler."""
        limit = clock.call_at(context.deadline, lambda: self.interrupt(Interruption.TOO_LONG))
        self.task = asyncio.create_task(self._handle(context), name=self.claim.id)

        def over(_: asyncio.Future[object]) -> None:
            limit.cancel()
            ended(self)

        self.task.add_done_callback(over)

    async def _handle(self, context: TaskContext) -> object:
        # Not the handler's coroutine itself: whatever it does when called, it fails here and nowhere else.
        return await self.handler.run(self.message.payload, context)

    def interrupt(self, why: Interruption) -> None:
        """Cancel the handler. The first reason counts."""
        if self.interruption is None and self.task is not None and not self.task.done():
            self.interruption = why
            self.task.cancel()

    def settlement(self, delay_s: Callable[[int], float]) -> Settlement | None:
        """What is to be told of the ended handler; nothing when the claim is another's by now."""
        assert self.task is not None
        if self.interruption is Interruption.LEASE_LOST:
            return None
        if not self.task.cancelled():
            error = self.task.exception()
            return self._completed() if error is None else self._failed(error, delay_s)
        match self.interruption:
            case Interruption.CANCELLED:
                return Cancelled(self.claim)
            case Interruption.STOPPING:
                return GivenBack(self.claim)
            case Interruption.TOO_LONG:
                return self._again(f"it took longer than {self.limit_s:g} s", delay_s)
            case _:
                return self._again("its handler cancelled itself", delay_s)

    def _completed(self) -> Settlement:
        assert self.task is not None
        kind = self.handler.kind
        if kind.result_ttl_s <= 0:
            return Completed(self.claim)
        try:
            result = msgspec.json.encode(self.task.result())
        except (TypeError, ValueError, OverflowError) as error:
            return Buried(self.claim, f"its result is no JSON: {error}"[:REASON_CHARACTERS])
        return Completed(self.claim, result, kind.result_ttl_s)

    def _failed(self, error: BaseException, delay_s: Callable[[int], float]) -> Settlement:
        if isinstance(error, Unprocessable):
            return Buried(self.claim, error.detail[:REASON_CHARACTERS])
        return self._again(f"{type(error).__name__}: {error}", delay_s)

    def _again(self, reason: str, delay_s: Callable[[int], float]) -> Settlement:
        return Failed(self.claim, reason[:REASON_CHARACTERS], delay_s(self.message.retry_count + 1))
