"""Ports, draining and stopping."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from typing import Any

import pytest

from protocols.accounts import GetUser
from runtime.engine import ActorSystem
from runtime.gateway import GatewayLimits, Listener, ListenFailed, PortTaken, Readiness
from runtime.metrics import Metrics
from tests.runtime.gateway.harness import StandIn, eventually, make_gateway, ports, running, user_view
from tests.runtime.gateway.raw import connected, head
from tests.runtime.gateway.test_websocket import client, closed_with, received

PROFILE = "/api/v1/users/profile"


async def test_a_taken_port_is_named_and_nothing_stays_open() -> None:
    system = ActorSystem("test")
    with closing(socket.create_server(("127.0.0.1", 0))) as holder:
        taken = holder.getsockname()[1]
        free = ports()[0]
        second = Listener("signaling", "127.0.0.1", taken, "signaling_port")
        gateway = make_gateway(system, GatewayLimits(), Readiness(), Metrics(node="n"), [free, second])
        with pytest.raises(PortTaken) as caught:
            await gateway.start()
        assert caught.value.listener == second
        assert caught.value.detail == (
            f"cannot listen on 127.0.0.1 port {taken}: the port is taken; "
            "set signaling_port (PARLEY_SIGNALING_PORT) to another port, or 0 for any"
        )
        assert gateway.addresses == {}
        await gateway.stop()
    await system.stop()


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-host.invalid"])
async def test_an_address_that_is_not_ours(host: str) -> None:
    system = ActorSystem("test")
    listeners = [Listener("http", host, 0, "http_port")]
    gateway = make_gateway(system, GatewayLimits(), Readiness(), Metrics(node="n"), listeners)
    with pytest.raises(ListenFailed, match=f"cannot listen on {host} port 0"):
        await gateway.start()
    await system.stop()


async def test_drain_lets_requests_end_and_closes_sockets() -> None:
    async with running() as edge, connected(edge.port) as kept, client(edge) as peer:
        await received(peer)
        await kept.send(head("GET", "/livez"))
        assert await kept.status() == 200
        replies = []

        def later(actor: StandIn, message: Any) -> None:
            replies.append(actor.defer())

        edge.behind.answers[GetUser] = later
        running_request = asyncio.create_task(edge.send("GET", PROFILE))
        await edge.behind.until(lambda: bool(replies))
        draining = asyncio.create_task(edge.gateway.drain(10))
        assert await closed_with(peer) == (1001, "this node is stopping: connect again")
        assert not draining.done()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", edge.port)
        replies[0].send(user_view())
        answer = await running_request
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert await draining


async def test_while_draining_a_kept_connection_is_told_so() -> None:
    async with running() as edge, connected(edge.port) as first, connected(edge.port) as second:
        for raw in (first, second):
            await raw.send(head("GET", "/livez"))
            assert await raw.status() == 200
        assert await edge.gateway.drain(10)
        await first.send(head("GET", "/readyz"))
        await second.send(head("GET", "/api/v1/status"))
        for raw in (first, second):
            rest = await raw.rest()
            assert b"HTTP/1.1 503" in rest
            assert b"Connection: close" in rest


async def test_drain_gives_up_in_time() -> None:
    async with running() as edge:
        edge.behind.answers[GetUser] = lambda actor, message: actor.defer()
        request = asyncio.create_task(edge.send("GET", PROFILE))
        await edge.behind.until(lambda: bool(edge.behind.messages(GetUser)))
        assert not await edge.gateway.drain(0.05)
        request.cancel()
        await asyncio.wait({request})


async def test_stop_without_drain_ends_everything() -> None:
    async with running() as edge, client(edge) as peer:
        await received(peer)
        await edge.gateway.stop()
        assert (await closed_with(peer))[0] == 1011
        await eventually(lambda: edge.gateway._sockets.open == 0)


async def test_a_client_that_goes_withdraws_what_is_not_handled_yet() -> None:
    async with running() as edge:
        gate = asyncio.Event()

        async def slow(*_: Any) -> Any:
            await gate.wait()
            return user_view()

        edge.behind.answers[GetUser] = slow
        requests = [asyncio.create_task(edge.send("GET", PROFILE)) for _ in range(2)]
        await edge.behind.until(lambda: bool(edge.behind.messages(GetUser)))
        await eventually(lambda: edge.gateway._traffic.requests == 2)
        for request in requests:
            request.cancel()
        await eventually(lambda: edge.gateway._traffic.requests == 0)
        gate.set()
        answer = await edge.send("GET", PROFILE)
        assert answer.status == 200
        assert len(edge.behind.messages(GetUser)) == 2
