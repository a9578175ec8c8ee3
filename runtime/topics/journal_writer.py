"""The journal's writer: whatever is asked for while a transaction is being written goes into the next one together.

So many publishers share one flush. Who waits for a change is always answered: written, or Unavailable with the reason.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from protocols.errors import Unavailable
from runtime.topics.journal_file import JournalFile

log: Final = structlog.get_logger("parley.journal")

T = TypeVar("T")
Step = Callable[[], Any]
RETRY_AFTER_S: Final = 1.0


def _nothing(*_: object) -> None:
    """Nobody needs to know."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A step of the next transaction, who waits for it, and whom to tell before them."""

    step: Step
    done: asyncio.Future[Any]
    committed: Callable[[Any], object]
    failed: Callable[[], object]


class JournalWriter:
    """The only way to a journal's file while it is open. `executor` has one thread, so that a transaction is never
    read in its middle; None: on the loop, for a journal in memory.
    """

    def __init__(self, file: JournalFile, executor: ThreadPoolExecutor | None) -> None:
        self._file = file
        self._executor = executor
        self._changes: list[_Change] = []
        self._wake = asyncio.Event()
        self._closed = False
        self._task = asyncio.create_task(self._write(), name="journal")

    async def read(self, work: Callable[[], T]) -> T:
        """What `work` returns, run between transactions. Raises Unavailable."""
        if self._task.done():
            raise Unavailable("the journal is closed")
        try:
            return await self._run(work)
        except sqlite3.Error as error:
            raise Unavailable(f"the journal cannot be read: {error}", retry_after_s=RETRY_AFTER_S) from error

    def submit(
        self, step: Step, *, committed: Callable[[Any], object] = _nothing, failed: Callable[[], object] = _nothing
    ) -> asyncio.Future[Any]:
        """Put a step into the next transaction; the future holds what it returns. Raises Unavailable when closed.

        `committed` is called with that value, or `failed`, on the loop, whether or not anybody still waits.
        """
        if self._closed:
            raise Unavailable("the journal is closed")
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._changes.append(_Change(step, done, committed, failed))
        self._wake.set()
        return done

    async def change(
        self,
        step: Step,
        *,
        at_once: Callable[[], object] = _nothing,
        committed: Callable[[Any], object] = _nothing,
        failed: Callable[[], object] = _nothing,
    ) -> Any:
        """Submit a step and wait for it. `at_once` is called when it is submitted. Raises Unavailable."""
        done = self.submit(step, committed=committed, failed=failed)
        at_once()
        # Shielded: a caller that gives up must not leave the writer with a cancelled future in its hands.
        return await asyncio.shield(done)

    async def close(self) -> None:
        """Write what was asked for, and let go of the file. May be called twice."""
        self._closed = True
        self._wake.set()
        # Not awaited itself: whoever gives up waiting must not cancel the writer.
        await asyncio.wait({self._task})

    async def _run(self, work: Callable[[], T]) -> T:
        if self._executor is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _write(self) -> None:
        try:
            while self._changes or not self._closed:
                self._wake.clear()
                if not self._changes:
                    await self._wake.wait()
                changes, self._changes = self._changes, []
                if changes:
                    await self._commit(changes)
            await self._run(self._file.close)
        finally:
            # Also when it was cancelled or broke: nobody may wait for a writer that is gone.
            self._closed = True
            self._settle(self._changes, None, "it is closed")
            if self._executor is not None:
                self._executor.submit(self._file.close)
                self._executor.shutdown(wait=False)

    async def _commit(self, changes: list[_Change]) -> None:
        results: list[Any] | None = None
        why = "it was interrupted"
        try:
            results = await self._run(lambda: self._file.transact(change.step for change in changes))
        except Exception as error:
            # Whatever it is: those who wait must hear of it, and the next transaction may fare better.
            log.error("journal not written", changes=len(changes), error=str(error))
            why = str(error)
        finally:
            self._settle(changes, results, why)

    def _settle(self, changes: list[_Change], results: list[Any] | None, why: str) -> None:
        """Bring the counts in line and tell those who wait. Synchronous, so that nobody sees half of it."""
        for place, change in enumerate(changes):
            if results is not None:
                change.committed(results[place])
                change.done.set_result(results[place])
            else:
                change.failed()
                unavailable = Unavailable(f"the journal cannot be written: {why}", retry_after_s=RETRY_AFTER_S)
                change.done.set_exception(unavailable)
                change.done.exception()  # seen: a change may have nobody who waits for it
