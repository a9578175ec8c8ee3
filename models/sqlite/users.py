"""Users and credentials in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from models.instants import from_us, to_us
from models.records import Credential, NewUser, User, UserRole, UserStatus, folded
from models.records.bounds import check_ids
from models.sqlite.connection import Database, Row, Transaction
from models.stores import Clock
from protocols.errors import Aborted, NotFound

_COLUMNS: Final = "id, username, email, full_name, status, role, created_at, version"


class SqliteUsers:
    """A `UserStore`."""

    __slots__ = ("_clock", "_database")

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, new: NewUser) -> User:
        async with self._database.transaction() as transaction:
            [row] = await transaction.rows(
                "INSERT INTO users"
                " (username, username_key, email, email_key, full_name, status, role, created_at, version)"
                f" VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1) RETURNING {_COLUMNS}",
                (
                    new.username,
                    folded(new.username),
                    new.email,
                    folded(new.email),
                    new.full_name,
                    UserStatus.OFFLINE,
                    new.role,
                    to_us(self._clock()),
                ),
            )
            await transaction.rows(
                "INSERT INTO credentials (user_id, password_hash) VALUES (?, ?)", (row["id"], new.password_hash)
            )
            return _user(row)

    async def by_id(self, user_id: int) -> User:
        return await self._one("id = ?", user_id)

    async def by_ids(self, user_ids: Sequence[int]) -> tuple[User, ...]:
        check_ids(user_ids)
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM users WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            (msgspec.json.encode(user_ids).decode(),),
        )
        return tuple(map(_user, rows))

    async def by_username(self, username: str) -> User:
        return await self._one("username_key = ?", folded(username))

    async def by_email(self, email: str) -> User:
        return await self._one("email_key = ?", folded(email))

    async def credential(self, username: str) -> Credential:
        row = await self._database.row(
            "SELECT user_id, password_hash FROM credentials JOIN users ON id = user_id WHERE username_key = ?",
            (folded(username),),
        )
        if row is None:
            raise NotFound("no such user")
        return Credential(row["user_id"], row["password_hash"])

    async def set_credential(self, credential: Credential) -> None:
        async with self._database.transaction() as transaction:
            changed = await transaction.rows(
                "UPDATE credentials SET password_hash = ? WHERE user_id = ? RETURNING user_id",
                (credential.password_hash, credential.user_id),
            )
            if not changed:
                raise NotFound("no such user")

    async def update(self, user: User) -> User:
        async with self._database.transaction() as transaction:
            row = await transaction.row(
                "UPDATE users SET username = ?, username_key = ?, email = ?, email_key = ?, full_name = ?, status = ?,"
                f" role = ?, version = version + 1 WHERE id = ? AND version = ? RETURNING {_COLUMNS}",
                (
                    user.username,
                    folded(user.username),
                    user.email,
                    folded(user.email),
                    user.full_name,
                    user.status,
                    user.role,
                    user.id,
                    user.version,
                ),
            )
            return _user(row) if row is not None else await _refuse(transaction, user)

    async def _one(self, condition: str, value: int | str) -> User:
        row = await self._database.row(f"SELECT {_COLUMNS} FROM users WHERE {condition}", (value,))
        if row is None:
            raise NotFound("no such user")
        return _user(row)


async def _refuse(transaction: Transaction, user: User) -> User:
    row = await transaction.row("SELECT version FROM users WHERE id = ?", (user.id,))
    if row is None:
        raise NotFound("no such user")
    raise Aborted(f"the user is in version {row['version']}, not {user.version}")


def _user(row: Row) -> User:
    return User(
        id=row["id"],
        username=row["username"],
        email=row["email"],
        full_name=row["full_name"],
        status=UserStatus(row["status"]),
        role=UserRole(row["role"]),
        created_at=from_us(row["created_at"]),
        version=row["version"],
    )
