"""The writing side: a slow client is cut, and nobody waits for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import WSMsgType

from protocols import frames
from protocols.signaling import Detach, ToClient
from runtime.engine import ActorSystem, Ref
from runtime.gateway import GatewayLimits
from runtime.gateway.connection import Bounds, Close, Connection, FrameEncoder
from tests.runtime.gateway.harness import WAIT_S, connection_of, eventually, running
from tests.runtime.gateway.test_websocket import client, closed_with, received


@dataclass
class Slow:
    """A socket that takes a frame only when it is let."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    taken: list[bytes] = field(default_factory=list)
    closes: list[tuple[int, bytes]] = field(default_factory=list)
    aborted: bool = False
    closes_at_once: bool = True
    error: Exception | None = None

    async def send_frame(self, message: bytes, opcode: WSMsgType) -> None:
        if self.error is not None:
            raise self.error
        await self.open.wait()
        self.taken.append(message)

    async def close(self, *, code: int, message: bytes) -> None:
        self.closes.append((code, message))
        if not self.closes_at_once:
            await asyncio.Event().wait()

    def abort(self) -> None:
        self.aborted = True


@dataclass
class Bench:
    system: ActorSystem

    def connect(self, socket: Slow, **bounds: float) -> Ref:
        sizes = {"frames": 4, "bytes": 10_000, "send_timeout_s": WAIT_S, "close_timeout_s": WAIT_S, **bounds}
        return self.system.spawn(Connection, socket, FrameEncoder(), Bounds(**sizes))  # type: ignore[arg-type]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    system = ActorSystem("test")
    yield Bench(system)
    await system.stop()


def pong(number: int) -> ToClient:
    return ToClient(frames.Pong(id=str(number)))


async def test_a_burst_is_nobodys_slowness(bench: Bench) -> None:
    socket = Slow()
    socket.open.set()
    connection = bench.connect(socket)
    for number in range(100):
        connection.tell(pong(number))
    await eventually(lambda: len(socket.taken) == 100)
    assert [json.loads(data)["id"] for data in socket.taken] == [str(number) for number in range(100)]
    assert socket.closes == []


async def test_too_many_frames_wait(bench: Bench) -> None:
    socket = Slow()
    connection = bench.connect(socket)
    connection.tell(pong(0))
    await asyncio.sleep(0)
    await eventually(lambda: bench.system.statistics().mailbox == 0)
    for number in range(10):
        connection.tell(pong(number))
    await eventually(lambda: socket.closes == [(4008, b"too slow")])


async def test_too_many_bytes_wait(bench: Bench) -> None:
    socket = Slow()
    connection = bench.connect(socket, frames=1000)
    connection.tell(pong(0))
    await eventually(lambda: bench.system.statistics().mailbox == 0)
    await asyncio.sleep(0)
    connection.tell(ToClient(frames.Error(code="X", message="x" * 10_001)))
    await eventually(lambda: socket.closes == [(4008, b"too slow")])


async def test_one_frame_takes_too_long(bench: Bench) -> None:
    socket = Slow()
    bench.connect(socket, send_timeout_s=0.02).tell(pong(0))
    await eventually(lambda: socket.closes == [(4008, b"too slow")])


async def test_a_client_that_takes_no_close_either_is_dropped(bench: Bench) -> None:
    socket = Slow(closes_at_once=False)
    bench.connect(socket, send_timeout_s=0.02, close_timeout_s=0.02).tell(pong(0))
    await eventually(lambda: socket.aborted)


async def test_a_close_comes_after_what_was_told_before_it_and_only_once(bench: Bench) -> None:
    socket = Slow()
    connection = bench.connect(socket)
    connection.tell(pong(0))
    connection.tell(Close(1001, "bye"))
    connection.tell(pong(1))
    connection.tell(Close(1008, "again"))
    socket.open.set()
    await eventually(lambda: socket.closes == [(1001, b"bye")])
    assert [json.loads(data)["id"] for data in socket.taken] == ["0"]


async def test_a_lost_connection_ends_quietly(bench: Bench) -> None:
    socket = Slow(error=ConnectionResetError())
    connection = bench.connect(socket)
    connection.tell(pong(0))
    await eventually(lambda: len(socket.closes) == 1)
    connection.tell(pong(1))
    connection.stop()
    await connection.wait_stopped()
    assert len(socket.closes) == 1


async def test_stopping_ends_the_socket(bench: Bench) -> None:
    socket = Slow()
    connection = bench.connect(socket)
    connection.tell(pong(0))
    await eventually(lambda: bench.system.statistics().mailbox == 0)
    connection.stop()
    await connection.wait_stopped()
    assert socket.closes == [(1011, b"the session has ended")]


def test_a_broadcast_is_encoded_once() -> None:
    encoder = FrameEncoder()
    one, other = frames.Pong(id="1"), frames.Pong(id="1")
    assert encoder.encode(one) is encoder.encode(one)
    assert encoder.encode(other) is not encoder.encode(one)
    assert encoder.frames == 4


async def test_a_slow_client_is_cut_while_the_others_get_theirs() -> None:
    limits = GatewayLimits(ws_outbox_frames=32, ws_send_timeout_s=0.3, ws_close_timeout_s=0.3)
    async with running(limits) as edge, client(edge) as slow, client(edge, max_queue=None) as quick:
        lame = connection_of(edge, (await received(slow))["session_id"])
        well = connection_of(edge, (await received(quick))["session_id"])
        slow.transport.pause_reading()
        sent = 0
        large = frames.RelayedOffer(room_id="room_5", from_user_id=7, to_user_id=8, sdp="x" * 60_000)
        async with asyncio.timeout(WAIT_S):
            while not edge.behind.messages(Detach):
                lame.tell(ToClient(large))
                well.tell(ToClient(large))
                sent += 1
                assert len((await received(quick))["sdp"]) == 60_000
        assert edge.behind.messages(Detach) == [Detach("closed with 4008")]
        slow.transport.resume_reading()
        code, _ = await closed_with(slow)
        assert code in (4008, 1006)
        assert sent > 32
