"""`user/{id}`: the person behind an account, once logged in. Keeps nothing in memory: what the stores say is so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from actors.addresses import number_of
from actors.issuer import Issuer, token_hash
from actors.news import Topics, announce
from actors.rest import rest_if_idle
from actors.views import user_view
from models import records
from models.stores import RotationOutcome, SessionStore, UserStore
from protocols.accounts import GetUser, LoggedIn, LogOut, Refresh, SetStatus, UserView
from protocols.errors import Aborted, FieldFault, InvalidArgument, NotFound, Unauthenticated
from protocols.events import UserStatusChanged
from protocols.tokens import refresh_token_owner
from runtime.engine import Actor, on

log: Final = structlog.get_logger("parley.user")

WHY_NOT: Final[Mapping[RotationOutcome, str]] = {
    RotationOutcome.REUSED: "this refresh token was used before: the session has been ended, log in again",
    RotationOutcome.REVOKED: "the session has been ended: log in again",
    RotationOutcome.EXPIRED: "the session has expired: log in again",
    RotationOutcome.UNKNOWN: "this refresh token is not known: log in again",
}


@dataclass(frozen=True, slots=True)
class UserDeps:
    """What a user needs."""

    users: UserStore
    sessions: SessionStore
    issuer: Issuer
    topics: Topics


class User(Actor):
    """One user."""

    def __init__(self, _user_id: str, deps: UserDeps) -> None:
        self._deps = deps

    @on(GetUser)
    async def get(self, _: GetUser) -> UserView:
        """Who it is."""
        return user_view(await self._user())

    @on(Refresh)
    async def refresh(self, message: Refresh) -> LoggedIn:
        """Trade a refresh token for the next pair.

        When the answer is lost on its way, the client still holds a token that has been used: presenting it ends the
        session, since it cannot be told from a stolen one.
        """
        self._check_owner(message.refresh_token)
        try:
            user = await self._user()
        except NotFound:
            raise Unauthenticated(WHY_NOT[RotationOutcome.UNKNOWN]) from None
        now = self.system.clock.now()
        tokens = self._deps.issuer.pair(user, now)
        rotation = await self._deps.sessions.rotate(
            token_hash(message.refresh_token), token_hash(tokens.refresh_token), self._deps.issuer.refresh_until(now)
        )
        if rotation.outcome is not RotationOutcome.ROTATED:
            if rotation.outcome is RotationOutcome.REUSED:
                log.warning("refresh token used twice, its sessions are ended", user_id=user.id)
            raise Unauthenticated(WHY_NOT[rotation.outcome])
        return LoggedIn(user_view(user), tokens)

    @on(LogOut)
    async def log_out(self, message: LogOut) -> None:
        """End the session of a refresh token. One that has ended, or never was, is as good."""
        self._check_owner(message.refresh_token)
        if not await self._deps.sessions.revoke(token_hash(message.refresh_token)):
            rest_if_idle(self)

    @on(SetStatus)
    async def set_status(self, message: SetStatus) -> UserView:
        """Change whether the user can be reached."""
        status = _status(message.status)
        user = await self._user()
        if user.status is status:
            return user_view(user)
        try:
            changed = await self._deps.users.update(replace(user, status=status))
        except Aborted:
            # Another part of the record was changed in between: this change does not depend on it.
            user = await self._user()
            changed = await self._deps.users.update(replace(user, status=status))
        # A crash here leaves a status that nobody was told of; whoever asks gets it right.
        await announce(self._deps.topics, UserStatusChanged(user.id, user.status.value, status.value))
        return user_view(changed)

    async def _user(self) -> records.User:
        try:
            return await self._deps.users.by_id(number_of(self.id, "user"))
        except NotFound:
            rest_if_idle(self)
            raise

    def _check_owner(self, refresh_token: str) -> None:
        if str(refresh_token_owner(refresh_token)) != self.id:
            raise Unauthenticated(WHY_NOT[RotationOutcome.UNKNOWN])


def _status(name: str) -> records.UserStatus:
    if name not in set(records.UserStatus):
        known = ", ".join(records.UserStatus)
        raise InvalidArgument(f"there is no status {name!r}", faults=[FieldFault("status", f"must be one of {known}")])
    return records.UserStatus(name)
