"""Refresh tokens in SQLite. Each decision and what follows from it are one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from models.instants import from_us, to_us
from models.records import RefreshSession
from models.sqlite.connection import Database, Row, Transaction
from models.stores import Clock, Rotation, RotationOutcome

_COLUMNS: Final = "family, token_hash, user_id, created_at, expires_at, used_at, revoked_at"


class SqliteSessions:
    """A `SessionStore`."""

    __slots__ = ("_clock", "_database")

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, session: RefreshSession) -> None:
        async with self._database.transaction() as transaction:
            await _insert(transaction, session)

    async def rotate(self, token_hash: bytes, successor_hash: bytes, expires_at: datetime) -> Rotation:
        async with self._database.transaction() as transaction:
            row = await transaction.row(f"SELECT {_COLUMNS} FROM refresh_sessions WHERE token_hash = ?", (token_hash,))
            if row is None:
                return Rotation(RotationOutcome.UNKNOWN, None)
            session = _session(row)
            now = self._clock()
            if session.revoked_at is not None:
                return Rotation(RotationOutcome.REVOKED, session)
            if session.used_at is not None:
                await _revoke(transaction, "family = ?", session.family, now)
                return Rotation(RotationOutcome.REUSED, session)
            if session.expires_at <= now:
                return Rotation(RotationOutcome.EXPIRED, session)
            successor = RefreshSession(session.family, successor_hash, session.user_id, now, expires_at)
            await transaction.rows(
                "UPDATE refresh_sessions SET used_at = ? WHERE token_hash = ?", (to_us(now), token_hash)
            )
            await _insert(transaction, successor)
            return Rotation(RotationOutcome.ROTATED, successor)

    async def revoke(self, token_hash: bytes) -> bool:
        async with self._database.transaction() as transaction:
            of_token = "family = (SELECT family FROM refresh_sessions WHERE token_hash = ?)"
            return await _revoke(transaction, of_token, token_hash, self._clock()) > 0

    async def revoke_user(self, user_id: int) -> int:
        async with self._database.transaction() as transaction:
            return await _revoke(transaction, "user_id = ?", user_id, self._clock())


async def _insert(transaction: Transaction, session: RefreshSession) -> None:
    await transaction.rows(
        f"INSERT INTO refresh_sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            session.family,
            session.token_hash,
            session.user_id,
            to_us(session.created_at),
            to_us(session.expires_at),
            to_us(session.used_at),
            to_us(session.revoked_at),
        ),
    )


async def _revoke(transaction: Transaction, condition: str, value: int | str | bytes, now: datetime) -> int:
    """Revoke the families that meet the condition; returns how many were alive."""
    rows = await transaction.rows(
        f"UPDATE refresh_sessions SET revoked_at = ? WHERE {condition} AND revoked_at IS NULL RETURNING family",
        (to_us(now), value),
    )
    return len({row["family"] for row in rows})


def _session(row: Row) -> RefreshSession:
    return RefreshSession(
        family=row["family"],
        token_hash=row["token_hash"],
        user_id=row["user_id"],
        created_at=from_us(row["created_at"]),
        expires_at=from_us(row["expires_at"]),
        used_at=from_us(row["used_at"]),
        revoked_at=from_us(row["revoked_at"]),
    )
