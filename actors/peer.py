"""`peer/{session_id}`: one client's session. What the client sends comes in here, what the room has for it goes out.

One frame at a time and in the order sent: the answer to a frame is on its way before the next frame is looked at. A
session that broke ends, its room sees it gone, and its client is told to connect again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from actors.addresses import local, meeting_of_room
from protocols import frames
from protocols.errors import WIRE, Code, FailedPrecondition, ParleyError, PermissionDenied
from protocols.signaling import Attach, Deliver, Detach, Enter, Entered, Exit, FromClient, Relay, ToClient
from runtime.engine import Actor, Directive, Options, Ref, Supervision, Terminated, on

SUPERVISION: Final = Supervision(otherwise=Directive.STOP)
"""Of the kind `peer`: a session that broke has lost whose it is, so it cannot go on."""

OPTIONS: Final = Options(capacity=1024)
"""Of the kind `peer`: frames of one client, and events of one room, that may wait."""

ENDED: Final = frames.Error(code=Code.UNAVAILABLE.value, message="the session has ended on our side: connect again")


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """`attach_within_s`: how long a session waits to be told whose it is."""

    attach_within_s: float = 10.0


@dataclass(frozen=True, slots=True)
class _Session:
    """Whose it is. `only_room`: the one room that its token is good for, or empty."""

    user_id: int
    username: str
    only_room: str
    connection: Ref


@dataclass(frozen=True, slots=True)
class _Unattached:
    pass


class Peer(Actor):
    """One session."""

    def __init__(self, _session_id: str, limits: PeerLimits) -> None:
        self._limits = limits
        self._session: _Session | None = None
        self._room_id = ""
        self._room: Ref | None = None
        self._seq = 0
        self._over = False

    def started(self) -> None:
        """Wait to be attached: a message to a session that has ended makes an empty one, which must not stay."""
        self.timers.start("unattached", _Unattached(), self._limits.attach_within_s)

    def stopped(self) -> None:
        """Tell a client that did not ask for the end."""
        if self._session is not None and not self._over:
            self._session.connection.tell(ToClient(ENDED, WIRE[Code.UNAVAILABLE].websocket))

    def may_rest(self) -> bool:
        """Not while a client is there."""
        return self._session is None

    @on(_Unattached)
    def give_up(self, _: _Unattached) -> None:
        """Nobody came."""
        self.stop()

    # ---- the connection

    @on(Attach)
    def attach(self, message: Attach) -> None:
        """Begin the session."""
        if self._session is not None:
            raise FailedPrecondition("the session has a connection already")
        connection = local(self, self.system.lookup(message.connection))
        self._session = _Session(message.user_id, message.username, message.room_id, connection)
        self.timers.cancel("unattached")
        self.watch(connection)

    @on(Detach)
    def detach(self, message: Detach) -> None:
        """The client is gone: leave its room, and end."""
        self._end(message.reason)

    @on(Terminated)
    def lost(self, message: Terminated) -> None:
        """The connection, or the room, is gone without a word."""
        if message.ref == self._room:
            room_id = self._forget_room()
            self._send(frames.Error(code=Code.UNAVAILABLE.value, message=f"{room_id} broke: join it again"))
        elif self._session is not None and message.ref == self._session.connection:
            self._end("connection lost")

    # ---- from the client

    @on(FromClient)
    async def from_client(self, message: FromClient) -> None:
        """Do what the client asks for. A refusal is answered, and the session goes on."""
        if self._session is None:
            self.stop()  # an old session's last words; there is nobody to answer to
        elif not self._over:
            try:
                await self._handle(message.frame, self._session)
            except ParleyError as error:
                self._refuse(message.frame.id, error)

    async def _handle(self, frame: frames.AnyClientFrame, session: _Session) -> None:
        match frame:
            case frames.Offer() | frames.Answer() | frames.IceCandidate():
                _check_claim(frame.from_user_id, session, "from_user_id")
                await self._relay(frame)
            case frames.Join():
                _check_claim(frame.user_id, session, "user_id")
                await self._join(frame, session)
            case frames.Leave():
                _check_claim(frame.user_id, session, "user_id")
                await self._leave(frame)
            case frames.Ping():
                self._send(frames.Pong(id=frame.id))
            case frames.Auth():
                raise FailedPrecondition("you are authenticated already")

    async def _join(self, frame: frames.Join, session: _Session) -> None:
        if session.only_room and frame.room_id != session.only_room:
            raise PermissionDenied("the token is good for another room only")
        if self._room_id and frame.room_id != self._room_id:
            raise FailedPrecondition(f"you are in {self._room_id}: leave it first")
        meeting_of_room(frame.room_id)
        room = self.system.entity("room", frame.room_id)
        entered: Entered = await self.ask(room, Enter(self.id, session.user_id, session.username))
        self._room_id, self._seq = frame.room_id, entered.seq
        self._room = local(self, room)
        self.watch(self._room)
        joined = frames.Joined(id=frame.id, seq=entered.seq, room_id=frame.room_id, participants=entered.participants)
        self._send(joined)

    async def _relay(self, frame: frames.Negotiation) -> None:
        if self._room is None or frame.room_id != self._room_id:
            raise FailedPrecondition("you are not in that room: join it first")
        await self.ask(self._room, Relay(self.id, frame))

    async def _leave(self, frame: frames.Leave) -> None:
        if self._room is None or frame.room_id != self._room_id:
            raise FailedPrecondition("you are not in that room")
        await self.ask(self._room, Exit(self.id, "left"))
        self._forget_room()
        self._send(frames.Left(id=frame.id, room_id=frame.room_id))

    # ---- to the client

    @on(Deliver)
    def deliver(self, message: Deliver) -> None:
        """Pass on what the room has for the client."""
        frame = message.frame
        if self._room is None or getattr(frame, "room_id", self._room_id) != self._room_id:
            return  # of a stay that is over: the client has been told that it left
        if frame.seq is not None:
            if frame.seq <= self._seq:
                return  # the same: it has come back since, and knows more than this already
            self._seq = frame.seq
        if message.close_code is None:
            self._send(frame)
        else:
            self._close(message)

    def _close(self, message: Deliver) -> None:
        """The room lets go of the client, whose connection is closed. `Detach` follows when it is."""
        self._forget_room()
        self._send(message.frame, message.close_code)
        self._over = True

    def _send(self, frame: frames.AnyServerFrame, close_code: int | None = None) -> None:
        session = self._session
        if session is not None and not self._over and not session.connection.tell(ToClient(frame, close_code)):
            self._end("connection lost")

    def _refuse(self, frame_id: str | None, error: ParleyError) -> None:
        self._send(
            frames.Error(id=frame_id, code=error.code.value, message=error.detail, retry_after_s=error.retry_after_s)
        )

    # ---- the end

    def _end(self, reason: str) -> None:
        if self._room is not None:
            room = self._room
            self._forget_room()
            room.tell(Exit(self.id, reason))
        self._over = True
        self.stop()

    def _forget_room(self) -> str:
        room_id, self._room_id = self._room_id, ""
        if self._room is not None:
            self.unwatch(self._room)
            self._room = None
        return room_id


def _check_claim(claimed: int | None, session: _Session, field: str) -> None:
    if claimed is not None and claimed != session.user_id:
        raise PermissionDenied(f"{field} is not yours: leave it out, the token says who you are")
