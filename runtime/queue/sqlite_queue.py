"""The task queue in a SQLite file: no server, the same promises.

What was accepted is on the disk. All work is done in one thread, in the order in which it was asked for; a file may be
open in several processes, which take turns.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from time import time
from typing import Any, Final, TypeVar

from protocols.errors import NotFound, Unavailable
from runtime.queue.limits import QueueLimits
from runtime.queue.sqlite_steps import Steps, depths_of
from runtime.queue.task_queue import (
    Cancellation,
    Claim,
    DeadLetter,
    Depths,
    Exchange,
    Exchanged,
    Intake,
    Lease,
    Moved,
    Renewal,
    Renewer,
    State,
    TaskQueue,
    TaskStatus,
)

T = TypeVar("T")
BUSY_TIMEOUT_S: Final = 5.0
_SCHEMA: Final = (files("runtime.queue") / "sqlite_schema.sql").read_text(encoding="utf-8")
_DEAD: Final = "SELECT id, died_ms, reason, text FROM dead"


def connect(path: Path) -> sqlite3.Connection:
    """A connection for one thread. Raises Unavailable, naming the file."""
    with _translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # for its owner alone: tasks hold names and addresses
        db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            # FULL: what was accepted outlives a power cut, which NORMAL does not promise under WAL.
            db.execute("PRAGMA synchronous = FULL")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        return db


class SqliteQueue(TaskQueue):
    """Made with `await SqliteQueue.open(path)`."""

    def __init__(self, path: Path, limits: QueueLimits, wall: Callable[[], float]) -> None:
        self._path = path
        self._limits = limits
        self._wall = wall
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="task-queue")
        self._db: sqlite3.Connection | None = None
        self._woken: list[Callable[[], None]] = []
        self._cancelled: list[Callable[[str], None]] = []

    @classmethod
    async def open(
        cls, path: Path, *, limits: QueueLimits | None = None, wall: Callable[[], float] = time
    ) -> SqliteQueue:
        """Open the file, or make it. `wall` gives Unix seconds. Raises Unavailable, naming the file."""
        queue = cls(path, limits or QueueLimits(), wall)
        try:
            await queue._in_thread(queue._connect)
        except BaseException:
            queue._thread.shutdown(wait=False)
            raise
        return queue

    async def take_in(self, intake: Intake) -> tuple[str | None, ...]:
        """Take tasks in."""
        answer = await self._step(lambda steps: steps.take_in(intake))
        self._wake()
        return answer

    async def exchange(self, exchange: Exchange) -> Exchanged:
        """Settle, tidy up, claim."""
        return await self._step(lambda steps: steps.exchange(exchange))

    def renewer(self) -> Renewer:
        """A keeper of leases with a connection of its own."""
        return SqliteRenewer(self._path, self._wall)

    async def note_progress(self, progress: Sequence[tuple[Claim, bytes]]) -> None:
        """Note how far claimed tasks are."""
        query = "UPDATE tasks SET progress = ? WHERE id = ? AND fence = ? AND state = 'running'"
        rows = [(value, claim.id, claim.fence) for claim, value in progress]
        await self._step(lambda steps: steps.db.executemany(query, rows))

    async def cancel(self, task_id: str) -> Cancellation:
        """Cancel a task."""

        def step(steps: Steps) -> Cancellation | None:
            found = steps.db.execute("SELECT state FROM tasks WHERE id = ?", (task_id,)).fetchone()
            if found is None:
                return None
            if found[0] != State.RUNNING:
                steps.finish_cancelled(task_id)
                return Cancellation.CANCELLED
            steps.db.execute("UPDATE tasks SET cancelling = 1 WHERE id = ?", (task_id,))
            return Cancellation.CANCELLING

        answer = await self._step(step)
        if answer is None:
            raise NotFound(f"no task {task_id[:128]!r} waits or runs")
        for cancelled in self._cancelled if answer is Cancellation.CANCELLING else ():
            cancelled(task_id)
        return answer

    async def status(self, task_id: str) -> TaskStatus:
        """What is known of a task."""

        def step(steps: Steps) -> TaskStatus | None:
            one = (task_id,)
            if row := steps.db.execute("SELECT state, progress FROM tasks WHERE id = ?", one).fetchone():
                return TaskStatus(task_id, State(row[0]), progress=row[1])
            if row := steps.db.execute("SELECT reason FROM dead WHERE id = ? ORDER BY seq DESC", one).fetchone():
                return TaskStatus(task_id, State.DEAD, reason=row[0])
            query = "SELECT result FROM results WHERE id = ? AND until_ms > ?"
            if row := steps.db.execute(query, (task_id, steps.now_ms)).fetchone():
                return TaskStatus(task_id, State.CANCELLED if row[0] is None else State.DONE, result=row[0])
            return None

        answer = await self._step(step)
        if answer is None:
            raise NotFound(f"nothing is known of a task {task_id[:128]!r}")
        return answer

    async def depths(self) -> Depths:
        """How many tasks are where."""

        def step(steps: Steps) -> Depths:
            db = steps.db
            by_state = dict(db.execute("SELECT state, count(*) FROM tasks GROUP BY state").fetchall())
            lists = "SELECT priority, count(*) FROM tasks WHERE state = 'waiting' GROUP BY priority"
            counts = "SELECT what, number FROM counts WHERE what NOT IN ('turn', 'fence', 'first', 'last')"
            return Depths(
                waiting=depths_of(db.execute(lists)),
                delayed=by_state.get(State.DELAYED.value, 0),
                processing=by_state.get(State.RUNNING.value, 0),
                dead=db.execute("SELECT count(*) FROM dead").fetchone()[0],
                unread=0,
                by_type={},
                counts=dict(db.execute(counts).fetchall()),
            )

        return await self._step(step)

    async def dead_letters(self, *, offset: int = 0, limit: int = 100) -> tuple[DeadLetter, ...]:
        """Dead letters, the newest first."""
        return await self._letters(f"{_DEAD} ORDER BY seq DESC LIMIT ? OFFSET ?", limit, offset)

    async def dead_letter(self, task_id: str) -> DeadLetter:
        """One dead letter."""
        found = await self._letters(f"{_DEAD} WHERE id = ? ORDER BY seq DESC LIMIT 1", task_id)
        if not found:
            raise NotFound(f"no dead letter has the id {task_id[:128]!r}")
        return found[0]

    async def replay(self, task_id: str | None = None) -> Moved:
        """Let dead tasks wait again."""

        def step(steps: Steps) -> Moved:
            query = "SELECT seq, id, text FROM dead WHERE ? IN (id, '') ORDER BY seq"
            found = steps.db.execute(query, (task_id or "",)).fetchall()
            refused = tuple(dead_id for seq, dead_id, text in found if not steps.replay(seq, text))
            return Moved(len(found) - len(refused), refused)

        if task_id is not None:
            await self.dead_letter(task_id)
        moved = await self._step(step)
        self._wake()
        return moved

    async def drop(self, task_id: str | None = None) -> Moved:
        """Throw dead letters away."""
        if task_id is not None:
            await self.dead_letter(task_id)
        query = "DELETE FROM dead WHERE ? IN (id, '')"
        return Moved(await self._step(lambda steps: steps.db.execute(query, (task_id or "",)).rowcount))

    async def listen(self, woken: Callable[[], None], cancelled: Callable[[str], None]) -> None:
        """Hear of what this very object does. What other processes do with the file is found by looking."""
        self._woken.append(woken)
        self._cancelled.append(cancelled)
        try:
            await asyncio.Event().wait()
        finally:
            self._woken.remove(woken)
            self._cancelled.remove(cancelled)

    async def close(self) -> None:
        """Finish what was asked for, and close the file."""
        db, self._db = self._db, None
        if db is not None:
            await self._in_thread(db.close)
        await asyncio.to_thread(self._thread.shutdown)

    def _wake(self) -> None:
        for woken in self._woken:
            woken()

    def _connect(self) -> None:
        self._db = connect(self._path)

    async def _letters(self, query: str, *values: object) -> tuple[DeadLetter, ...]:
        rows = await self._step(lambda steps: steps.db.execute(query, values).fetchall())
        return tuple(DeadLetter(one, datetime.fromtimestamp(ms / 1000, UTC), why, text) for one, ms, why, text in rows)

    async def _step(self, step: Callable[[Steps], T]) -> T:
        db = self._db
        if db is None:
            raise Unavailable("the task queue is closed")

        def in_thread() -> T:
            with transaction(db, self._path):
                return step(Steps(db, self._limits, int(self._wall() * 1000)))

        return await self._in_thread(in_thread)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # Once begun it goes on, also when its caller is cancelled: then the answer is there for the repeated call.
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class SqliteRenewer(Renewer):
    """Opens its connection in the thread that uses it."""

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self._path = path
        self._wall = wall
        self._db: sqlite3.Connection | None = None

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        """Keep leases."""
        db = self._db = self._db or connect(self._path)
        lost, cancelled = [], []
        query = "UPDATE tasks SET due_ms = ? WHERE id = ? AND fence = ? AND state = 'running' RETURNING cancelling"
        with transaction(db, self._path):
            for lease in leases:
                until_ms = int((self._wall() + lease.visibility_s) * 1000)
                found: Any = db.execute(query, (until_ms, lease.id, lease.fence)).fetchone()
                if found is None:
                    lost.append(lease.id)
                elif found[0]:
                    cancelled.append(lease.id)
        return Renewal(tuple(lost), tuple(cancelled))

    def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            self._db.close()


@contextmanager
def transaction(db: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All or nothing, and on the disk when it is over. Raises Unavailable."""
    with _translated(path):
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"the task queue {path} cannot be used: {error}", retry_after_s=1.0) from error
