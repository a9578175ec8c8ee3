"""The WebSocket edge, seen by a client that nobody here wrote."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from protocols import frames
from protocols.signaling import Attach, Detach, FromClient, ToClient
from runtime.engine import Options
from runtime.gateway import GatewayLimits
from tests.runtime.gateway.harness import (
    WAIT_S,
    Edge,
    access_token,
    connection_of,
    eventually,
    join_token,
    running,
)

JOIN = json.dumps({"type": "join", "id": "1", "room_id": "room_5"})


def protocols(token: str) -> list[Subprotocol]:
    return [Subprotocol("parley.v1"), Subprotocol(f"parley.token.{token}")]


def client(edge: Edge, token: str = "", **options: Any) -> connect:
    return connect(edge.ws_url, subprotocols=protocols(token or access_token()), **options)


async def received(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WAIT_S):
        return json.loads(await socket.recv())


async def closed_with(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Read until the server closes: with which code and reason."""
    async with asyncio.timeout(WAIT_S):
        try:
            while True:
                await socket.recv()
        except websockets.ConnectionClosed:
            return socket.close_code, socket.close_reason


async def test_welcome_comes_first_and_the_peer_is_attached(edge: Edge) -> None:
    async with client(edge) as socket:
        welcome = await received(socket)
        assert socket.subprotocol == "parley.v1"
        session_id = welcome.pop("session_id")
        assert welcome == {
            "type": "welcome",
            "user_id": 7,
            "username": "ada",
            "heartbeat_s": 20.0,
            "ice_servers": [{"urls": ["stun:stun.example.org"]}],
            "features": ["trickle", "perfect_negotiation"],
        }
        await edge.behind.until(lambda: len(edge.behind.told) == 1)
        assert edge.behind.told == [("peer", session_id, Attach(7, "ada", f"connection/{session_id}"))]


async def test_the_token_may_come_in_the_first_frame(edge: Edge) -> None:
    async with connect(edge.ws_url) as socket:
        await socket.send(json.dumps({"type": "auth", "token": join_token(8, "bob", "room_5")}))
        assert (await received(socket))["username"] == "bob"
        await edge.behind.until(lambda: bool(edge.behind.messages(Attach)))
        assert edge.behind.messages(Attach)[0].room_id == "room_5"


@pytest.mark.parametrize("first", ['{"type":"auth","token":"x"}', JOIN, "nonsense", b"\x00", '{"type":"ping"}'])
async def test_without_a_good_token_there_is_no_session(edge: Edge, first: str | bytes) -> None:
    async with connect(edge.ws_url) as socket:
        await socket.send(first)
        assert (await received(socket))["code"] == "UNAUTHENTICATED"
        assert (await closed_with(socket))[0] == 4401
    assert edge.behind.told == []


async def test_a_bad_token_in_the_subprotocol(edge: Edge) -> None:
    async with client(edge, "a.b.c") as socket:
        assert (await received(socket))["code"] == "UNAUTHENTICATED"
        assert (await closed_with(socket))[0] == 4401


async def test_a_client_that_does_not_say_who_it_is() -> None:
    async with running(GatewayLimits(ws_auth_timeout_s=0.05)) as edge, connect(edge.ws_url) as socket:
        assert (await closed_with(socket))[0] == 4401


async def test_frames_go_to_the_peer_in_order(edge: Edge) -> None:
    async with client(edge) as socket:
        for number in range(200):
            await socket.send(json.dumps({"type": "ping", "id": str(number)}))
        await edge.behind.until(lambda: len(edge.behind.messages(FromClient)) == 200)
    assert [message.frame.id for message in edge.behind.messages(FromClient)] == [str(n) for n in range(200)]


async def test_frames_for_the_client_in_order(edge: Edge) -> None:
    async with client(edge) as socket:
        connection = connection_of(edge, (await received(socket))["session_id"])
        for number in range(2000):
            assert connection.tell(ToClient(frames.Pong(id=str(number))))
        assert [(await received(socket))["id"] for _ in range(2000)] == [str(number) for number in range(2000)]


async def test_the_peer_may_close(edge: Edge) -> None:
    async with client(edge) as socket:
        connection = connection_of(edge, (await received(socket))["session_id"])
        connection.tell(ToClient(frames.MeetingOver(room_id="room_5", meeting_id=5), 4000))
        connection.tell(ToClient(frames.Pong()))
        assert await received(socket) == {"type": "meeting_ended", "room_id": "room_5", "meeting_id": 5}
        assert (await closed_with(socket))[0] == 4000
    await edge.behind.until(lambda: edge.behind.messages(Detach) == [Detach("closed with 4000")])


async def test_the_peer_is_told_when_the_client_goes(edge: Edge) -> None:
    async with client(edge) as socket:
        session_id = (await received(socket))["session_id"]
    await edge.behind.until(lambda: edge.behind.messages(Detach) == [Detach("closed with 1000")])
    await eventually(lambda: edge.gateway._sockets.open == 0)
    assert session_id not in edge.system.tree().split("peer")[0]


async def test_the_peer_is_told_when_the_connection_breaks(edge: Edge) -> None:
    async with client(edge) as socket:
        await received(socket)
        socket.transport.abort()
        await edge.behind.until(lambda: edge.behind.messages(Detach) == [Detach("the connection is lost")])


@pytest.mark.parametrize(
    ("sent", "frame_id"),
    [
        ("{", None),
        ('{"type":"fly","id":"9"}', "9"),
        ('{"type":"join","id":"9"}', "9"),
        ('{"type":"join","room_id":5,"id":"9"}', "9"),
        ('{"type":"ping","id":5}', None),
        ('{"type":"ping","id":"' + "x" * 65 + '"}', None),
        (b"binary", None),
        ("", None),
        ('{"type":"ice_candidate","id":"9","room_id":"r","to_user_id":1,"candidate":' + "[" * 5000, None),
        ('{"type":"ice_candidate","room_id":"r","to_user_id":1,"candidate":' + '{"a":' * 3000 + "1" + "}" * 3001, None),
    ],
)
async def test_a_malformed_frame_is_an_error_and_the_session_goes_on(
    edge: Edge, sent: str | bytes, frame_id: str | None
) -> None:
    async with client(edge) as socket:
        await received(socket)
        await socket.send(sent)
        error = await received(socket)
        assert (error["type"], error["code"], error.get("id")) == ("error", "INVALID_ARGUMENT", frame_id)
        await socket.send(JOIN)
        await edge.behind.until(lambda: len(edge.behind.messages(FromClient)) == 1)


async def test_several_malformed_frames_are_too_many() -> None:
    async with running(GatewayLimits(ws_malformed_frames=3)) as edge, client(edge) as socket:
        for _ in range(5):
            await socket.send("nonsense")
        await socket.send(JOIN)
        assert await closed_with(socket) == (1008, "too many malformed frames")
        assert edge.behind.messages(FromClient) == []


async def test_a_frame_that_is_too_large() -> None:
    async with running(GatewayLimits(ws_max_frame_bytes=1000)) as edge, client(edge) as socket:
        await received(socket)
        await socket.send("x" * 100_000)
        assert (await closed_with(socket))[0] == 1009


async def test_text_that_is_no_utf8_is_malformed(edge: Edge) -> None:
    async with client(edge) as socket:
        await received(socket)
        await socket.send(b'{"type":"ping","id":"\xff"}', text=True)
        assert (await received(socket))["code"] == "INVALID_ARGUMENT"


async def test_a_full_peer_refuses_and_echoes_the_id() -> None:
    async with running(peer_options=Options(capacity=2)) as edge:
        gate = asyncio.Event()

        async def stuck(*_: Any) -> None:
            await gate.wait()

        edge.behind.answers[Attach] = stuck
        async with client(edge) as socket:
            await received(socket)
            await edge.behind.until(lambda: bool(edge.behind.messages(Attach)))
            for number in range(4):
                await socket.send(json.dumps({"type": "ping", "id": str(number)}))
            refused = [await received(socket) for _ in range(2)]
            assert [(error["id"], error["code"]) for error in refused] == [
                ("2", "RESOURCE_EXHAUSTED"),
                ("3", "RESOURCE_EXHAUSTED"),
            ]
            gate.set()
            await edge.behind.until(lambda: len(edge.behind.messages(FromClient)) == 2)


async def test_quiet_clients_are_pinged_and_stay() -> None:
    limits = GatewayLimits(ws_heartbeat_s=0.03, ws_idle_timeout_s=0.4)
    async with running(limits) as edge, client(edge) as socket:
        await received(socket)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.8):
                await socket.recv()
        await socket.send(JOIN)
        await edge.behind.until(lambda: len(edge.behind.messages(FromClient)) == 1)


async def test_silent_clients_are_cut() -> None:
    limits = GatewayLimits(ws_heartbeat_s=0.03, ws_idle_timeout_s=0.1, ws_close_timeout_s=0.2)
    async with running(limits) as edge, client(edge) as socket:
        await received(socket)
        socket.transport.pause_reading()
        await edge.behind.until(lambda: edge.behind.messages(Detach) == [Detach("closed with 1008")])
        socket.transport.resume_reading()
        assert await closed_with(socket) == (1008, "silent for too long")


async def test_pings_of_the_client_are_answered(edge: Edge) -> None:
    async with client(edge) as socket:
        async with asyncio.timeout(WAIT_S):
            await (await socket.ping())


async def test_more_than_there_may_be() -> None:
    async with running(GatewayLimits(max_websockets=1)) as edge, client(edge) as first:
        await received(first)
        async with client(edge) as second:
            assert (await closed_with(second))[0] == 1013
        await first.send(JOIN)
        await edge.behind.until(lambda: len(edge.behind.messages(FromClient)) == 1)


async def test_a_plain_request_is_told_what_the_path_is(edge: Edge) -> None:
    answer = await edge.send("GET", "/ws")
    assert (answer.status, answer.headers["Upgrade"]) == (426, "websocket")


async def test_a_node_without_peers_says_so() -> None:
    async with running(kinds=("user",)) as edge, client(edge) as socket:
        assert (await received(socket))["code"] == "UNIMPLEMENTED"
        assert (await closed_with(socket))[0] == 1008


async def test_what_it_counts(edge: Edge) -> None:
    async with client(edge) as socket:
        await received(socket)
        assert b"parley_websockets_open 1.0" in (await edge.send("GET", "/metrics")).body
        await socket.send(JOIN)
    await eventually(lambda: edge.gateway._sockets.open == 0)
    text = (await edge.send("GET", "/metrics")).body
    assert b"parley_websocket_frames_in_total 1.0" in text
    assert b"parley_websocket_frames_out_total 1.0" in text
    assert b'parley_websockets_closed_total{code="1000"} 1.0' in text


SOUP = st.lists(
    st.one_of(
        st.text(max_size=50),
        st.binary(max_size=50),
        st.builds(
            json.dumps,
            st.dictionaries(
                st.sampled_from(["type", "id", "room_id", "sdp", "candidate", "to_user_id", "token"]),
                st.sampled_from(["join", "offer", "ice_candidate", "leave", "ping", "auth", 5, None, {}, [], "x" * 70]),
            ),
        ),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.booleans(), soup=SOUP)
def test_no_frames_break_anything(fuzzed: Any, first: bool, soup: list[str | bytes]) -> None:
    assert fuzzed(first, soup) in (1000, 1008, 4401)


@pytest.fixture
def fuzzed() -> Any:
    """Hypothesis calls plain functions: the server lives on a loop of this fixture."""
    loop = asyncio.new_event_loop()
    context = running()
    edge = loop.run_until_complete(context.__aenter__())

    async def run(with_token: bool, soup: list[str | bytes]) -> int | None:
        options: dict[str, Any] = {"subprotocols": protocols(access_token())} if with_token else {}
        async with connect(edge.ws_url, **options) as socket:
            try:
                for each in soup:
                    await socket.send(each)
                if with_token:
                    # Answered, or closed: never left hanging.
                    async with asyncio.timeout(WAIT_S):
                        await (await socket.ping())
            except websockets.ConnectionClosed:
                return socket.close_code
        return socket.close_code

    yield lambda first, soup: loop.run_until_complete(run(first, soup))
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()
