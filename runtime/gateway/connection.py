"""`connection/{session_id}`: the writing side of one WebSocket. Whoever has a frame for a client tells its connection.

Nobody waits for a client: frames go into a bounded outbox, one task empties it while there is something in it, and a
client for whom too much waits, or who does not take one frame in time, is cut. A frame is written or the client is cut;
none is skipped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import WSMsgType

from protocols.frames import SLOW_CLIENT_CLOSE, AnyServerFrame, encode
from protocols.signaling import ToClient
from runtime.engine import Actor, on

BROKEN_CLOSE: Final = 1011


@dataclass(frozen=True, slots=True)
class Close:
    """To a connection, from its own edge: write what waits, then close."""

    code: int
    reason: str


class Socket(Protocol):
    """What a connection needs of a WebSocket."""

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        """Write one frame; waits while the client takes no more."""

    async def close(self, *, code: int, message: bytes) -> None:
        """Send a close and wait for the client's. Who does not take it loses the connection."""

    def abort(self) -> None:
        """Drop the connection with what is unsent."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """When a client is slow: frames or bytes that wait for it, seconds for one frame; and how long a close may take."""

    frames: int
    bytes: int
    send_timeout_s: float
    close_timeout_s: float


class FrameEncoder:
    """Encodes a frame once, however many clients in a row get it: a broadcast tells the same object to all of them."""

    def __init__(self) -> None:
        self._frame: AnyServerFrame | None = None
        self._data = b""
        self.frames = 0

    def encode(self, frame: AnyServerFrame) -> bytes:
        """The JSON of a frame. The object itself is kept, so another one cannot be taken for it."""
        self.frames += 1
        if frame is not self._frame:
            self._data = encode(frame)
            self._frame = frame
        return self._data


class Connection(Actor):
    """Writes to one client. Ends its socket when it stops or fails."""

    def __init__(self, socket: Socket, encoder: FrameEncoder, bounds: Bounds) -> None:
        self._socket = socket
        self._encoder = encoder
        self._bounds = bounds
        self._outbox: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._writer: asyncio.Task[None] | None = None
        self._writing = False
        self._close: Close | None = None
        self._closer: asyncio.Task[None] | None = None

    async def stopped(self) -> None:
        """A close that has begun ends in its own time; anything else that is still being written is dropped."""
        if self._close is None:
            self._end_with(Close(BROKEN_CLOSE, "the session has ended"))
        tasks = {task for task in (self._writer, self._closer) if task is not None}
        if tasks:
            await asyncio.wait(tasks)

    @on(ToClient)
    def to_client(self, message: ToClient) -> None:
        """Queue a frame for the client."""
        if self._close is not None:
            return
        data = self._encoder.encode(message.frame)
        if self._is_slow(data):
            self._end_with(Close(SLOW_CLIENT_CLOSE, "too slow"))
            return
        self._outbox.append(data)
        self._waiting_bytes += len(data)
        if message.close_code is not None:
            self._close = Close(message.close_code, "")
        self._write_soon()

    @on(Close)
    def close(self, message: Close) -> None:
        """Close once everything before is written."""
        if self._close is None:
            self._close = message
            self._write_soon()

    def _is_slow(self, data: bytes) -> bool:
        # While the writer is at work, this code runs only when it waits for the client. While it is not, a burst that
        # it had no turn to write yet is nobody's slowness.
        bounds = self._bounds
        over = len(self._outbox) >= bounds.frames or self._waiting_bytes + len(data) > bounds.bytes
        return over and self._writing

    def _write_soon(self) -> None:
        if self._writer is None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        self._writing = True
        try:
            while self._outbox:
                data = self._outbox.popleft()
                async with asyncio.timeout(self._bounds.send_timeout_s):
                    await self._socket.send_frame(data, WSMsgType.TEXT)
                self._waiting_bytes -= len(data)
        except TimeoutError:
            self._end_with(Close(SLOW_CLIENT_CLOSE, "too slow"))
        except ConnectionError:
            self._end_with(Close(BROKEN_CLOSE, "the connection is lost"))
        finally:
            self._writing = False
            self._writer = None
        if self._close is not None:
            self._end_with(self._close)

    def _end_with(self, close: Close) -> None:
        """Drop what waits and close. Only the first close counts."""
        self._close = close
        self._outbox.clear()
        if self._writer is not None and self._writer is not asyncio.current_task():
            self._writer.cancel()
        if self._closer is None:
            self._closer = asyncio.get_running_loop().create_task(self._end(close))

    async def _end(self, close: Close) -> None:
        try:
            async with asyncio.timeout(self._bounds.close_timeout_s):
                await self._socket.close(code=close.code, message=close.reason.encode())
        except (TimeoutError, ConnectionError):
            self._socket.abort()
