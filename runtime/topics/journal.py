"""The journal of durable groups: an event is in it from before `publish` returns until its group has handled it.

One SQLite file with full synchronisation: what was appended survives the process and the machine. Whatever is asked for
while a transaction is being written goes into the next one together, so that many publishers share one flush.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiosqlite

from protocols.errors import ResourceExhausted, Unavailable

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pending (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    envelope BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS pending_of_group ON pending (topic, name, seq);
CREATE TABLE IF NOT EXISTS dead (
    seq INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    envelope BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that a group has not handled: its place in the journal, its JSON envelope and the attempts so far."""

    seq: int
    envelope: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class GroupName:
    """A durable group: subscribers of `topic` that share the name."""

    topic: str
    name: str


@dataclass(frozen=True, slots=True)
class _Change:
    """Statements that belong together, and who waits for them."""

    statements: tuple[tuple[str, tuple[object, ...]], ...]
    done: asyncio.Future[None]


class Journal:
    """Opened with `await Journal.open(path)`. `limit` bounds what one group may leave unhandled."""

    def __init__(self, connection: aiosqlite.Connection, limit: int) -> None:
        self._connection = connection
        self._limit = limit
        self._depths: dict[GroupName, int] = {}
        self._changes: list[_Change] = []
        self._wake = asyncio.Event()
        self._closed = False
        self._writer = asyncio.create_task(self._write())

    @classmethod
    async def open(cls, path: Path, *, limit: int = 100_000) -> Journal:
        """Open or make the journal at `path`. Raises Unavailable naming the file when that cannot be done."""
        try:
            connection = await aiosqlite.connect(path, isolation_level=None)
            await connection.execute("PRAGMA journal_mode=WAL")
            # FULL: an append that was acknowledged outlives a power cut, which NORMAL does not promise under WAL.
            await connection.execute("PRAGMA synchronous=FULL")
            await connection.executescript(SCHEMA)
        except (aiosqlite.Error, OSError) as error:
            raise Unavailable(f"cannot open the journal {path}: {error}") from error
        journal = cls(connection, limit)
        async with connection.execute("SELECT topic, name, COUNT(*) FROM pending GROUP BY topic, name") as rows:
            journal._depths = {GroupName(topic, name): count async for topic, name, count in rows}
        return journal

    @property
    def depths(self) -> dict[GroupName, int]:
        """Events that wait, by group."""
        return dict(self._depths)

    async def append(self, groups: Sequence[GroupName], envelope: bytes) -> None:
        """Keep an event for these groups, all or none. Raises ResourceExhausted when one of them is full."""
        for group in groups:
            if self._depths.get(group, 0) >= self._limit:
                raise ResourceExhausted(
                    f"group {group.name!r} of {group.topic} has {self._limit} unhandled events", retry_after_s=1.0
                )
        insert = "INSERT INTO pending (topic, name, envelope) VALUES (?, ?, ?)"
        self._count(groups, 1)
        try:
            await self._change(*((insert, (group.topic, group.name, envelope)) for group in groups))
        except Unavailable:
            self._count(groups, -1)
            raise

    async def pending(self, group: GroupName, after: int, limit: int) -> list[Entry]:
        """The oldest unhandled events behind place `after`, at most `limit`."""
        query = "SELECT seq, envelope, attempts FROM pending WHERE topic=? AND name=? AND seq>? ORDER BY seq LIMIT ?"
        async with self._connection.execute(query, (group.topic, group.name, after, limit)) as rows:
            return [Entry(seq, envelope, attempts) async for seq, envelope, attempts in rows]

    async def handled(self, group: GroupName, seqs: Sequence[int]) -> None:
        """The group has handled these events: let go of them."""
        await self._change(*(("DELETE FROM pending WHERE seq=?", (seq,)) for seq in seqs))
        self._count([group], -len(seqs))

    async def failed(self, seq: int) -> None:
        """One more attempt at this event was in vain."""
        await self._change(("UPDATE pending SET attempts=attempts+1 WHERE seq=?", (seq,)))

    async def bury(self, group: GroupName, seq: int, error: str) -> None:
        """Give an event up: it goes to the dead events, with the reason."""
        copy = "INSERT OR REPLACE INTO dead SELECT seq, topic, name, envelope, attempts + 1, ? FROM pending WHERE seq=?"
        await self._change((copy, (error, seq)), ("DELETE FROM pending WHERE seq=?", (seq,)))
        self._count([group], -1)

    async def dead(self, limit: int = 100) -> list[tuple[GroupName, Entry, str]]:
        """The latest dead events with their group and the reason, newest first."""
        query = "SELECT topic, name, seq, envelope, attempts, error FROM dead ORDER BY seq DESC LIMIT ?"
        async with self._connection.execute(query, (limit,)) as rows:
            return [
                (GroupName(topic, name), Entry(seq, envelope, attempts), error)
                async for topic, name, seq, envelope, attempts, error in rows
            ]

    async def close(self) -> None:
        """Write what is asked for, and close."""
        self._closed = True
        self._wake.set()
        await self._writer
        await self._connection.close()

    def _count(self, groups: Sequence[GroupName], change: int) -> None:
        for group in groups:
            self._depths[group] = self._depths.get(group, 0) + change

    async def _change(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        if self._closed:
            raise Unavailable("the journal is closed")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changes.append(_Change(statements, done))
        self._wake.set()
        # Shielded: a caller that gives up must not leave the writer with a cancelled future in its hands.
        await asyncio.shield(done)

    async def _write(self) -> None:
        while not (self._closed and not self._changes):
            await self._wake.wait()
            self._wake.clear()
            changes, self._changes = self._changes, []
            if changes:
                await self._commit(changes)

    async def _commit(self, changes: list[_Change]) -> None:
        settle: Callable[[asyncio.Future[None]], None]
        try:
            await self._connection.execute("BEGIN IMMEDIATE")
            try:
                for change in changes:
                    for sql, arguments in change.statements:
                        await self._connection.execute(sql, arguments)
                await self._connection.execute("COMMIT")
            except BaseException:
                await self._connection.execute("ROLLBACK")
                raise
        except aiosqlite.Error as error:
            unavailable = Unavailable(f"the journal cannot be written: {error}", retry_after_s=1.0)
            settle = lambda done: done.set_exception(unavailable)  # noqa: E731
        else:
            settle = lambda done: done.set_result(None)  # noqa: E731
        for change in changes:
            settle(change.done)
