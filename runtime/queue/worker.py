"""The worker: an actor that claims tasks, runs their handlers, and settles what became of them.

One exchange with the queue is under way at a time; what ends meanwhile goes into the next one together. While the
queue is away the handlers go on, and the exchange that got no answer is repeated until it gets one. A worker that stops
claims nothing more, lets its handlers end for `drain_s` seconds, and gives back what has not ended.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from itertools import count
from typing import Final

import msgspec
import structlog

from protocols import task_message
from protocols.errors import ParleyError
from runtime.engine import Actor, on
from runtime.queue.handlers import Handlers, Progress, TaskContext
from runtime.queue.lease_keeper import LeaseKeeper
from runtime.queue.running import Interruption, Running
from runtime.queue.task_queue import (
    Buried,
    Claim,
    Exchange,
    Exchanged,
    Failed,
    GivenBack,
    Lease,
    Renewal,
    Settlement,
    TaskQueue,
)
from runtime.queue.worker_messages import GetWorkerStatistics, Turn, WorkerStatistics
from runtime.queue.worker_settings import WorkerSettings

log: Final = structlog.get_logger("parley.queue")

SETTLED_AT_ONCE: Final = 1000
CANCELLED_WITHIN_S: Final = 1.0
FLUSH_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class _TellProgress:
    """There is progress to tell."""


@dataclass(frozen=True, slots=True)
class _ListenerBroke:
    error: BaseException


class QueueWorker(Actor):
    """Spawn it with `options=settings.options`. One for each process is enough: its handlers run side by side."""

    def __init__(self, queue: TaskQueue, handlers: Handlers, settings: WorkerSettings) -> None:
        self._queue = queue
        self._by_type = handlers
        self._settings = settings
        self._running: dict[str, Running] = {}
        self._rooms = {handler.kind.name: handler.concurrency for handler in handlers}
        self._settled: list[Settlement] = []
        self._progress: dict[str, tuple[Claim, bytes]] = {}
        self._caller = uuid.uuid4().hex
        self._numbers = count(1)
        self._unanswered: Exchange | None = None
        self._turn_told = self._stopping = False
        self._failures = self._claimed = self._too_late = 0
        self._counts: dict[str, int] = {}
        self._keeper: LeaseKeeper | None = None
        self._listening: asyncio.Task[None] | None = None

    def started(self) -> None:
        """Begin to listen, to keep leases, and to claim."""
        loop = self.system.loop

        def report(renewal: Renewal) -> None:
            loop.call_soon_threadsafe(self._renewed, renewal)

        self._keeper = LeaseKeeper(self._queue.renewer(), self._settings.heartbeat_s, report)
        self._keeper.start()
        self._listening = asyncio.create_task(self._queue.listen(self._soon, self._cancel))
        self._listening.add_done_callback(self._listened)
        self._soon()

    async def stopped(self) -> None:
        """Let go of every task, in good order as far as the queue answers."""
        self._stopping = True
        if self._keeper is None or self._listening is None:
            return
        self._listening.cancel()
        try:
            await self._drain()
        finally:
            await asyncio.to_thread(self._keeper.stop)
            await asyncio.wait([self._listening])

    async def _drain(self) -> None:
        loop = self.system.loop
        until = loop.time() + self._settings.drain_s
        await self._flush()
        while self._running and (left_s := until - loop.time()) > 0:
            tasks = [one.task for one in self._running.values() if one.task]
            await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            await self._flush()
        for one in list(self._running.values()):
            one.interrupt(Interruption.STOPPING)
        if self._running:
            await asyncio.wait([one.task for one in self._running.values() if one.task], timeout=CANCELLED_WITHIN_S)
        for one in self._running.values():
            log.error("handler cannot be cancelled, its task comes back when the lease ends", task=one.claim.id)
        await self._flush()

    async def _flush(self) -> None:
        """Settle everything, and give back at once what an exchange still brings in."""
        attempts = 0
        while exchange := self._unanswered or self._next():
            self._unanswered = exchange
            try:
                answer = await self._queue.exchange(exchange)
            except ParleyError as error:
                attempts += 1
                if attempts == FLUSH_ATTEMPTS:
                    log.warning("not settled, the tasks come back when their leases end", error=error.detail)
                    return
                await asyncio.sleep(self._settings.away.delay_s(attempts, self.system.rng))
            else:
                self._unanswered = None
                self._settled += [GivenBack(claim) for claim in answer.claims]

    async def restarting(self, error: BaseException) -> None:
        """The next life knows nothing of these tasks."""
        await self.stopped()

    @on(Turn)
    async def turn(self, _: Turn) -> None:
        """One exchange, or one more attempt at the last one."""
        self._turn_told = False
        exchange = self._unanswered or self._next()
        if exchange is None:
            return
        self._unanswered = exchange
        try:
            answer = await self._queue.exchange(exchange)
        except ParleyError as error:
            self._failures += 1
            again_in_s = self._settings.away.delay_s(self._failures, self.system.rng)
            if self._failures in (1, 10) or self._failures % 100 == 0:
                log.warning("the queue does not answer", worker=self.path, error=error.detail, times=self._failures)
            self.timers.start("again", Turn(), again_in_s)
            return
        if self._failures:
            log.info("the queue answers again", worker=self.path)
        self._failures = 0
        self._unanswered = None
        self._take(answer)
        if len(answer.claims) >= exchange.batch or self._settled:
            self._soon()
        else:
            due_s = self._settings.poll_s if answer.due_in_s is None else answer.due_in_s
            self.timers.start("due", Turn(), min(due_s, self._settings.poll_s))

    @on(_TellProgress)
    async def tell_progress(self, _: _TellProgress) -> None:
        """Tell what the handlers said since the last time."""
        told, self._progress = self._progress, {}
        try:
            await self._queue.note_progress(list(told.values()))
        except ParleyError as error:
            log.warning("progress not told", worker=self.path, tasks=len(told), error=error.detail)

    @on(GetWorkerStatistics)
    def statistics(self, _: GetWorkerStatistics) -> WorkerStatistics:
        """The figures now."""
        running: dict[str, int] = {}
        for one in self._running.values():
            running[one.message.type] = running.get(one.message.type, 0) + 1
        return WorkerStatistics(running, self._claimed, dict(self._counts), self._too_late, self._failures > 0)

    @on(_ListenerBroke)
    def listener_broke(self, message: _ListenerBroke) -> None:
        """Fail: without its listener a worker would be slow, and its supervisor shall know."""
        raise message.error

    # ---- exchanges

    def _next(self) -> Exchange | None:
        settlements, self._settled = self._settled[:SETTLED_AT_ONCE], self._settled[SETTLED_AT_ONCE:]
        room = self._settings.concurrency - len(self._running)
        rooms = {name: left for name, left in self._rooms.items() if left > 0}
        batch = min(self._settings.batch, room, sum(rooms.values())) if rooms and not self._stopping else 0
        if batch > 0 and len(rooms) > 1:
            first = next(iter(self._rooms))  # types that stepped aside take turns in being looked for first
            self._rooms[first] = self._rooms.pop(first)
        if batch <= 0 and not settlements:
            return None
        return Exchange(self._caller, next(self._numbers), tuple(settlements), max(batch, 0), rooms)

    def _take(self, answer: Exchanged) -> None:
        self._claimed += len(answer.claims)
        for claim in answer.claims:
            self._begin(claim)
        for task_id in answer.refused:
            self._too_late += 1
            log.warning("task settled too late, another worker has it", worker=self.path, task=task_id)

    def _soon(self) -> None:
        if not self._turn_told and not self._stopping:
            self._turn_told = True
            self.ref.tell(Turn())

    # ---- tasks

    def _begin(self, claim: Claim) -> None:
        try:
            message = task_message.decode(claim.text)
            handler = self._by_type[message.type]
        except ParleyError as error:
            self._settle(Buried(claim, error.detail[:500]))
            return
        running = Running(claim, message, handler)
        self._running[claim.id] = running
        self._rooms[message.type] -= 1
        assert self._keeper is not None
        self._keeper.hold(Lease(claim.id, claim.fence, message.visibility_timeout), running.limit_s)
        clock = self.system.clock
        context = TaskContext(message, clock.time() + running.limit_s, clock.time, lambda it: self._note(claim, it))
        running.begin(context, clock, self._ended)

    def _ended(self, running: Running) -> None:
        del self._running[running.claim.id]
        self._rooms[running.message.type] += 1
        self._progress.pop(running.claim.id, None)
        assert self._keeper is not None
        self._keeper.release(running.claim.id)
        settlement = running.settlement(lambda attempt: self._settings.retry.delay_s(attempt, self.system.rng))
        if settlement is not None:
            self._settle(settlement, running)

    def _settle(self, settlement: Settlement, running: Running | None = None) -> None:
        kind = type(settlement).__name__.lower()
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if isinstance(settlement, Failed | Buried):
            last = running is None or running.message.retry_count >= running.message.max_retries
            if last or isinstance(settlement, Buried):
                log.error("task given up", worker=self.path, task=settlement.claim.id, error=settlement.reason)
            else:
                log.warning("task failed", worker=self.path, task=settlement.claim.id, error=settlement.reason)
        self._settled.append(settlement)
        self._soon()

    def _note(self, claim: Claim, progress: Progress) -> None:
        if not self._progress:
            self.timers.start("progress", _TellProgress(), self._settings.progress_s)
        self._progress[claim.id] = (claim, msgspec.json.encode(progress))

    def _cancel(self, task_id: str) -> None:
        if task_id in self._running:
            self._running[task_id].interrupt(Interruption.CANCELLED)

    def _renewed(self, renewal: Renewal) -> None:
        for task_id in renewal.cancelled:
            self._cancel(task_id)
        for task_id in renewal.lost:
            if task_id in self._running:
                log.warning("lease lost, another worker has the task", worker=self.path, task=task_id)
                self._running[task_id].interrupt(Interruption.LEASE_LOST)

    def _listened(self, listening: asyncio.Task[None]) -> None:
        if not listening.cancelled() and (error := listening.exception()) is not None:
            self.ref.tell(_ListenerBroke(error))
