"""Checks one password at a meeting's door, which takes long, so that the meeting need not wait."""

from __future__ import annotations

from dataclasses import dataclass

from actors.passwords import PasswordHasher
from protocols.errors import PermissionDenied
from protocols.meetings import JoinMeeting
from runtime.engine import Actor, Ref, on


@dataclass(frozen=True, slots=True)
class PasswordRight:
    """From the door to its meeting, with the asker of `join`: let them in."""

    join: JoinMeeting


class Door(Actor):
    """For one request."""

    def __init__(self, meeting: Ref, password_hash: str, hasher: PasswordHasher) -> None:
        self._meeting = meeting
        self._password_hash = password_hash
        self._hasher = hasher

    @on(JoinMeeting)
    async def check(self, message: JoinMeeting) -> None:
        """Pass the request back to the meeting, or refuse it."""
        try:
            if not await self._hasher.verify(self._password_hash, message.password):
                raise PermissionDenied("the meeting's password is missing or wrong")
            self.forward(self._meeting, PasswordRight(message))
        finally:
            self.stop()
