"""Migrations of the SQLite file: numbered SQL files, run in order at open, forward only, all that is due or none of it.

Two processes that open the file at once wait for each other: everything happens under one write lock. What was run is
noted with its checksum, so that a file which was changed afterwards, or a database from a newer Parley, is refused.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Final

import aiosqlite

from models.instants import to_us
from models.sqlite.errors import translated
from protocols.errors import FailedPrecondition

_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_JOURNAL: Final = """CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
) STRICT"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: `number` counts from 1, without a gap."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the SQL, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def statements(self) -> Iterator[str]:
        """The statements one by one, since sqlite3 commits before it runs a whole script. Each ends at a line's end."""
        statement = ""
        for line in self.sql.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                yield statement
                statement = ""
        if statement.strip():
            raise ValueError(f"migration {self} ends within a statement")

    def __str__(self) -> str:
        return f"{self.number:04}_{self.name}"


def packaged() -> tuple[Migration, ...]:
    """The migrations that this code comes with, in order."""
    found = []
    for file in files("models.sqlite.migrations").iterdir():
        if (match := _FILE.fullmatch(file.name)) is not None:
            found.append(Migration(int(match[1]), match[2], file.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations must be numbered from 1 without a gap: {', '.join(map(str, found))}")
    return tuple(found)


async def due(connection: aiosqlite.Connection, known: Sequence[Migration]) -> tuple[Migration, ...]:
    """Those of the known migrations that the database still lacks. Writes nothing.

    Raises FailedPrecondition for a database that is newer than the code, or whose past is not the code's.
    """
    with translated():
        if not list(await connection.execute_fetchall("SELECT 1 FROM sqlite_schema WHERE name = 'schema_migrations'")):
            return tuple(known)
        applied = list(
            await connection.execute_fetchall("SELECT number, name, checksum FROM schema_migrations ORDER BY number")
        )
    if len(applied) > len(known):
        newest = f"{applied[-1]['number']:04}_{applied[-1]['name']}"
        raise FailedPrecondition(
            f"the database is newer than this Parley: it has migration {newest}, the newest known here is"
            f" {known[-1] if known else 'none'}; install the Parley that wrote it, or a later one"
        )
    for row, migration in zip(applied, known, strict=False):
        if (row["number"], row["checksum"]) != (migration.number, migration.checksum):
            raise FailedPrecondition(
                f"migration {migration} is not what this database was made with "
                f"({row['number']:04}_{row['name']}): a migration that has been run must never change; add a new one"
            )
    return tuple(known[len(applied) :])


async def migrate(connection: aiosqlite.Connection, known: Sequence[Migration], now: datetime) -> tuple[Migration, ...]:
    """Run what is due, in one transaction, and return it."""
    with translated():
        try:
            await connection.execute_fetchall("BEGIN IMMEDIATE")
            await connection.execute_fetchall(_JOURNAL)
            run = await due(connection, known)
            for migration in run:
                for statement in migration.statements():
                    await connection.execute_fetchall(statement)
                await connection.execute_fetchall(
                    "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
                    (migration.number, migration.name, migration.checksum, to_us(now)),
                )
            await connection.commit()
        except BaseException:
            await connection.rollback()
            raise
    return run
