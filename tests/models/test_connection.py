from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.sqlite import open_sqlite
from models.sqlite.connection import Database, SqliteSettings, Transaction, connect_writer, open_database
from protocols.errors import (
    AlreadyExists,
    FailedPrecondition,
    Internal,
    NotFound,
    ParleyError,
    ResourceExhausted,
    Unavailable,
)
from tests.models.conftest import StoppedClock

SETTINGS = SqliteSettings(readers=2, busy_timeout_ms=50, max_waiting=2)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "some.db"
    opened = await open_database(path, await connect_writer(path, SETTINGS.busy_timeout_ms), SETTINGS)
    try:
        async with opened.transaction() as transaction:
            await transaction.rows("CREATE TABLE counters (name TEXT PRIMARY KEY, n INTEGER NOT NULL CHECK (n >= 0))")
            await transaction.rows("CREATE TABLE marks (name TEXT REFERENCES counters (name))")
            await transaction.rows("INSERT INTO counters VALUES ('a', 0)")
        yield opened
    finally:
        await opened.close()


async def value(database: Database) -> int:
    [row] = await database.rows("SELECT n FROM counters WHERE name = 'a'")
    return int(row["n"])


async def add(transaction: Transaction, amount: int) -> None:
    [row] = await transaction.rows("SELECT n FROM counters WHERE name = 'a'")
    await asyncio.sleep(0)
    await transaction.rows("UPDATE counters SET n = ? WHERE name = 'a'", (row["n"] + amount,))


async def test_transactions_do_not_interleave(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    database = await open_database(path, await connect_writer(path, 50), SqliteSettings())
    try:
        async with database.transaction() as transaction:
            await transaction.rows("CREATE TABLE counters (name TEXT, n INTEGER)")
            await transaction.rows("INSERT INTO counters VALUES ('a', 0)")

        async def once() -> None:
            async with database.transaction() as transaction:
                await add(transaction, 1)

        await asyncio.gather(*[once() for _ in range(20)])
        assert await value(database) == 20
    finally:
        await database.close()


async def test_nothing_of_a_transaction_is_seen_before_its_end(database: Database) -> None:
    async with database.transaction() as transaction:
        await add(transaction, 5)
        assert await value(database) == 0
    assert await value(database) == 5


async def test_an_error_takes_everything_back(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as transaction:
            await add(transaction, 5)
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await value(database) == 0
    assert database.statistics().rolled_back == 1


async def test_a_cancellation_takes_everything_back(database: Database) -> None:
    written = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as transaction:
            await add(transaction, 5)
            written.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await written.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # and once more, in the middle of taking back
    await asyncio.wait([task])
    assert task.cancelled()
    async with database.transaction() as transaction:
        await add(transaction, 1)
    assert await value(database) == 1


async def test_a_transaction_is_of_no_use_after_its_end(database: Database) -> None:
    async with database.transaction() as transaction:
        await add(transaction, 1)
    with pytest.raises(RuntimeError):
        await transaction.rows("DELETE FROM counters")
    assert await value(database) == 1


async def test_readers_do_not_write(database: Database) -> None:
    with pytest.raises(Unavailable):
        await database.rows("DELETE FROM counters")


async def test_every_commit_reaches_the_disk(database: Database) -> None:
    async with database.transaction() as transaction:
        [synchronous] = await transaction.rows("PRAGMA synchronous")
        [journal] = await transaction.rows("PRAGMA journal_mode")
        assert (synchronous[0], journal[0]) == (2, "wal")  # 2 is FULL: https://www.sqlite.org/pragma.html


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("INSERT INTO counters VALUES ('a', 1)", AlreadyExists),
        ("INSERT INTO marks VALUES ('missing')", NotFound),
        ("INSERT INTO counters VALUES ('b', -1)", Internal),
        ("INSERT INTO nowhere VALUES (1)", Internal),
    ],
)
async def test_an_error_of_sqlite_has_a_meaning(database: Database, sql: str, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        async with database.transaction() as transaction:
            await transaction.rows(sql)


async def test_a_lock_of_another_process_is_waited_for_then_told(database: Database, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught:
            async with database.transaction() as transaction:
                await add(transaction, 1)
        assert caught.value.retry_after_s
        assert await value(database) == 0
        other.execute("ROLLBACK")
        async with database.transaction() as transaction:
            await add(transaction, 1)
        assert await value(database) == 1
    finally:
        other.close()


async def test_the_queue_before_the_writer_is_bounded(database: Database) -> None:
    async def once() -> None:
        async with database.transaction() as transaction:
            await add(transaction, 1)

    ended = await asyncio.gather(*[once() for _ in range(5)], return_exceptions=True)
    assert [type(outcome) for outcome in ended] == [type(None)] * 3 + [ResourceExhausted] * 2
    assert await value(database) == 3
    figures = database.statistics()
    assert (figures.refused, figures.waiting, figures.working) == (2, 0, 0)


async def test_a_caller_cancelled_in_the_queue_leaves_it(database: Database) -> None:
    async with database.transaction():
        waiting = asyncio.create_task(database.transaction().__aenter__())
        await asyncio.sleep(0)
        assert database.statistics().waiting == 1
        waiting.cancel()
        await asyncio.wait([waiting])
        assert database.statistics().waiting == 0
    async with database.transaction() as transaction:
        await add(transaction, 1)


async def test_a_folder_is_made_and_the_file_is_private(tmp_path: Path, clock: StoppedClock) -> None:
    path = tmp_path / "new" / "parley.db"
    await (await open_sqlite(path, clock=clock)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]  # the write-ahead log is folded in


async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, clock: StoppedClock) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FailedPrecondition):
        await open_sqlite(tmp_path / "file" / "parley.db", clock=clock)


async def test_a_file_that_is_no_database_is_told(tmp_path: Path, clock: StoppedClock) -> None:
    path = tmp_path / "parley.db"
    path.write_bytes(b"these are not pages of a database" * 100)
    with pytest.raises(Internal, match="no SQLite database"):
        await open_sqlite(path, clock=clock)
    assert path.read_bytes().startswith(b"these are not")


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "parley.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(ParleyError, match=r"parley\.db: the database is damaged"):
        await open_sqlite(path, clock=lambda: datetime.now(UTC))
