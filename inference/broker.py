"""The client side of inference: requests in, futures out, with a ROUTER socket and worker processes behind them.

Every submitted request is settled: by its result, its deadline, its cancellation, or an error that says why. No failure
of a worker leaves one hanging. All of it runs on one event loop, asyncio's or uvloop's, in callbacks that never block.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from inference.broker_settings import (
    BrokerSettings,
    BrokerStatistics,
    InferenceRequest,
    InferenceResult,
    WorkerStatistics,
)
from inference.dispatcher import Dispatcher
from inference.jobs import Job, Limits
from inference.launch import worker_launch
from inference.router import Router
from inference.worker_process import Launch, RestartPolicy, Slot
from inference.workforce import Workforce
from protocols.errors import FailedPrecondition, InvalidArgument, ParleyError, Unavailable, from_code
from protocols.inference import (
    Cancel,
    Failure,
    FromWorker,
    MalformedFrames,
    NotReady,
    Payload,
    Ready,
    Request,
    Result,
    Stop,
    decode_from_worker,
    encode,
)

__all__ = [
    "Broker",
    "BrokerSettings",
    "BrokerStatistics",
    "InferenceRequest",
    "InferenceResult",
    "Limits",
    "RestartPolicy",
    "WorkerStatistics",
]

log = logging.getLogger(__name__)

Answer = asyncio.Future[InferenceResult]


class _Pending:
    """One submitted request and the future that its asker holds."""

    __slots__ = ("answer", "began", "job", "request")

    def __init__(self, request: InferenceRequest, job: Job, answer: Answer, began: float) -> None:
        self.request = request
        self.job = job
        self.answer = answer
        self.began = began


class Broker:
    """Owns the workers of one node. Make, `start`, `submit` to and `stop` it in one running loop.

    `clock` (seconds that only grow) is the loop's own time unless given; `rng` spreads restarts.
    """

    def __init__(
        self, settings: BrokerSettings, *, clock: Callable[[], float] | None = None, rng: random.Random | None = None
    ) -> None:
        self.settings = settings
        self._loop = asyncio.get_running_loop()
        self._clock = clock or self._loop.time
        self._dispatcher = Dispatcher(settings.limits, self)
        self._workers = Workforce(settings, self._launch, self, self._clock, rng or random.Random())
        self._pending: dict[int, _Pending] = {}
        self._all_settled = asyncio.Event()
        self._router: Router | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._failed = self._malformed = 0
        self._closing = False

    def __repr__(self) -> str:
        return f"<Broker workers={self.settings.workers} queued={self._dispatcher.queued}>"

    async def start(self) -> None:
        """Bind the socket and start the workers. It does not wait for them; `wait_ready` does."""
        if self._router is not None or self._closing:
            raise FailedPrecondition("a broker is started once")
        self._router = Router(self._loop, self._received)
        self._workers.start()

    async def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until one worker can serve. Raises Unavailable with the reason when none will, or none could in time."""
        await self._workers.wait_ready(timeout_s)

    def submit(self, request: InferenceRequest) -> Answer:
        """Queue one request. The future gets its result or a ParleyError: InvalidArgument, Unimplemented (the model is
        not here), ResourceExhausted (the queue is full; `retry_after_s` is set), DeadlineExceeded, Unavailable,
        Internal. Cancelling the future withdraws the request.
        """
        answer: Answer = self._loop.create_future()
        now = self._clock()
        try:
            job = self._admit(request, now)
        except ParleyError as error:
            answer.set_exception(error)
            return answer
        self._pending[job.number] = _Pending(request, job, answer, now)
        self._all_settled.clear()
        answer.add_done_callback(lambda done: self._withdrawn(job) if done.cancelled() else None)
        self._dispatcher.dispatch(now)
        self._set_timer()
        return answer

    def statistics(self) -> BrokerStatistics:
        """The broker at this moment."""
        counts = self._dispatcher.counts
        return BrokerStatistics(
            queued=self._dispatcher.queued,
            in_flight=self._dispatcher.in_flight,
            admitted=counts.admitted,
            answered=counts.answered,
            failed=self._failed,
            refused=counts.refused,
            expired=counts.expired,
            cancelled=counts.cancelled,
            retried=counts.retried,
            poisoned=counts.poisoned,
            stuck=counts.stuck,
            malformed=self._malformed,
            worker_deaths=self._workers.deaths,
            broken=self._workers.broken,
            tasks=self._workers.tasks,
            workers=self._workers.statistics(self._dispatcher.held_by),
        )

    async def stop(self) -> None:
        """Refuse what is new, let workers finish what they hold for at most `drain_timeout_s`, then end them. What is
        left is settled with Unavailable. May be called more than once.
        """
        self._closing = True
        self._dispatcher.abandon(self._unavailable)
        await self._drain()
        for pending in list(self._pending.values()):
            self._dispatcher.cancel(pending.job)
            self.settle(pending.job, self._unavailable())
        for key in self._workers.identities:
            self._send(key, encode(Stop()))
        await self._workers.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._router is not None:
            self._router.close()

    # What the dispatcher asks for (inference.jobs.Outside).

    def send(self, key: bytes, job: Job, remaining_s: float) -> bool:
        """Send a job to a worker."""
        request = self._pending[job.number].request
        header = Request(job.number, request.task, request.model, remaining_s * 1000, request.params)
        return self._send(key, encode(header, request.payload), job.size)

    def withdraw(self, key: bytes, job: Job) -> None:
        """Tell a worker that nobody waits for a job."""
        self._send(key, encode(Cancel(job.number)))

    def settle(self, job: Job, error: ParleyError) -> None:
        """Give an asker an error."""
        pending = self._pop(job)
        if pending is not None and not pending.answer.done():
            pending.answer.set_exception(error)

    def kill(self, key: bytes, reason: str) -> None:
        """End a worker."""
        slot = self._workers.find(key)
        if slot is not None:
            slot.kill(reason)

    # What becomes of the workers (inference.workforce.Owner).

    def worker_lost(self, key: bytes, *, crashed: bool) -> None:
        """A worker is gone."""
        self._dispatcher.lose(key, self._clock(), blame=crashed)
        self._set_timer()

    def workers_broken(self) -> None:
        """No worker can be had: nobody is to wait for one."""
        self._dispatcher.abandon(self._unavailable)

    # What comes in and what time asks for.

    def _admit(self, request: InferenceRequest, now: float) -> Job:
        if self._router is None or self._closing or self._workers.broken:
            raise self._unavailable()
        size = sum(memoryview(frame).nbytes for frame in request.payload)
        if size > self.settings.limits.queue_bytes:
            raise InvalidArgument(f"the payload has {size} bytes, the limit is {self.settings.limits.queue_bytes}")
        return self._dispatcher.admit(request.model or request.task, size, now + request.timeout_s)

    def _received(self, frames: Sequence[bytes]) -> None:
        slot = self._workers.find(frames[0])
        try:
            message = decode_from_worker(frames[1:])
        except MalformedFrames as error:
            self._malformed += 1
            log.error("%r sent a malformed message: %s", frames[0], error.detail)
            if slot is not None:
                slot.kill(f"it sent a malformed message: {error.detail}")
            return
        if slot is not None:  # else it is the last word of a process that was given up
            self._handle(slot, frames[0], message)

    def _handle(self, slot: Slot, key: bytes, message: FromWorker) -> None:
        now = self._clock()
        match message:
            case Result() | Failure():
                self._answered(key, message, now)
            case Ready():
                self._workers.mark_ready(slot, message)
                self._dispatcher.join(key, now)
            case NotReady():
                slot.blame(message.detail)
        self._set_timer()

    def _answered(self, key: bytes, message: Result | Failure, now: float) -> None:
        job = self._dispatcher.answer(key, message.id, now)
        pending = self._pop(job) if job is not None else None
        if pending is not None and not pending.answer.done():
            if isinstance(message, Failure):
                self._failed += 1
                pending.answer.set_exception(from_code(message.code, message.detail))
            else:
                queue_ms = max(0.0, (now - pending.began) * 1000 - message.compute_ms)
                pending.answer.set_result(InferenceResult(message.value, queue_ms, message.compute_ms))
        self._dispatcher.dispatch(now)

    def _withdrawn(self, job: Job) -> None:
        self._pop(job)
        self._dispatcher.cancel(job)
        self._dispatcher.dispatch(self._clock())

    def _tick(self) -> None:
        self._timer = None
        self._dispatcher.tick(self._clock())
        self._set_timer()

    def _set_timer(self) -> None:
        """Keep the one timer at the next moment at which the dispatcher has something to do."""
        at = self._dispatcher.next_tick()
        if at is None or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(0.0, at - self._clock()), self._tick)

    def _pop(self, job: Job) -> _Pending | None:
        pending = self._pending.pop(job.number, None)
        if not self._pending:
            self._all_settled.set()
        return pending

    def _send(self, key: bytes, frames: Sequence[Payload], size: int = 0) -> bool:
        return self._router is not None and self._router.send([key, *frames], size)

    async def _drain(self) -> None:
        if not self._pending:
            return
        try:
            async with asyncio.timeout(self.settings.drain_timeout_s):
                await self._all_settled.wait()
        except TimeoutError:
            log.warning("%d requests were still running at the stop", len(self._pending))

    def _launch(self, identity: str) -> Launch:
        assert self._router is not None
        return worker_launch(self.settings, self._router.endpoint, identity)

    def _unavailable(self) -> Unavailable:
        if self._closing:
            return Unavailable("inference is shutting down")
        if self._workers.broken:
            return Unavailable(self._workers.broken, retry_after_s=self.settings.restarts.longest_s)
        return Unavailable("inference has not been started")
