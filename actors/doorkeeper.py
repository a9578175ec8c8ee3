"""Asks a meeting whether somebody may come into its room, or look who is there, so that the room need not wait."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.errors import FailedPrecondition, PermissionDenied
from protocols.meetings import Access, CheckAccess
from protocols.signaling import Enter, GetRoom
from runtime.engine import Actor, Ref, on


@dataclass(frozen=True, slots=True)
class Admitted:
    """From the doorkeeper to its room, with the asker of `enter`: they may come in, in that role."""

    enter: Enter
    role: str


@dataclass(frozen=True, slots=True)
class MayLook:
    """From the doorkeeper to its room, with the asker of GetRoom: they may see who is in."""


class Doorkeeper(Actor):
    """For one request."""

    def __init__(self, room: Ref, meeting: Ref) -> None:
        self._room = room
        self._meeting = meeting

    @on(Enter)
    async def enter(self, message: Enter) -> None:
        """Pass the request back to the room, or refuse it."""
        try:
            access = await self._access(message.user_id)
            if not access.live:
                raise FailedPrecondition("the meeting is not going on")
            self.forward(self._room, Admitted(message, access.role))
        finally:
            self.stop()

    @on(GetRoom)
    async def look(self, message: GetRoom) -> None:
        """Pass the request back to the room, or refuse it."""
        try:
            await self._access(message.actor_id)
            self.forward(self._room, MayLook())
        finally:
            self.stop()

    async def _access(self, user_id: int) -> Access:
        access: Access = await self.ask(self._meeting, CheckAccess(user_id))
        if not access.granted:
            raise PermissionDenied(access.reason)
        return access
