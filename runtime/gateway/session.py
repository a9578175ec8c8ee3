"""The reading side of one WebSocket: who the client is, then each frame to its peer, then the news that it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
import structlog
from aiohttp import WSMessage, WSMsgType
from msgspec import Meta

from protocols import frames
from protocols.errors import WIRE, Code, InvalidArgument, ParleyError, Unauthenticated
from protocols.ice import IceServer
from protocols.signaling import Attach, Detach, FromClient, ToClient
from protocols.tokens import Identity, TokenSigner
from runtime.engine import ActorSystem, Ref
from runtime.gateway.client_socket import LOST, ClientSocket
from runtime.gateway.connection import Close
from runtime.gateway.entities import entity
from runtime.gateway.identity import ACCESS_OR_JOIN
from runtime.gateway.limits import GatewayLimits

log = structlog.get_logger("parley.gateway")

PEER: Final = "peer"
FEATURES: Final = ("trickle", "perfect_negotiation")
SILENT: Final = Close(1008, "silent for too long")
TOO_MANY_FAULTS: Final = Close(1008, "too many malformed frames")
DETACH_TIMEOUT_S: Final = 5.0


class _Id(msgspec.Struct):
    id: Annotated[str, Meta(max_length=64)] | None = None


_id_of: Final = msgspec.json.Decoder(_Id).decode


class _Ended(Exception):
    """The socket is closed, by whichever side."""


class Session:
    """Reads one client. Everything that it has to say goes through the client's connection."""

    def __init__(
        self,
        system: ActorSystem,
        signer: TokenSigner,
        limits: GatewayLimits,
        now: Callable[[], float],
        ice_servers: tuple[IceServer, ...],
        session_id: str,
        client: ClientSocket,
        connection: Ref,
    ) -> None:
        self._system = system
        self._signer = signer
        self._limits = limits
        self._now = now
        self._ice_servers = ice_servers
        self._id = session_id
        self._client = client
        self._socket = client.socket
        self._connection = connection
        self._clock = asyncio.get_running_loop().time
        self._faults = 0
        self.frames = 0

    async def run(self) -> None:
        """Serve the client until its socket is closed."""
        try:
            identity = await self._identify()
            peer = entity(self._system, PEER, self._id)
        except _Ended:
            return
        except ParleyError as error:
            self._refuse(error, close_code=WIRE[error.code].websocket)
            await self.until_closed()
            return
        try:
            self._welcome(identity, peer)
            await self._read(peer)
        finally:
            self._detach(peer)

    async def until_closed(self) -> None:
        """Read on without listening, so that a close is answered and what was written before it is read."""
        try:
            while True:
                await self._next(self._limits.ws_idle_timeout_s)
        except _Ended:
            return

    # ---- who it is

    async def _identify(self) -> Identity:
        offered = self._client.request.headers.get("Sec-WebSocket-Protocol", "")
        token = next(
            (
                part.strip().removeprefix(frames.TOKEN_SUBPROTOCOL_PREFIX)
                for part in offered.split(",")
                if part.strip().startswith(frames.TOKEN_SUBPROTOCOL_PREFIX)
            ),
            None,
        )
        if token is None:
            token = await self._first_frame()
        return self._signer.verify(token, now=self._now(), uses=ACCESS_OR_JOIN)

    async def _first_frame(self) -> str:
        message = await self._next(self._limits.ws_auth_timeout_s)
        if message is None:
            raise Unauthenticated("no token came in time: send `auth` first, or the token in the subprotocol")
        try:
            frame = _decode(message)
        except InvalidArgument as error:
            raise Unauthenticated(f"the first frame must be `auth`: {error.detail}") from None
        if not isinstance(frame, frames.Auth):
            raise Unauthenticated("the first frame must be `auth`")
        return frame.token

    def _welcome(self, identity: Identity, peer: Ref) -> None:
        welcome = frames.Welcome(
            session_id=self._id,
            user_id=identity.user_id,
            username=identity.username,
            heartbeat_s=self._limits.ws_heartbeat_s,
            ice_servers=self._ice_servers,
            features=FEATURES,
        )
        self._connection.tell(ToClient(welcome))
        attach = Attach(identity.user_id, identity.username, self._connection.path, identity.room_id)
        if not peer.tell(attach):
            self._connection.tell(Close(WIRE[Code.UNAVAILABLE].websocket, "the session cannot start: try later"))

    # ---- what it sends

    async def _read(self, peer: Ref) -> None:
        try:
            while True:
                message = await self._next(self._limits.ws_idle_timeout_s)
                if message is None:
                    self._connection.tell(SILENT)
                    await self.until_closed()
                    return
                self._take(message, peer)
        except _Ended:
            return

    def _take(self, message: WSMessage, peer: Ref) -> None:
        if self._faults >= self._limits.ws_malformed_frames:
            return
        self.frames += 1
        try:
            frame = _decode(message)
        except InvalidArgument as error:
            self._faults += 1
            self._refuse(error, frame_id=_salvaged_id(message))
            if self._faults >= self._limits.ws_malformed_frames:
                self._connection.tell(TOO_MANY_FAULTS)
            return
        if not peer.tell(FromClient(frame)):
            self._connection.tell(
                ToClient(
                    frames.Error(
                        id=frame.id,
                        code=Code.RESOURCE_EXHAUSTED.value,
                        message="your session has no room for more frames now: send fewer",
                        retry_after_s=1,
                    )
                )
            )

    async def _next(self, silence_s: float) -> WSMessage | None:
        """The next data frame; None after `silence_s` seconds without a sign of life. Pings whenever it is quiet."""
        heard = self._clock()
        while True:
            left = heard + silence_s - self._clock()
            if left <= 0:
                return None
            try:
                message = await self._socket.receive(timeout=min(left, self._limits.ws_heartbeat_s))
            except TimeoutError:
                await self._send_quietly(self._socket.ping())
                continue
            if message.type is WSMsgType.TEXT or message.type is WSMsgType.BINARY:
                return message
            if message.type is WSMsgType.PING:
                await self._send_quietly(self._socket.pong(message.data))
            elif message.type is not WSMsgType.PONG:
                raise _Ended
            heard = self._clock()

    async def _send_quietly(self, sending: Any) -> None:
        try:
            await sending
        except ConnectionError:
            raise _Ended from None

    # ---- what it is told

    def _refuse(self, error: ParleyError, *, frame_id: str | None = None, close_code: int | None = None) -> None:
        frame = frames.Error(
            id=frame_id, code=error.code.value, message=error.detail, retry_after_s=error.retry_after_s
        )
        self._connection.tell(ToClient(frame, close_code))

    def _detach(self, peer: Ref) -> None:
        """Tell the peer, also while this task is being cancelled; a peer that is too full for it now is told later."""
        message = Detach("the connection is lost" if self._client.code == LOST else f"closed with {self._client.code}")
        if not peer.tell(message):
            self._system.create_task(_detach_late(peer, message))


async def _detach_late(peer: Ref, message: Detach) -> None:
    try:
        await peer.wait_tell(message, DETACH_TIMEOUT_S)
    except ParleyError as error:
        log.error("a peer was not told that its client is gone", peer=peer.path, why=error.detail)


def _decode(message: WSMessage) -> frames.AnyClientFrame:
    """The frame of a text message. Raises InvalidArgument."""
    if message.type is not WSMsgType.TEXT:
        raise frames.MalformedFrame("frames are text, not binary")
    return frames.decode(message.data)


def _salvaged_id(message: WSMessage) -> str | None:
    """The `id` of a frame that is malformed elsewhere, so that the client knows which of its frames it was."""
    try:
        return _id_of(message.data).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
