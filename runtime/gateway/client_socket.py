"""One client's WebSocket as both of its sides use it, with the code that closed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import WSMsgType, web

LOST: Final = 1006
"""What RFC 6455 calls a connection that ended without a close."""


@dataclass(slots=True)
class ClientSocket:
    """A WebSocket as its connection uses it. `sent_code` is the close code that this side sent first, if it did."""

    socket: web.WebSocketResponse
    request: web.Request
    sent_code: int | None = None

    @property
    def code(self) -> int:
        """Why it was closed. The library's own record is overwritten by the client's echo."""
        return self.sent_code or self.socket.close_code or LOST

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        """Write one frame; waits while the client takes no more."""
        await self.socket.send_frame(message, opcode)

    async def close(self, *, code: int, message: bytes) -> None:
        """Send a close and wait for the client's. Who does not take it loses the connection."""
        if not self.socket.closed:
            self.sent_code = code
        # Not drained first: the library's writers share one waiter, and that of a cut writer is cancelled for all.
        await self.socket.close(code=code, message=message, drain=False)
        transport = self.request.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.abort()

    def abort(self) -> None:
        """Drop the connection with what is unsent."""
        if self.request.transport is not None:
            self.request.transport.abort()
