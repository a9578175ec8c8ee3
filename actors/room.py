"""`room/{room_id}`: where the live peers of a meeting meet. It lives in memory only: who is in it is who is connected.

What its members see is numbered: each event of the room (somebody came, left, the meeting is over) has the next `seq`,
and each member sees all of them from its own coming on. When a room breaks it stops, its peers notice, and they enter
the next one anew. Nothing here is awaited, so that a relayed frame never waits for a store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from actors.addresses import local, meeting_of_room
from actors.doorkeeper import Admitted, Doorkeeper, MayLook
from actors.news import Herald, Topics
from actors.rest import rest_if_idle
from protocols import frames
from protocols.errors import (
    Code,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from protocols.events import ConnectionClosed
from protocols.frames import MEETING_ENDED_CLOSE, REPLACED_CLOSE, RoomMember
from protocols.signaling import CloseRoom, Deliver, Enter, Entered, Exit, GetRoom, Relay, RoomView
from runtime.engine import Actor, Directive, Ref, Supervision, Terminated, on

RETRY_AFTER_S: Final = 1.0


SUPERVISION: Final = Supervision(otherwise=Directive.STOP)
"""Of the kind `room`: a room that broke has lost who is in it, and only its end tells its peers so."""


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """`entering`: those at the door at a time. `vacant_s`: how long an empty room stays up."""

    entering: int = 256
    vacant_s: float = 10.0


@dataclass(frozen=True, slots=True)
class RoomDeps:
    """What a room needs. The kinds `meeting` and `peer` must be carried too."""

    topics: Topics
    limits: RoomLimits = field(default_factory=RoomLimits)


@dataclass(frozen=True, slots=True)
class _Member:
    session_id: str
    user_id: int
    username: str
    role: str
    peer: Ref

    def shown(self, *, polite: bool) -> RoomMember:
        return RoomMember(self.user_id, self.username, self.session_id, self.role, polite)


@dataclass(frozen=True, slots=True)
class _Vacant:
    pass


class Room(Actor):
    """One room."""

    def __init__(self, _room_id: str, deps: RoomDeps) -> None:
        self._deps = deps
        self._members: dict[int, _Member] = {}
        self._sessions: dict[str, _Member] = {}
        self._seq = 0
        self._closed = False

    def started(self) -> None:
        """Be there, for a while at least."""
        self._herald = self.spawn(Herald, self._deps.topics, name="herald")
        self.timers.start("vacant", _Vacant(), self._deps.limits.vacant_s)

    def may_rest(self) -> bool:
        """Not while somebody is in, or at the door."""
        return not self._members and not self._entering

    @on(_Vacant)
    def look_around(self, _: _Vacant) -> None:
        """Go, if nobody is in and nobody comes."""
        if self._members:
            return
        self.timers.start("vacant", _Vacant(), self._deps.limits.vacant_s)
        if not self._entering:
            rest_if_idle(self)

    # ---- coming in

    @on(Enter, GetRoom)
    def knock(self, message: Enter | GetRoom) -> Entered | None:
        """Have the meeting asked whether this user may: by an actor of its own, for the room does not wait."""
        meeting_id = meeting_of_room(self.id)
        if isinstance(message, Enter) and message.session_id in self._sessions:
            return self._entered(self._sessions[message.session_id], self._seq)
        if self._entering >= self._deps.limits.entering:
            raise ResourceExhausted("too many come to this room at once", retry_after_s=RETRY_AFTER_S)
        meeting = self.system.entity("meeting", str(meeting_id))
        self.forward(self.spawn(Doorkeeper, self.ref, meeting))
        return None

    @on(Admitted)
    def admit(self, message: Admitted) -> Entered:
        """Let a user in, in the place of their older session."""
        if self._closed:
            raise FailedPrecondition("the meeting has ended")
        enter = message.enter
        older = self._members.get(enter.user_id)
        if older is not None:
            self._replace(older)
        # The very actor: an address would bring an ended session to life again whenever it is told something.
        peer = local(self, self.system.entity("peer", enter.session_id))
        self.watch(peer)
        member = _Member(enter.session_id, enter.user_id, enter.username, message.role, peer)
        self._members[member.user_id] = self._sessions[member.session_id] = member
        # Of two peers the later is the polite one: nobody who is in gives way to the newcomer.
        newcomer = member.shown(polite=False)
        deaf = self._tell_all(lambda seq: frames.UserJoined(room_id=self.id, participant=newcomer, seq=seq), member)
        entered = self._entered(member, self._seq)
        self._cut(deaf)
        return entered

    @on(MayLook)
    def show(self, _: MayLook) -> RoomView:
        """Who is in."""
        members = tuple(member.shown(polite=False) for member in self._members.values())
        return RoomView(self.id, members, self._seq)

    # ---- being in

    @on(Relay)
    def relay(self, message: Relay) -> None:
        """Pass a negotiation frame on; the sender is the session's user, whatever the frame says."""
        sender = self._sessions.get(message.session_id)
        if sender is None:
            raise PermissionDenied("you are not in this room")
        to_user_id = message.frame.to_user_id
        if to_user_id == sender.user_id:
            raise InvalidArgument("to_user_id is your own")
        receiver = self._members.get(to_user_id)
        if receiver is None:
            raise NotFound(f"user {to_user_id} is not in this room")
        if not receiver.peer.tell(Deliver(frames.relayed(message.frame, sender.user_id))):
            self._cut([receiver])
            raise NotFound(f"user {to_user_id} is not in this room any more")

    # ---- going

    @on(Exit)
    def exit(self, message: Exit) -> None:
        """Let a session go. One that is not in is gone already."""
        member = self._sessions.get(message.session_id)
        if member is not None:
            self._remove(member, message.reason)

    @on(Terminated)
    def lost(self, message: Terminated) -> None:
        """A peer is gone without a word."""
        member = self._sessions.get(message.ref.path.removeprefix("peer/"))
        if member is not None:
            self._remove(member, "lost")

    @on(CloseRoom)
    def close(self, message: CloseRoom) -> None:
        """The meeting is over: tell everybody, and let go of them. Nobody comes in any more."""
        self._closed = True
        meeting_id = meeting_of_room(self.id)
        deaf = self._tell_all(
            lambda seq: frames.MeetingOver(room_id=self.id, meeting_id=meeting_id, seq=seq), None, MEETING_ENDED_CLOSE
        )
        for member in deaf:
            member.peer.stop()
        for member in list(self._members.values()):
            self._forget(member, message.reason)

    # ---- within

    @property
    def _entering(self) -> int:
        """How many are at the door: all children but the herald."""
        return len(self.children) - 1

    def _entered(self, member: _Member, seq: int) -> Entered:
        """What a member sees: to those who came before it gives way, to those who came later it does not."""
        everybody = list(self._members.values())
        at = everybody.index(member)
        others = [other.shown(polite=place < at) for place, other in enumerate(everybody) if place != at]
        return Entered(tuple(others), seq)

    def _replace(self, older: _Member) -> None:
        # Numbered like what the others see, so that a session that came back meanwhile knows it for an old story.
        told = frames.Error(
            code=Code.ABORTED.value, message="you entered this room from somewhere else", seq=self._seq + 1
        )
        self._remove(older, "replaced")
        if not older.peer.tell(Deliver(told, REPLACED_CLOSE)):
            older.peer.stop()

    def _tell_all(
        self, make: Callable[[int], frames.AnyServerFrame], but: _Member | None, close_code: int | None = None
    ) -> list[_Member]:
        """Number an event and tell it to all members but one. Returns those who cannot be told."""
        self._seq += 1
        event = Deliver(make(self._seq), close_code)
        others = [member for member in self._members.values() if member is not but]
        return [member for member in others if not member.peer.tell(event)]

    def _remove(self, member: _Member, reason: str) -> None:
        """Take a member out and tell the others."""
        deaf = self._leave(member, reason)
        self._cut(deaf)

    def _cut(self, deaf: list[_Member]) -> None:
        """Take out those whose mailbox is full or closed: a member misses no event, or is none."""
        left = deque(deaf)
        while left:
            member = left.popleft()
            if self._members.get(member.user_id) is member:
                member.peer.stop()
                left.extend(self._leave(member, "overloaded"))

    def _leave(self, member: _Member, reason: str) -> list[_Member]:
        self._forget(member, reason)
        gone = member.user_id, member.session_id
        return self._tell_all(
            lambda seq: frames.UserLeft(room_id=self.id, user_id=gone[0], peer_id=gone[1], reason=reason, seq=seq), None
        )

    def _forget(self, member: _Member, reason: str) -> None:
        self.unwatch(member.peer)
        del self._members[member.user_id], self._sessions[member.session_id]
        self._herald.tell(ConnectionClosed(self.id, member.user_id, reason))
        if not self._members:
            self.timers.start("vacant", _Vacant(), self._deps.limits.vacant_s)
