"""A thread that keeps the leases of running tasks, so that a blocked event loop does not lose them.

It keeps them as long as the process lives, except for a task that runs past its time limit by a whole visibility
timeout: then its handler hangs, or the loop does, and another worker shall have it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

import structlog

from protocols.errors import ParleyError
from runtime.queue.task_queue import Lease, Renewal, Renewer

log: Final = structlog.get_logger("parley.queue")

AGAIN_S: Final = 0.25
BEATS_PER_LEASE: Final = 3
AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Held:
    lease: Lease
    until: float


class LeaseKeeper:
    """Renews every `heartbeat_s` seconds, three times a lease if that is short. `report` is called in the thread."""

    def __init__(
        self,
        renewer: Renewer,
        heartbeat_s: float,
        report: Callable[[Renewal], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._renewer = renewer
        self._heartbeat_s = self._interval_s = heartbeat_s
        self._report = report
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
        self.renewed = 0
        self.failures = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for it: at most as long as one call to the queue takes."""
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def hold(self, lease: Lease, limit_s: float) -> None:
        """Keep this lease until it is released, or for `limit_s` and a visibility timeout."""
        with self._lock:
            self._held[lease.id] = _Held(lease, self._clock() + limit_s + lease.visibility_s)
        if lease.visibility_s < self._interval_s * BEATS_PER_LEASE:
            self._interval_s = lease.visibility_s / BEATS_PER_LEASE
            self._wake.set()

    def release(self, task_id: str) -> None:
        """Keep it no more."""
        with self._lock:
            self._held.pop(task_id, None)

    def _run(self) -> None:
        with contextlib.closing(self._renewer):
            wait_s = self._interval_s
            while not self._stopping:
                self._wake.wait(wait_s)
                self._wake.clear()
                if not self._stopping:
                    wait_s = self._interval_s if self._beat() else min(AGAIN_S, self._interval_s)

    def _beat(self) -> bool:
        leases = self._due()
        try:
            for i in range(0, len(leases), AT_ONCE):
                self._renew(leases[i : i + AT_ONCE])
        except ParleyError as error:
            self.failures += 1
            log.warning("leases not renewed", leases=len(leases), error=error.detail)
            return False
        except Exception:
            # Whatever it is, the thread must live: without it every long task would be run twice.
            self.failures += 1
            log.exception("leases not renewed", leases=len(leases))
            return False
        return True

    def _due(self) -> list[Lease]:
        now = self._clock()
        with self._lock:
            held = [one for one in self._held.values() if one.until > now]
        shortest = min((one.lease.visibility_s for one in held), default=self._heartbeat_s * BEATS_PER_LEASE)
        self._interval_s = min(self._heartbeat_s, shortest / BEATS_PER_LEASE)
        return [one.lease for one in held]

    def _renew(self, leases: list[Lease]) -> None:
        renewal = self._renewer.renew(leases)
        self.renewed += len(leases)
        # A task that was settled meanwhile is not lost: it is no longer ours because we said so.
        with self._lock:
            fences = {one.id: one.fence for one in leases}
            current = {task_id for task_id, fence in fences.items() if self._fence(task_id) == fence}
        lost = tuple(task_id for task_id in renewal.lost if task_id in current)
        if lost or renewal.cancelled:
            self._report(Renewal(lost, renewal.cancelled))

    def _fence(self, task_id: str) -> int | None:
        held = self._held.get(task_id)
        return held.lease.fence if held else None
