"""Every store in one SQLite file: the embedded default, which needs no server."""

from __future__ import annotations

from pathlib import Path

from models.sqlite.analyses import SqliteAnalyses
from models.sqlite.connection import Database, SqliteSettings, connect, connect_writer, open_database
from models.sqlite.logins import SqliteLogins
from models.sqlite.meetings import SqliteMeetings
from models.sqlite.migration import Migration, due, migrate, packaged
from models.sqlite.sessions import SqliteSessions
from models.sqlite.transcripts import SqliteTranscripts
from models.sqlite.users import SqliteUsers
from models.stores import Clock, Stores
from protocols.errors import ParleyError, from_code

__all__ = ["SqliteSettings", "due_migrations", "open_sqlite"]

_DEFAULTS = SqliteSettings()


async def open_sqlite(path: Path | str, *, clock: Clock, settings: SqliteSettings = _DEFAULTS) -> Stores:
    """Open the stores in the file at `path`, which is made or brought up to date first. Close them with `close`.

    Raises FailedPrecondition for a file of a newer Parley, or one that cannot be written; Unavailable when another
    process holds its lock for longer than the busy timeout.
    """
    path = Path(path)
    try:
        database = await _open(path, clock, settings)
    except ParleyError as error:
        raise from_code(error.code, f"{path}: {error.detail}", retry_after_s=error.retry_after_s) from error
    return Stores(
        users=SqliteUsers(database, clock),
        sessions=SqliteSessions(database, clock),
        logins=SqliteLogins(database),
        meetings=SqliteMeetings(database, clock),
        transcripts=SqliteTranscripts(database),
        analyses=SqliteAnalyses(database),
        backends=(database,),
    )


async def _open(path: Path, clock: Clock, settings: SqliteSettings) -> Database:
    writer = await connect_writer(path, settings.busy_timeout_ms)
    try:
        await migrate(writer, packaged(), clock())
    except BaseException:
        await writer.close()
        raise
    return await open_database(path, writer, settings)


async def due_migrations(path: Path | str, *, settings: SqliteSettings = _DEFAULTS) -> tuple[Migration, ...]:
    """The dry run: what `open_sqlite` would run on this file, in order. Changes nothing, raises what it would raise."""
    path = Path(path)
    if not path.exists():
        return packaged()
    connection = await connect(f"{path.absolute().as_uri()}?mode=ro", settings.busy_timeout_ms)
    try:
        return await due(connection, packaged())
    finally:
        await connection.close()
