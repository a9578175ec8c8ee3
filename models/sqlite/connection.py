"""One SQLite file, many callers: a writer whose transactions never interleave, and readers that never wait for it.

A transaction that returned is on the disk; one that raised or was cancelled left nothing. Each connection works in a
thread of its own (aiosqlite), in the order in which it is given statements; the event loop never waits for the disk.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiosqlite

from models.sqlite.errors import translated
from models.sqlite.lane import Lane
from models.stores import BackendStatistics
from protocols.errors import FailedPrecondition

Value = int | float | str | bytes | None
Row = sqlite3.Row

OLDEST_SQLITE: Final = (3, 37, 0)
"""The first with STRICT tables; RETURNING came with 3.35."""

ASK_AGAIN_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """`readers`: reading connections. `busy_timeout_ms`: how long to wait for another process's write lock.

    `max_waiting`: callers that may wait for the writer, and for the readers, before more are refused.
    """

    readers: int = 2
    busy_timeout_ms: int = 5_000
    max_waiting: int = 1_024


class Transaction:
    """The statements of one transaction. After its end every use raises RuntimeError."""

    __slots__ = ("_connection",)

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection: aiosqlite.Connection | None = connection

    async def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """Run a statement and return all its rows."""
        return list(await self._open().execute_fetchall(sql, parameters))

    async def row(self, sql: str, parameters: Sequence[Value] = ()) -> Row | None:
        """Run a statement and return its first row."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    async def many(self, sql: str, rows: Iterable[Sequence[Value]]) -> int:
        """Run a statement once for each of `rows`; returns how many rows it changed in all."""
        async with self._open().executemany(sql, rows) as cursor:
            return cursor.rowcount

    def end(self) -> None:
        """Take the connection away, so that a task which outlived its transaction cannot write outside it."""
        self._connection = None

    def _open(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise RuntimeError("the transaction has ended")
        return self._connection


class Database:
    """An open SQLite file. Made by `open_database`."""

    __slots__ = ("_committed", "_owned", "_path", "_readers", "_rolled_back", "_writer")

    def __init__(self, path: Path, writer: Lane, readers: Lane, owned: AsyncExitStack) -> None:
        self._path = path
        self._writer = writer
        self._readers = readers
        self._owned = owned
        self._committed = 0
        self._rolled_back = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Read and write as one step: all of it is on the disk afterwards, or, if anything is raised, none of it.

        Only a cancellation that meets the commit itself leaves open which of the two it is.
        """
        with translated():
            async with self._writer.connection() as connection:
                transaction = Transaction(connection)
                try:
                    await connection.execute_fetchall("BEGIN IMMEDIATE")
                    yield transaction
                    await connection.commit()
                    self._committed += 1
                except BaseException:
                    # Cancelled or not, the statements sent so far are worked first and this one next, before anything
                    # of the lane's next holder: it is queued before its own await can be cancelled.
                    self._rolled_back += 1
                    await connection.rollback()
                    raise
                finally:
                    transaction.end()

    async def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[Row]:
        """The rows of one query, as of one moment; it sees every transaction that returned before."""
        with translated():
            async with self._readers.connection() as connection:
                return list(await connection.execute_fetchall(sql, parameters))

    async def row(self, sql: str, parameters: Sequence[Value] = ()) -> Row | None:
        """The first row of one query."""
        found = await self.rows(sql, parameters)
        return found[0] if found else None

    async def ping(self) -> None:
        """Return when the database answers."""
        await self.rows("SELECT count(*) FROM sqlite_schema")

    async def close(self) -> None:
        """Finish what is under way, refuse the rest, close the file."""
        await self._owned.aclose()

    def statistics(self) -> BackendStatistics:
        """The figures now."""
        return BackendStatistics(
            backend="sqlite",
            connections=self._writer.size + self._readers.size,
            working=self._writer.working + self._readers.working,
            waiting=self._writer.waiting + self._readers.waiting,
            refused=self._writer.refused + self._readers.refused,
            committed=self._committed,
            rolled_back=self._rolled_back,
        )

    def __repr__(self) -> str:
        return f"<Database {self._path} {self.statistics()}>"


async def connect(location: str, busy_timeout_ms: int, *pragmas: str) -> aiosqlite.Connection:
    """One connection in autocommit mode, with the pragmas set. Raises ParleyErrors."""
    with translated():
        connection = await aiosqlite.connect(
            location, timeout=busy_timeout_ms / 1000, isolation_level=None, uri=location.startswith("file:")
        )
        try:
            connection.row_factory = Row
            for pragma in pragmas:
                await connection.execute_fetchall(f"PRAGMA {pragma}")
        except BaseException:
            await connection.close()
            raise
        return connection


async def connect_writer(path: Path, busy_timeout_ms: int) -> aiosqlite.Connection:
    """The connection that writes. The file is made if it is missing, readable by its owner alone: it holds hashes.

    synchronous=FULL makes every commit wait until the write-ahead log is on the disk. NORMAL would be faster and, in
    WAL mode, never damage the file, but a power cut could take back commits that were acknowledged already, and what
    Parley accepted must not be lost.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise FailedPrecondition(f"SQLite {sqlite3.sqlite_version} is too old: Parley needs {oldest} or later")
    try:
        await asyncio.to_thread(_make_private, path)
    except OSError as error:
        raise FailedPrecondition(f"cannot write the database {path}: {error.strerror}") from error
    connection = await connect(str(path), busy_timeout_ms, "synchronous = FULL", "foreign_keys = ON")
    try:
        with translated():
            await _log_ahead(connection, busy_timeout_ms)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _log_ahead(connection: aiosqlite.Connection, busy_timeout_ms: int) -> None:
    """Switch the file to a write-ahead log. Two that do so at once are told `busy` at once, whatever the timeout.

    SQLite cannot let both wait, each for the other's shared lock; so each lets go, and asks again a little later.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + busy_timeout_ms / 1000
    while True:
        try:
            await connection.execute_fetchall("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or loop.time() >= give_up_at:
                raise
            await asyncio.sleep(ASK_AGAIN_S)
        else:
            return


def _make_private(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)


async def open_database(path: Path, writer: aiosqlite.Connection, settings: SqliteSettings) -> Database:
    """The database around its writer, which it owns from here on. Readers come beside it."""
    async with AsyncExitStack() as owned:
        # Closed in the reverse order: first both lanes, so that nothing is under way, and the writer last of all, since
        # the last connection folds the write-ahead log into the file.
        owned.push_async_callback(writer.close)
        readers = []
        for _ in range(settings.readers):
            readers.append(await connect(str(path), settings.busy_timeout_ms, "query_only = ON"))
            owned.push_async_callback(readers[-1].close)
        writing, reading = Lane((writer,), settings.max_waiting), Lane(readers, settings.max_waiting)
        owned.push_async_callback(reading.close)
        owned.push_async_callback(writing.close)
        return Database(path, writing, reading, owned.pop_all())
