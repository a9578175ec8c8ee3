"""Incoming parcels: each once, in the order sent, told apart by the number that its sender gave it."""

from __future__ import annotations

from random import Random
from typing import Final, Protocol

import structlog

from protocols.cluster import MalformedParcel, Parcel, unpack
from protocols.errors import ParleyError
from runtime.cluster.patience import pause, retry_s
from runtime.cluster.settings import ClusterSettings
from runtime.cluster.transport import Transport
from runtime.engine import Clock

log: Final = structlog.get_logger("parley.cluster")

SENDERS_KEPT: Final = 4096
"""Runs of nodes whose last number is remembered."""


class Receiver(Protocol):
    """Who takes the parcels."""

    async def caught_up(self, version: int) -> None:
        """Wait, for a while, until this version of the membership is known here."""

    def is_me(self, receiver: str) -> bool:
        """Whether this is the run of the node that the parcel was for."""

    def is_gone(self, sender: str) -> bool:
        """Whether this sender was taken for dead: it is to have no say any more."""

    def take(self, parcel: Parcel) -> None:
        """Handle a parcel, at once."""


class Intake:
    """Owned by the cluster, which runs `run` in a task."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        rng: Random,
        settings: ClusterSettings,
        receiver: Receiver,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._receiver = receiver
        self._last: dict[str, int] = {}
        self.parcels = self.repeated = self.lost = self.late = self.malformed = 0

    async def run(self) -> None:
        """Receive until cancelled."""
        failures = 0
        while True:
            try:
                for data in await self._transport.receive():
                    await self._take(data)
                failures = 0
            except ParleyError as error:
                failures += 1
                if failures.bit_count() == 1:
                    log.warning("cannot receive", error=error.detail, failures=failures)
                settings = self._settings
                await pause(retry_s(failures, settings.retry_min_s, settings.retry_max_s, self._rng), self._clock)

    def begin_again(self) -> None:
        """This node has a new id: everybody counts what goes to it from 1."""
        self._last.clear()

    async def _take(self, data: bytes) -> None:
        try:
            parcel = unpack(data)
        except MalformedParcel as error:
            self.malformed += 1
            log.error("malformed parcel", error=error.detail)
            return
        # Its sender may have acted on news that are not known here: then so must what is done here.
        await self._receiver.caught_up(parcel.view)
        if not self._receiver.is_me(parcel.receiver):
            self.late += 1
            return
        last = self._last.get(parcel.sender, 0)
        if parcel.sequence <= last:
            self.repeated += 1
            return
        if parcel.sequence > last + 1 and last:
            self.lost += parcel.sequence - last - 1
            log.error("parcels lost", sender=parcel.sender, count=parcel.sequence - last - 1)
        if parcel.sender not in self._last and len(self._last) >= SENDERS_KEPT:
            del self._last[next(iter(self._last))]
        self._last[parcel.sender] = parcel.sequence
        self.parcels += 1
        if self._receiver.is_gone(parcel.sender):
            self.late += 1
            return
        try:
            self._receiver.take(parcel)
        except Exception as error:
            # A defect must not end the reading: the next parcel is another's.
            log.critical("a parcel could not be handled", sender=parcel.sender, exc_info=error)
