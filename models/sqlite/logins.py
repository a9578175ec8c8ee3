"""The login log in SQLite."""

from __future__ import annotations

from typing import Final

from models.instants import from_us, to_us
from models.paging import Integer, Page, decode_cursor, encode_cursor
from models.records import LoginRecord
from models.records.bounds import check_page
from models.sqlite.connection import Database, Row

_NEWEST: Final = (2**63 - 1, "")


class SqliteLogins:
    """A `LoginStore`."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, record: LoginRecord) -> bool:
        async with self._database.transaction() as transaction:
            written = await transaction.rows(
                "INSERT INTO logins (user_id, login_time, ip_address, username) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING RETURNING user_id",
                (record.user_id, to_us(record.login_time), record.ip_address, record.username),
            )
            return bool(written)

    async def list_for_user(self, user_id: int, *, cursor: str = "", limit: int = 50) -> Page[LoginRecord]:
        check_page(limit)
        before = decode_cursor(cursor, _NEWEST, tuple[Integer, str])
        rows = await self._database.rows(
            "SELECT user_id, username, ip_address, login_time FROM logins"
            " WHERE user_id = ? AND (login_time, ip_address) < (?, ?)"
            " ORDER BY login_time DESC, ip_address DESC LIMIT ?",
            (user_id, *before, limit + 1),
        )
        found = tuple(map(_login, rows[:limit]))
        more = len(rows) > limit
        return Page(found, encode_cursor((to_us(found[-1].login_time), found[-1].ip_address)) if more else "")


def _login(row: Row) -> LoginRecord:
    return LoginRecord(row["user_id"], row["username"], row["ip_address"], from_us(row["login_time"]))
