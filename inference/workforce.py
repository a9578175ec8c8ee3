"""The workers of one broker together: their slots, who is ready, and when none of them can be had at all."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Protocol

from inference.broker_settings import BrokerSettings, WorkerStatistics
from inference.worker_process import Launch, Slot
from protocols.errors import Unavailable
from protocols.inference import Ready

log = logging.getLogger(__name__)


class Owner(Protocol):
    """Who is told what becomes of the workers."""

    def worker_lost(self, key: bytes, *, crashed: bool) -> None:
        """The worker of that identity is gone; `crashed` unless it left in good order."""
        ...

    def workers_broken(self) -> None:
        """No worker can be had; `Workforce.broken` says why."""
        ...


class Workforce:
    """Starts and keeps `settings.workers` processes. `broken` is why none can be had, or empty."""

    def __init__(
        self,
        settings: BrokerSettings,
        launch: Callable[[str], Launch],
        owner: Owner,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self.broken = ""
        self.deaths = 0
        self._settings = settings
        self._owner = owner
        self._slots = [Slot(number, launch, settings.restarts, self, clock, rng) for number in range(settings.workers)]
        self._readiness: dict[int, Ready] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def identities(self) -> tuple[bytes, ...]:
        """The wire names of the present processes."""
        return tuple(slot.identity.encode() for slot in self._slots)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What the ready workers can do together."""
        return tuple({task: None for ready in self._readiness.values() for task in ready.tasks})

    def start(self) -> None:
        """Start the processes, each kept alive by a task of its own."""
        for slot in self._slots:
            self._keepers.append(asyncio.create_task(slot.keep_alive(), name=f"inference-worker-{slot.number}"))

    async def stop(self) -> None:
        """End the processes: each may finish its item first."""
        await asyncio.gather(*(slot.stop() for slot in self._slots))
        await asyncio.gather(*self._keepers)
        self._keepers.clear()
        self._tell(Unavailable("inference is shutting down"))

    async def wait_ready(self, timeout_s: float) -> None:
        """Wait until one worker is ready. Raises Unavailable with the reason when none will be, or none was in time."""
        if self.broken:
            raise Unavailable(self.broken)
        if any(slot.ready for slot in self._slots):
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            raise Unavailable(f"no inference worker was ready within {timeout_s:g} s") from None
        finally:
            self._waiters.discard(waiter)

    def find(self, key: bytes) -> Slot | None:
        """The slot whose present process calls itself that; None for one that was given up."""
        name = key.decode("ascii", "replace")
        return next((slot for slot in self._slots if slot.identity == name), None)

    def mark_ready(self, slot: Slot, ready: Ready) -> None:
        """A worker has reported what it can do, for the first time or anew."""
        self._readiness[slot.number] = ready
        if slot.ready:
            return
        slot.mark_ready()
        self.broken = ""
        log.info("worker %s is ready after %.0f ms (pid %d)", slot.identity, slot.ready_ms, ready.pid)
        self._tell(None)

    def process_ended(self, slot: Slot, reason: str, *, crashed: bool) -> None:
        """Part of a slot's owner."""
        self.deaths += crashed
        self._readiness.pop(slot.number, None)
        self._owner.worker_lost(slot.identity.encode(), crashed=crashed)
        if not self.broken and all(one.failed_starts >= self._settings.broken_after for one in self._slots):
            self.broken = f"no inference worker can start: {reason}"
            log.error("%s", self.broken)
        if self.broken:
            self._tell(Unavailable(self.broken))
            self._owner.workers_broken()

    def statistics(self, held_by: Callable[[bytes], int]) -> tuple[WorkerStatistics, ...]:
        """Each worker's place; `held_by` tells how many jobs a worker holds."""
        return tuple(self._statistics_of(slot, held_by(slot.identity.encode())) for slot in self._slots)

    def _statistics_of(self, slot: Slot, in_flight: int) -> WorkerStatistics:
        ready = self._readiness.get(slot.number)
        return WorkerStatistics(
            slot=slot.number,
            pid=slot.pid,
            state="ready" if slot.ready else "starting" if slot.pid else "down",
            in_flight=in_flight,
            starts=slot.starts,
            ready_ms=slot.ready_ms,
            last_error=slot.last_error,
            models=ready.models if ready else (),
        )

    def _tell(self, error: Unavailable | None) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)
