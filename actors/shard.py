"""`shard/{task}`: owns the worker processes of one AI task. It hands each request to the broker and answers when the
broker does, so it never waits; a request that nobody waits for any more is withdrawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from inference.broker import BrokerStatistics, InferenceRequest, InferenceResult
from protocols.ai import GetShard, InferenceDone, RunInference, ShardView
from protocols.errors import InvalidArgument, ParleyError, Unavailable, Unimplemented
from runtime.engine import Actor, Options, Reply, on

log: Final = structlog.get_logger("parley.shard")

OPTIONS: Final = Options(stop_timeout_s=20.0)
"""Of the kind `shard`: its end takes as long as its workers' last requests."""

HOW_TO_GET: Final = "get the models with `python -m inference.repository pull`"


class Broker(Protocol):
    """What a shard needs of `inference.broker.Broker`."""

    def start(self) -> Awaitable[None]: ...
    def stop(self) -> Awaitable[None]: ...
    def submit(self, request: InferenceRequest) -> asyncio.Future[InferenceResult]: ...
    def statistics(self) -> BrokerStatistics: ...


@dataclass(frozen=True, slots=True)
class ShardDeps:
    """What a shard needs: a broker that is not started. It is made on the loop, once in each life of the shard."""

    make_broker: Callable[[], Broker]


class Shard(Actor):
    """One task's workers. The kind must never rest: a stopped shard has no workers."""

    def __init__(self, task: str, deps: ShardDeps) -> None:
        self._task = task
        self._deps = deps
        self._broker: Broker | None = None
        self._unfit: Callable[[], ParleyError] = lambda: Unavailable("inference is starting")

    async def started(self) -> None:
        """Start the workers. Where that cannot be, the node goes on without them, and says so to everyone who asks."""
        broker = None
        try:
            broker = self._deps.make_broker()
            await broker.start()
        except Unimplemented as error:
            detail = error.detail  # it says already what would help
            self._unfit = lambda: Unimplemented(detail)
        except ParleyError as error:
            help_ = f"{self._task} cannot be done here: {error.detail}; {HOW_TO_GET}"
            self._unfit = lambda: Unimplemented(help_)
        except OSError as error:
            reason = f"{self._task} has no workers: {error.strerror or error}"
            self._unfit = lambda: Unavailable(reason)
        else:
            self._broker = broker
            return
        log.error("shard without workers", task=self._task, reason=self._unfit().detail)
        if broker is not None:
            await broker.stop()

    async def stopped(self) -> None:
        """End the workers."""
        await self._stop_broker()

    async def restarting(self, error: BaseException) -> None:
        """End the workers: the next life starts its own."""
        await self._stop_broker()

    @on(RunInference)
    def run(self, message: RunInference) -> None:
        """Have one item run; the answer comes from the broker."""
        if self._broker is None:
            raise self._unfit()
        remaining_s = self.remaining_s
        if remaining_s is None:
            raise InvalidArgument("inference is asked for, not told: nobody would get its result")
        reply = self.defer()
        request = InferenceRequest(self._task, (message.payload,), message.params, message.model, remaining_s)
        answer = self._broker.submit(request)
        answer.add_done_callback(lambda done: _answer(reply, done))
        reply.on_unwanted(lambda: _withdraw(answer))

    @on(GetShard)
    def describe(self, _: GetShard) -> ShardView:
        """Whether it can serve."""
        if self._broker is None:
            return ShardView(self._task, False, self._unfit().detail, workers=0, queued=0, in_flight=0)
        now = self._broker.statistics()
        ready = sum(worker.state == "ready" for worker in now.workers)
        # Without a worker that is ready, what the last one could do is of no use to anyone.
        can = ready > 0 and self._task in now.tasks
        return ShardView(self._task, can, _words(now, can), ready, now.queued, now.in_flight)

    async def _stop_broker(self) -> None:
        if self._broker is not None:
            broker, self._broker = self._broker, None
            self._unfit = lambda: Unavailable("inference is stopping")
            await broker.stop()


def _answer(reply: Reply, done: asyncio.Future[InferenceResult]) -> None:
    if done.cancelled():
        reply.fail(Unavailable("the request was withdrawn"))
    elif (error := done.exception()) is not None:
        reply.fail(error)
    else:
        result = done.result()
        reply.send(InferenceDone(result.value, result.queue_ms, result.compute_ms))


def _withdraw(answer: asyncio.Future[InferenceResult]) -> None:
    answer.cancel()


def _words(now: BrokerStatistics, can: bool) -> str:
    models = [model for worker in now.workers for model in worker.models]
    if can:
        return ", ".join(sorted({f"{model.name} {model.version}" for model in models if not model.error}))
    errors = {model.error for model in models if model.error}
    return now.broken or "; ".join(sorted(errors)) or "no worker is ready yet"
