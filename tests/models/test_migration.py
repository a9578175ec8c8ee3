from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import aiosqlite
import pytest

from models.sqlite import SqliteSettings, due_migrations, open_sqlite
from models.sqlite.connection import connect_writer
from models.sqlite.migration import Migration, due, migrate, packaged
from protocols.errors import FailedPrecondition, Internal, Unavailable
from tests.models.conftest import StoppedClock
from tests.models.samples import NOON, new_user

ROOT: Final = Path(__file__).parents[2]
ONE: Final = Migration(1, "one", "CREATE TABLE one (n INTEGER);\nINSERT INTO one VALUES (1);\n")
TWO: Final = Migration(
    2,
    "two",
    """\
-- A trigger has statements of its own.
CREATE TRIGGER grow AFTER INSERT ON one BEGIN
    UPDATE one SET n = n + 1;
    UPDATE one SET n = n * 2;
END;
""",
)
BROKEN: Final = Migration(3, "broken", "CREATE TABLE three (n INTEGER);\nINSERT INTO nowhere VALUES (1);\n")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "parley.db"


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[aiosqlite.Connection]:
    connection = await connect_writer(path, 1_000)
    try:
        yield connection
    finally:
        await connection.close()


def tables(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    finally:
        connection.close()


async def test_what_is_due_is_run_once(writer: aiosqlite.Connection) -> None:
    assert await due(writer, [ONE, TWO]) == (ONE, TWO)
    assert await migrate(writer, [ONE], NOON) == (ONE,)
    assert await migrate(writer, [ONE, TWO], NOON) == (TWO,)
    assert await migrate(writer, [ONE, TWO], NOON) == ()
    assert [tuple(row) for row in await writer.execute_fetchall("SELECT n FROM one")] == [(1,)]


async def test_all_that_is_due_is_run_or_none_of_it(writer: aiosqlite.Connection, path: Path) -> None:
    await migrate(writer, [ONE], NOON)
    with pytest.raises(Internal):
        await migrate(writer, [ONE, TWO, BROKEN], NOON)
    assert "three" not in tables(path)
    assert await due(writer, [ONE, TWO]) == (TWO,)
    assert await migrate(writer, [ONE, TWO], NOON) == (TWO,)


async def test_a_newer_database_is_refused(writer: aiosqlite.Connection) -> None:
    await migrate(writer, [ONE, TWO], NOON)
    with pytest.raises(FailedPrecondition, match=r"newer than this Parley: it has migration 0002_two.*0001_one"):
        await migrate(writer, [ONE], NOON)


async def test_a_migration_that_changed_after_it_was_run_is_noticed(writer: aiosqlite.Connection) -> None:
    await migrate(writer, [ONE], NOON)
    changed = Migration(1, "one", ONE.sql + "-- only a comment\n")
    with pytest.raises(FailedPrecondition, match="0001_one is not what this database was made with"):
        await migrate(writer, [changed], NOON)


def test_a_migration_that_ends_within_a_statement_is_a_defect() -> None:
    with pytest.raises(ValueError, match="0001_cut ends within a statement"):
        list(Migration(1, "cut", "CREATE TABLE one (n INTEGER)").statements())


def test_the_packaged_migrations_are_numbered_in_order() -> None:
    assert [str(migration) for migration in packaged()][:3] == ["0001_accounts", "0002_meetings", "0003_analyses"]


async def test_a_file_is_brought_up_to_date_and_found_again(path: Path, clock: StoppedClock) -> None:
    stores = await open_sqlite(path, clock=clock)
    made = await stores.users.create(new_user())
    await stores.close()
    stores = await open_sqlite(path, clock=clock)
    assert await stores.users.by_id(made.id) == made
    await stores.close()


async def test_a_dry_run_changes_nothing(path: Path, clock: StoppedClock) -> None:
    assert await due_migrations(path) == packaged()
    assert not path.exists()
    path.touch()
    assert await due_migrations(path) == packaged()
    assert tables(path) == set()
    await (await open_sqlite(path, clock=clock)).close()
    assert await due_migrations(path) == ()


async def test_a_dry_run_refuses_what_opening_would(path: Path, clock: StoppedClock) -> None:
    await (await open_sqlite(path, clock=clock)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (999, 'from_the_future', '', 0)")
    connection.close()
    with pytest.raises(FailedPrecondition, match="0999_from_the_future"):
        await due_migrations(path)
    with pytest.raises(FailedPrecondition, match="0999_from_the_future"):
        await open_sqlite(path, clock=clock)


async def test_a_file_that_another_holds_is_unavailable(path: Path, clock: StoppedClock) -> None:
    await (await open_sqlite(path, clock=clock)).close()
    holder = sqlite3.connect(path, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            await open_sqlite(path, clock=clock, settings=SqliteSettings(busy_timeout_ms=20))
    finally:
        holder.close()


async def test_many_open_a_new_file_at_once(tmp_path: Path, clock: StoppedClock) -> None:
    for attempt in range(5):
        path = tmp_path / f"{attempt}.db"
        opened = await asyncio.gather(*[open_sqlite(path, clock=clock) for _ in range(4)])
        for stores in opened:
            await stores.close()
        assert await due_migrations(path) == ()


async def test_two_processes_open_a_new_file_at_once(path: Path) -> None:
    command = (sys.executable, "-m", "tests.models.writer_process", str(path))
    children = [
        await asyncio.create_subprocess_exec(*command, f"writer{n}", "1", cwd=ROOT, stdout=asyncio.subprocess.PIPE)
        for n in range(2)
    ]
    printed = await asyncio.gather(*[child.communicate() for child in children])
    assert [child.returncode for child in children] == [0, 0]
    assert [out for out, _ in printed] == [b"stored writer0.0\n", b"stored writer1.0\n"]
    assert await due_migrations(path) == ()
