"""`/ws`: the WebSockets of a gateway, each a reading side here and a `Connection` that writes.

How many there are is bounded; when the node drains, all are closed with 1001 once what was sent to them is written.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from aiohttp import web

from protocols.errors import Unavailable
from protocols.frames import SUBPROTOCOL
from protocols.ice import IceServer
from protocols.tokens import TokenSigner
from runtime.engine import Actor, ActorSystem, Directive, Options, Ref, Supervision
from runtime.gateway.client_socket import ClientSocket
from runtime.gateway.connection import Bounds, Close, Connection, FrameEncoder
from runtime.gateway.conventions import REQUEST_ID
from runtime.gateway.failures import UpgradeRequired
from runtime.gateway.limits import GatewayLimits
from runtime.gateway.session import Session

CONNECTIONS: Final = "connection"
"""The actor under which every connection lives, so that `connection/{session_id}` is its address."""

GOING_AWAY: Final = 1001
TRY_LATER: Final = 1013
_COUNTED_CODES: Final = frozenset(
    {1000, 1001, 1002, 1006, 1007, 1008, 1009, 1011, 1013, 4000, 4008, 4009, 4401, 4403, 4404, 4409}
)
"""Clients close with any code they like: those of others are counted as 0."""


class Connections(Actor):
    """Parent of the connections. One that fails ends its socket: the client connects again, with nothing half done."""


class Sockets:
    """Every WebSocket of a gateway."""

    def __init__(
        self,
        system: ActorSystem,
        signer: TokenSigner,
        limits: GatewayLimits,
        now: Callable[[], float],
        new_id: Callable[[], str],
        ice_servers: tuple[IceServer, ...],
    ) -> None:
        self._system = system
        self._signer = signer
        self._limits = limits
        self._now = now
        self._new_id = new_id
        self._ice_servers = ice_servers
        self._encoder = FrameEncoder()
        self._bounds = Bounds(
            limits.ws_outbox_frames, limits.ws_outbox_bytes, limits.ws_send_timeout_s, limits.ws_close_timeout_s
        )
        self._options = Options(stop_timeout_s=limits.ws_close_timeout_s + limits.ws_send_timeout_s)
        self._connections: set[Ref] = set()
        self._none_open = asyncio.Event()
        self._none_open.set()
        self._parent: Ref | None = None
        self._draining = False
        self.frames_in = 0
        self.closed: Counter[int] = Counter()

    @property
    def open(self) -> int:
        """How many are open now."""
        return len(self._connections)

    @property
    def frames_out(self) -> int:
        """How many frames were written to clients."""
        return self._encoder.frames

    def start(self) -> None:
        """Start the parent of the connections."""
        supervision = Supervision(otherwise=Directive.STOP)
        self._parent = self._system.spawn(Connections, name=CONNECTIONS, options=Options(supervision=supervision))

    async def stop(self) -> None:
        """Stop whatever connections are left."""
        if self._parent is not None:
            self._parent.stop()
            await self._parent.wait_stopped()

    async def close_all(self) -> None:
        """Close every socket with 1001, take no new ones, and wait until they are gone."""
        self._draining = True
        for connection in self._connections:
            connection.tell(Close(GOING_AWAY, "this node is stopping: connect again"))
        await self._none_open.wait()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One WebSocket, from its handshake to its end. Raises UpgradeRequired for a plain request."""
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            max_msg_size=self._limits.ws_max_frame_bytes,
            timeout=self._limits.ws_close_timeout_s,
            # A deflate context costs each of thousands of idle sockets more than small frames ever save.
            compress=False,
            autoping=False,
            decode_text=False,
        )
        if not socket.can_prepare(request):
            raise UpgradeRequired("connect with a WebSocket client", headers={"Upgrade": "websocket"})
        if self._parent is None:
            raise Unavailable("this node is starting", retry_after_s=1)
        socket.headers["X-Request-ID"] = request[REQUEST_ID]
        await socket.prepare(request)
        session_id = self._new_id()
        client = ClientSocket(socket, request)
        connection = self._system.spawn_under(
            self._system.cell_of(self._parent),
            Connection,
            (client, self._encoder, self._bounds),
            name=session_id,
            options=self._options,
        )
        await self._run(client, session_id, connection)
        return socket

    async def _run(self, client: ClientSocket, session_id: str, connection: Ref) -> None:
        refusal = self._refusal()
        self._connections.add(connection)
        self._none_open.clear()
        session = Session(
            self._system, self._signer, self._limits, self._now, self._ice_servers, session_id, client, connection
        )
        try:
            if refusal is not None:
                connection.tell(refusal)
                await session.until_closed()
            else:
                await session.run()
        finally:
            connection.stop()
            self._connections.discard(connection)
            self.frames_in += session.frames
            self.closed[client.code if client.code in _COUNTED_CODES else 0] += 1
            if not self._connections:
                self._none_open.set()
        await connection.wait_stopped()

    def _refusal(self) -> Close | None:
        # After the handshake, for a browser is not told why one failed, but a close code it gets.
        if self._draining:
            return Close(GOING_AWAY, "this node is stopping: connect again")
        if self.open >= self._limits.max_websockets:
            return Close(TRY_LATER, "too many connections: try later")
        return None
