"""The loop of a worker: take what came, run one item, answer it, look again. Every request gets exactly one answer.

Blocking and single: while an item runs nothing else does, but between two tokens the socket is looked at, so that a
cancel or an expired deadline ends the work early.
"""

from __future__ import annotations

import logging
import socket as sockets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import zmq

from inference.pipeline import Pipelines
from protocols.errors import Code, DeadlineExceeded, ParleyError
from protocols.inference import (
    Cancel,
    Failure,
    FromWorker,
    MalformedFrames,
    ModelState,
    Payload,
    Ready,
    Request,
    Result,
    Stop,
    decode_to_worker,
    encode,
)

log = logging.getLogger(__name__)

POLL_MS: Final = 1000


class Cancelled(ParleyError):
    """Nobody waits for the answer any more."""

    code = Code.CANCELLED


class _Item:
    __slots__ = ("arrived", "cancelled", "deadline", "payload", "request")

    def __init__(self, request: Request, payload: Sequence[Payload], now: float) -> None:
        self.request = request
        self.payload = payload
        self.arrived = now
        self.deadline = now + request.remaining_ms / 1000
        self.cancelled = False


class WorkerLoop:
    """Serves one connected DEALER socket until it is told to stop, `wake` is written to, or `abandoned` says so."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        pipelines: Pipelines,
        clock: Callable[[], float],
        wake: sockets.socket | None = None,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> None:
        self._socket = socket
        self._pipelines = pipelines
        self._clock = clock
        self._wake = wake
        self._abandoned = abandoned
        self._waiting: deque[_Item] = deque()
        self._current: _Item | None = None
        self._stopping = False

    def stop(self) -> None:
        """Finish the item in hand, then leave the loop. Safe in a signal handler."""
        self._stopping = True

    def run(self, pid: int, load_ms: float) -> None:
        """Say that the worker is ready, then serve."""
        announced = self._announce(pid, load_ms)
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        if self._wake is not None:
            poller.register(self._wake, zmq.POLLIN)
        while not self._stopping:
            if not self._waiting:
                poller.poll(POLL_MS)
                if self._abandoned():
                    log.warning("the parent is gone; leaving")
                    return
            self._take_all()
            if self._waiting and not self._stopping:
                self._serve(self._waiting.popleft())
                if self._pipelines.states != announced:
                    announced = self._announce(pid, load_ms)

    def _announce(self, pid: int, load_ms: float) -> tuple[ModelState, ...]:
        states = self._pipelines.states
        self._send(Ready(pid, load_ms, self._pipelines.tasks, states))
        return states

    def _take_all(self) -> None:
        """Take every message that is there. The sender's credit bounds how many requests that can be."""
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                message, payload = decode_to_worker(frames)
            except MalformedFrames as error:
                log.error("a message was dropped: %s", error.detail)
                continue
            match message:
                case Request():
                    self._waiting.append(_Item(message, payload, self._clock()))
                case Cancel():
                    self._cancel(message.id)
                case Stop():
                    self.stop()

    def _cancel(self, number: int) -> None:
        for item in (self._current, *self._waiting):
            if item is not None and item.request.id == number:
                item.cancelled = True

    def _serve(self, item: _Item) -> None:
        begun = self._clock()
        self._current = item
        try:
            self._send(self._answer(item, begun))
        finally:
            self._current = None

    def _answer(self, item: _Item, begun: float) -> Result | Failure:
        request = item.request
        try:
            self._check(item)
            pipeline = self._pipelines.choose(request.task, request.model)
            value = pipeline.run(item.payload, request.params, lambda: self._keep_going(item))
        except ParleyError as error:
            return Failure(request.id, error.code, error.detail)
        except Exception as error:
            log.exception("%s failed", request.task)
            return Failure(request.id, Code.INTERNAL, f"{request.task} failed in the worker: {type(error).__name__}")
        queue_ms, compute_ms = (begun - item.arrived) * 1000, (self._clock() - begun) * 1000
        return Result(request.id, value, queue_ms, compute_ms)

    def _keep_going(self, item: _Item) -> None:
        self._take_all()
        self._check(item)

    def _check(self, item: _Item) -> None:
        if item.cancelled:
            raise Cancelled("nobody waits for this request any more")
        if not self._clock() < item.deadline:
            raise DeadlineExceeded("the deadline passed before the work was done")

    def _send(self, message: FromWorker) -> None:
        self._socket.send_multipart(encode(message))
