"""Records of people: who they are, what lets them in, and when they came.

A user's password hash is in a record of its own, so that it never travels with the user.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from models.records import bounds


class UserStatus(StrEnum):
    """Whether a person can be reached."""

    ONLINE = "online"
    AWAY = "away"
    BUSY = "busy"
    OFFLINE = "offline"


class UserRole(StrEnum):
    """What a person may do beyond their own account."""

    USER = "user"
    ADMIN = "admin"


def folded(name: str) -> str:
    """The form in which usernames and e-mail addresses are unique: NFKC, case folded, white space trimmed.

    It is computed here and stored beside the name, so that no database's collation decides who is the same person.
    Folding can undo the normal form and the normal form can bring up what folds, or a space; the second round ends it.
    """
    for _ in range(2):
        name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()
    return name


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be created."""

    username: str
    email: str
    password_hash: str = field(repr=False)
    full_name: str = ""
    role: UserRole = UserRole.USER

    def __post_init__(self) -> None:
        check = bounds.Check("user")
        _check_names(check, self.username, self.email, self.full_name)
        check.text(bounds.PASSWORD_HASH, password_hash=self.password_hash)
        check.done()


@dataclass(frozen=True, slots=True)
class User:
    """A user. `version` starts at 1 and grows with every change."""

    id: int
    username: str
    email: str
    full_name: str
    status: UserStatus
    role: UserRole
    created_at: datetime
    version: int = 1

    def __post_init__(self) -> None:
        check = bounds.Check("user")
        check.within(bounds.ID, id=self.id)
        _check_names(check, self.username, self.email, self.full_name)
        check.utc(created_at=self.created_at)
        check.within(bounds.VERSION, version=self.version)
        check.done()


@dataclass(frozen=True, slots=True)
class Credential:
    """What a user's password is checked against."""

    user_id: int
    password_hash: str = field(repr=False)

    def __post_init__(self) -> None:
        check = bounds.Check("credential")
        check.within(bounds.ID, user_id=self.user_id)
        check.text(bounds.PASSWORD_HASH, password_hash=self.password_hash)
        check.done()


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """One refresh token, known by its SHA-256 alone. Each token traded for the next stays in the `family` of the first.

    `used_at` is when it was traded, `revoked_at` when its family was ended.
    """

    family: str
    token_hash: bytes = field(repr=False)
    user_id: int
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def __post_init__(self) -> None:
        check = bounds.Check("session")
        check.text(bounds.FAMILY_ID, family=self.family)
        check.that(len(self.token_hash) == bounds.TOKEN_HASH_BYTES, "token_hash", "must be a SHA-256")
        check.within(bounds.ID, user_id=self.user_id)
        check.utc(
            created_at=self.created_at, expires_at=self.expires_at, used_at=self.used_at, revoked_at=self.revoked_at
        )
        check.order("expires_at", self.created_at, self.expires_at)
        check.done()


@dataclass(frozen=True, slots=True)
class LoginRecord:
    """One line of the login log: who came, when and from where (`ip_address` is empty where it is not known)."""

    user_id: int
    username: str
    ip_address: str
    login_time: datetime

    def __post_init__(self) -> None:
        check = bounds.Check("login")
        check.within(bounds.ID, user_id=self.user_id)
        check.text(bounds.USERNAME, username=self.username)
        check.text(bounds.IP_ADDRESS, ip_address=self.ip_address)
        check.utc(login_time=self.login_time)
        check.done()


def _check_names(check: bounds.Check, username: str, email: str, full_name: str) -> None:
    check.text(bounds.USERNAME, username=username)
    check.text(bounds.EMAIL, email=email)
    check.text(bounds.FULL_NAME, full_name=full_name)
