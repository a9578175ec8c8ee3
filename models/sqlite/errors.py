"""What a failure of SQLite means to a caller (result codes: https://www.sqlite.org/rescode.html)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from protocols.errors import AlreadyExists, FieldFault, Internal, InvalidArgument, NotFound, ParleyError, Unavailable

RETRY_AFTER_S: Final = 1.0

_TAKEN: Final = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})
_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@contextmanager
def translated() -> Iterator[None]:
    """Within it, an error of SQLite is raised as the ParleyError that it means."""
    try:
        yield
    except sqlite3.Error as error:
        raise _meaning(error) from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise InvalidArgument(f"a value that no row can hold: {error}") from error


def _meaning(error: sqlite3.Error) -> ParleyError:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = code & 0xFF
    if code in _TAKEN:
        return _taken(str(error))
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return NotFound("what this belongs to does not exist")
    if primary in _PASSING:
        return Unavailable(f"the database is away: {error}", retry_after_s=RETRY_AFTER_S)
    if primary in _DAMAGED:
        return Internal(f"the database is damaged, or no SQLite database: {error}")
    return Internal(f"the database refused a statement: {error}")


def _taken(text: str) -> AlreadyExists:
    """From `UNIQUE constraint failed: users.username_key`; a column `x_key` holds the unique form of the field `x`."""
    columns = text.rpartition(": ")[2].split(", ")
    fields = [column.rpartition(".")[2].removesuffix("_key") for column in columns]
    return AlreadyExists(f"{' and '.join(fields)} is taken", faults=[FieldFault(name, "is taken") for name in fields])
