"""Outgoing frames: a bounded queue for each node, and the one writer that sends them, coalesced into parcels.

A parcel that may not have arrived is sent again under its number until it is known to have; the next one for the same
node waits. So a receiver that drops what it has seen gets every frame once, and in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Final

import structlog

from protocols.cluster import Frame, pack
from protocols.errors import ParleyError
from runtime.cluster.patience import pause, retry_s
from runtime.cluster.settings import ClusterSettings
from runtime.cluster.signal import Signal
from runtime.cluster.transport import Transport
from runtime.engine import Clock

log: Final = structlog.get_logger("parley.cluster")


class _Box:
    """What goes to one node. `sending` is the parcel on its way."""

    __slots__ = ("frames", "sending", "sequence")

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()
        self.sending: list[Frame] = []
        self.sequence = 0


class Outbox:
    """Owned by the cluster, which runs `run` in a task. `stamp` gives this node's id and its view's version."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        rng: Random,
        settings: ClusterSettings,
        stamp: Callable[[], tuple[str, int]],
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._stamp = stamp
        self._signal = Signal(asyncio.get_running_loop(), clock)
        self._boxes: dict[str, _Box] = {}
        self.frames_sent = self.parcels_sent = self.retries = 0

    def put(self, node: str, frame: Frame) -> bool:
        """Queue a frame. False: too many wait for this node already."""
        box = self._boxes.get(node)
        if box is None:
            box = self._boxes[node] = _Box()
        frames = box.frames
        if len(frames) >= self._settings.outbox_frames:
            return False
        frames.append(frame)
        self._signal.set()
        return True

    def put_always(self, node: str, frame: Frame) -> None:
        """Queue a frame that is owed for one that came in: an answer, or what the cluster itself has to say."""
        self._boxes.setdefault(node, _Box()).frames.append(frame)
        self._signal.set()

    def drop(self, node: str) -> tuple[list[Frame], list[Frame]]:
        """Give up on a node: the frames that may have arrived, and those that never left."""
        box = self._boxes.get(node)
        if box is None:
            return [], []
        doubtful, unsent = box.sending, list(box.frames)
        # The box stays, for its number: should the node come back after all, it knows how far it had heard.
        box.sending = []
        box.frames.clear()
        return doubtful, unsent

    def begin_again(self) -> list[Frame]:
        """This node has a new id: parcels are counted anew. Returns the frames that go no further: those that may have
        arrived, and those of other nodes, which have given this one up.
        """
        given_up: list[Frame] = []
        for box in self._boxes.values():
            passed_on = [frame for frame in box.frames if getattr(frame, "hops", 0)]
            given_up += [*box.sending, *passed_on]
            box.frames = deque(frame for frame in box.frames if not getattr(frame, "hops", 0))
            box.sending = []
            box.sequence = 0
        return given_up

    @property
    def waiting(self) -> int:
        """Frames that have not left yet."""
        return sum(len(box.frames) + len(box.sending) for box in self._boxes.values())

    async def run(self) -> None:
        """Send until cancelled."""
        failures = 0
        while True:
            if not self.waiting:
                await self._signal.wait()
            try:
                complete = await self._send_round()
            except ParleyError as error:
                complete = False
                if failures.bit_count() == 1:
                    log.warning("cannot send", error=error.detail, failures=failures)
            if complete:
                failures = 0
                continue
            failures += 1
            self.retries += 1
            settings = self._settings
            await pause(retry_s(failures, settings.retry_min_s, settings.retry_max_s, self._rng), self._clock)

    async def _send_round(self) -> bool:
        """Send what waits, a parcel to each node at most. Whether all of it is in."""
        node, view = self._stamp()
        now = self._clock.time()
        parcels: list[tuple[str, bytes]] = []
        boxes: list[_Box] = []
        for target, box in self._boxes.items():
            if self._fill(box):
                parcels.append((target, pack(node, target, box.sequence, view, now, box.sending)))
                boxes.append(box)
        if not parcels:
            return True
        accepted = await self._transport.send(parcels)
        for box, is_in in zip(boxes, accepted, strict=True):
            if is_in:
                self.parcels_sent += 1
                self.frames_sent += len(box.sending)
                box.sending = []
        return all(accepted)

    def _fill(self, box: _Box) -> bool:
        frames = box.frames
        if not box.sending and frames:
            room = self._settings.parcel_frames
            if len(frames) <= room:
                box.sending = list(frames)
                frames.clear()
            else:
                box.sending = [frames.popleft() for _ in range(room)]
            box.sequence += 1
        return bool(box.sending)
