"""`account/{username}`: registers a name and lets its owner in. All that is stored is in the stores; what it keeps in
memory is how often the password was wrong of late.

One actor a name, so of two who register a name at once the second finds it taken, and guesses at one password queue up.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from actors.attempts import AttemptLimit, Attempts
from actors.errands import Tasks, entrust
from actors.issuer import Issuer, token_hash
from actors.news import Topics, announce
from actors.passwords import LEAST, MOST, PasswordHasher
from actors.views import user_view
from models import records
from models.records.bounds import EMAIL, FULL_NAME, Check, Text
from models.stores import SessionStore, UserStore
from protocols.accounts import LoggedIn, LogIn, Register, TokenPair, UserView, account_id
from protocols.errors import (
    AlreadyExists,
    FieldFault,
    InvalidArgument,
    NotFound,
    ParleyError,
    ResourceExhausted,
    Unauthenticated,
)
from protocols.events import UserLoggedIn, UserRegistered
from protocols.tasks import UserLogin
from runtime.engine import Actor, on

log: Final = structlog.get_logger("parley.account")

USERNAME: Final = Text(3, 32, form=re.compile(r"[\w.-]+"), form_is="made of letters, digits and . _ -")


def _new_family() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class AccountDeps:
    """What an account needs. `new_family` makes the id of a chain of refresh tokens."""

    users: UserStore
    sessions: SessionStore
    hasher: PasswordHasher
    issuer: Issuer
    topics: Topics
    tasks: Tasks
    limit: AttemptLimit = field(default_factory=AttemptLimit)
    new_family: Callable[[], str] = _new_family


class Account(Actor):
    """One username, taken or not."""

    def __init__(self, _username: str, deps: AccountDeps) -> None:
        self._deps = deps
        self._attempts = Attempts(deps.limit)

    def may_rest(self) -> bool:
        """Not while it remembers a wrong password: the count is nowhere else."""
        return not self._attempts.matter(self.system.clock.time())

    @on(Register)
    async def register(self, message: Register) -> UserView:
        """Make the account."""
        self._check_address(message.username)
        _check(message)
        await self._check_free()
        password_hash = await self._deps.hasher.hash(message.password)
        new = records.NewUser(message.username, message.email, password_hash, message.full_name)
        user = await self._deps.users.create(new)
        # A crash here leaves an account whose owner gets no welcome, and can log in.
        await announce(self._deps.topics, UserRegistered(user.id, user.username, user.email, user.created_at))
        return user_view(user)

    @on(LogIn)
    async def log_in(self, message: LogIn) -> LoggedIn:
        """Let the owner in. The same answer for a wrong name and a wrong password, after the same work."""
        self._check_address(message.username)
        wait_s = self._attempts.wait_s(self.system.clock.time())
        if wait_s:
            raise ResourceExhausted("too many wrong passwords: wait before the next try", retry_after_s=wait_s)
        credential = await self._check_password(message.password)
        if credential is None:
            self._attempts.failed(self.system.clock.time())
            raise Unauthenticated("the username or the password is wrong")
        self._attempts.forget()
        await self._rehash(credential, message.password)
        user = await self._deps.users.by_id(credential.user_id)
        tokens = await self._open_session(user)
        # A crash here leaves a session that its owner never got; it ends by itself with its time.
        now = self.system.clock.now()
        login = UserLogin(user_id=user.id, username=user.username, ip_address=message.ip_address, login_time=now)
        await entrust(self._deps.tasks, login)
        await announce(self._deps.topics, UserLoggedIn(user.id, user.username, now, message.ip_address))
        return LoggedIn(user_view(user), tokens)

    async def _check_free(self) -> None:
        # Asked before the costly hash; the store's own constraint has the last word.
        try:
            await self._deps.users.by_username(self.id)
        except NotFound:
            return
        raise AlreadyExists("the username is taken", faults=[FieldFault("username", "is taken")])

    async def _check_password(self, password: str) -> records.Credential | None:
        try:
            credential = await self._deps.users.credential(self.id)
        except NotFound:
            await self._deps.hasher.verify_nobody(password)
            return None
        return credential if await self._deps.hasher.verify(credential.password_hash, password) else None

    async def _rehash(self, credential: records.Credential, password: str) -> None:
        if not self._deps.hasher.outdated(credential.password_hash):
            return
        try:
            password_hash = await self._deps.hasher.hash(password)
            await self._deps.users.set_credential(records.Credential(credential.user_id, password_hash))
        except ParleyError as error:
            log.warning("password not rehashed, the next login tries again", reason=error.detail)

    async def _open_session(self, user: records.User) -> TokenPair:
        now = self.system.clock.now()
        tokens = self._deps.issuer.pair(user, now)
        session = records.RefreshSession(
            family=self._deps.new_family(),
            token_hash=token_hash(tokens.refresh_token),
            user_id=user.id,
            created_at=now,
            expires_at=self._deps.issuer.refresh_until(now),
        )
        await self._deps.sessions.create(session)
        return tokens

    def _check_address(self, username: str) -> None:
        if account_id(username) != self.id:
            raise InvalidArgument(f"a message for another account came to {self.path}")


def _check(message: Register) -> None:
    check = Check("registration")
    check.text(USERNAME, username=message.username)
    check.text(EMAIL, email=message.email)
    check.text(FULL_NAME, full_name=message.full_name)
    length = len(message.password)
    check.that(LEAST <= length <= MOST, "password", f"must have {LEAST} to {MOST} characters, has {length}")
    same = account_id(message.password) == account_id(message.username)
    check.that(not same, "password", "must not be the username")
    check.done()
