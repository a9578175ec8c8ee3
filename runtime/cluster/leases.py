"""The leases of this node's entities: wishes and releases gathered, and put to the store in batches, in that order.

A wish stays until the store has said yes or no; so nothing is ever held without being known to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Protocol

import structlog

from protocols.errors import ParleyError
from runtime.cluster.patience import pause, retry_s, within
from runtime.cluster.settings import ClusterSettings
from runtime.cluster.signal import Signal
from runtime.cluster.store import Grant, Lease, SharedStore
from runtime.engine import Clock

log: Final = structlog.get_logger("parley.cluster")

AT_ONCE: Final = 1000


class Wisher(Protocol):
    """Who hears of the store's answers."""

    def granted(self, entity: str, fence: int) -> None:
        """This node holds the entity under `fence`."""

    def denied(self, entity: str, holder: str) -> None:
        """Another node holds it; an empty `holder`: this node is no member just now."""

    def released(self, entity: str) -> None:
        """It is free."""


class Leases:
    """Owned by the cluster, which runs `run` in a task. `node` gives this run's id."""

    def __init__(
        self,
        store: SharedStore,
        clock: Clock,
        rng: Random,
        settings: ClusterSettings,
        node: Callable[[], str],
        wisher: Wisher,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._node = node
        self._wisher = wisher
        self._signal = Signal(asyncio.get_running_loop(), clock)
        self._calling = asyncio.Lock()
        self._wanted: dict[str, None] = {}
        self._done_with: dict[Lease, None] = {}

    @property
    def pending(self) -> int:
        """Wishes and releases that the store has not answered."""
        return len(self._wanted) + len(self._done_with)

    def want(self, entity: str) -> None:
        """Ask for an entity's lease."""
        self._wanted[entity] = None
        self._signal.set()

    def let_go(self, entity: str, fence: int) -> None:
        """Give a lease back."""
        self._done_with[Lease(entity, fence)] = None
        self._signal.set()

    def clear_up(self, entity: str) -> None:
        """Another node was told that this one holds an entity which is not here: see to it that it does not."""
        if not any(lease.entity == entity for lease in self._done_with):
            self.want(entity)

    async def lost(self, held: Callable[[], Sequence[Lease]]) -> list[Lease]:
        """Which of the leases that are held when the store is asked do not hold. Raises Unavailable."""
        # Not while one is being given back: the store would take it for forgotten, and put it back.
        async with self._calling:
            leases = held()
            if not leases:
                return []
            answers = await within(self._settings.call_timeout_s, self._store.verify(self._node(), leases))
        return [lease for lease, holds in zip(leases, answers, strict=True) if not holds]

    async def run(self) -> None:
        """Work until cancelled."""
        failures = 0
        while True:
            if not self.pending:
                await self._signal.wait()
            try:
                async with self._calling:
                    await self._release()
                    await self._acquire()
                failures = 0
            except ParleyError as error:
                failures += 1
                if failures.bit_count() == 1:
                    log.warning("leases wait for the store", error=error.detail, failures=failures)
                settings = self._settings
                await pause(retry_s(failures, settings.retry_min_s, settings.retry_max_s, self._rng), self._clock)

    async def _release(self) -> None:
        leases = list(self._done_with)[:AT_ONCE]
        if not leases:
            return
        await within(self._settings.call_timeout_s, self._store.release(self._node(), leases))
        for lease in leases:
            self._done_with.pop(lease, None)
            self._wisher.released(lease.entity)

    async def _acquire(self) -> None:
        entities = list(self._wanted)[:AT_ONCE]
        if not entities:
            return
        grants = await within(self._settings.call_timeout_s, self._store.acquire(self._node(), entities))
        for entity, grant in zip(entities, grants, strict=True):
            self._wanted.pop(entity, None)
            self._tell(entity, grant)

    def _tell(self, entity: str, grant: Grant) -> None:
        if grant.fence:
            self._wisher.granted(entity, grant.fence)
        else:
            self._wisher.denied(entity, grant.holder)
