"""Bodies that are too large, too slow, of the wrong kind, or no JSON."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols.errors import Unauthenticated
from protocols.meetings import CreateMeeting
from protocols.messages import registered
from runtime.gateway import GatewayLimits
from tests.runtime.gateway.harness import Edge, access_token, meeting_view, running
from tests.runtime.gateway.raw import connected, head

MEETINGS = "/api/v1/meetings"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"]
)
async def test_only_json_is_read(edge: Edge, kind: str) -> None:
    answer = await edge.send("POST", MEETINGS, data=b'{"title":"x"}', headers={"Content-Type": kind})
    assert (answer.status, answer.json["status"]) == (415, 415)


@pytest.mark.parametrize("kind", ["application/json; charset=UTF-8", "application/vnd.parley+json", "Application/JSON"])
async def test_all_that_is_json_is_read(edge: Edge, kind: str) -> None:
    edge.behind.answers[CreateMeeting] = meeting_view()
    answer = await edge.send("POST", MEETINGS, data=b'{"title":"x"}', headers={"Content-Type": kind})
    assert answer.status == 201


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"title":"x"}}',
        b'{"title":"\xff"}',
        b'{"title":"\\ud800"}',
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
)
async def test_what_is_no_json(edge: Edge, body: bytes) -> None:
    answer = await edge.send("POST", MEETINGS, data=body, headers=JSON)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    "body", [b'{"title":1e999}', b'{"x":' + b"[" * 5000, b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"]
)
async def test_what_is_hardly_json(edge: Edge, body: bytes) -> None:
    answer = await edge.send("POST", MEETINGS, data=body, headers=JSON)
    assert answer.status == 400


async def test_no_body_where_one_is_needed(edge: Edge) -> None:
    answer = await edge.send("POST", MEETINGS)
    assert (answer.status, answer.json["errors"]) == (400, [{"field": "title", "detail": "is required"}])


async def test_a_large_body_is_refused_before_it_comes() -> None:
    async with running(GatewayLimits(max_fields_bytes=100)) as edge, connected(edge.port) as raw:
        sent = head("POST", "/api/v1/auth/login", Content_Type="application/json", Content_Length="1000000000")
        await raw.send(sent)
        assert await raw.status() == 413
        assert b"at most 100 bytes" in await raw.rest()


async def test_a_large_body_of_unknown_length_is_refused_on_its_way() -> None:
    async with running(GatewayLimits(max_fields_bytes=100)) as edge, connected(edge.port) as raw:
        await raw.send(head("POST", "/api/v1/auth/login", Content_Type="application/json", Transfer_Encoding="chunked"))
        await raw.send(b"65\r\n" + b"x" * 0x65 + b"\r\n")
        assert await raw.status() == 413


async def test_a_bomb_counts_unpacked() -> None:
    async with running(GatewayLimits(max_fields_bytes=2000)) as edge:
        bomb = gzip.compress(b'{"title":"' + b"x" * 1_000_000 + b'"}')
        assert len(bomb) < 2000
        answer = await edge.send("POST", MEETINGS, data=bomb, headers={**JSON, "Content-Encoding": "gzip"})
        assert answer.status == 413


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_packing_that_is_none(edge: Edge, coding: str) -> None:
    answer = await edge.send("POST", MEETINGS, data=b"not packed", headers={**JSON, "Content-Encoding": coding})
    assert answer.status == 400


async def test_broken_chunks(edge: Edge) -> None:
    async with connected(edge.port) as raw:
        await raw.send(head("POST", "/api/v1/auth/login", Content_Type="application/json", Transfer_Encoding="chunked"))
        await raw.send(b"zz\r\nnonsense\r\n")
        assert await raw.status() == 400


async def test_a_body_that_does_not_come() -> None:
    async with running(GatewayLimits(body_timeout_s=0.05)) as edge, connected(edge.port) as raw:
        await raw.send(head("POST", "/api/v1/auth/login", Content_Type="application/json", Content_Length="10") + b"{")
        assert await raw.status() == 408
        assert b"did not arrive within 0.05 s" in await raw.rest()


async def test_uploads_share_one_budget() -> None:
    limits = GatewayLimits(max_body_bytes=1000, max_buffered_bytes=1500)
    async with running(limits) as edge, connected(edge.port) as raw:
        request = {"Content_Type": "application/json", "Authorization": f"Bearer {access_token()}"}
        await raw.send(head("POST", "/api/v1/ai/speech-recognition", Content_Length="1000", **request) + b"{")

        async def refused() -> bool:
            answer = await edge.send("POST", "/api/v1/ai/speech-recognition", data=b" " * 1000, headers=JSON)
            return answer.status == 429

        async with asyncio.timeout(10):
            while not await refused():
                pass
        await raw.send(b" " * 999)
        assert await raw.status() == 400
        assert not await refused()


async def test_a_client_that_goes_in_the_middle_leaves_nothing(edge: Edge) -> None:
    async with connected(edge.port) as raw:
        await raw.send(head("POST", "/api/v1/auth/login", Content_Type="application/json", Content_Length="10") + b"{")
    answer = await edge.send("GET", "/livez")
    assert answer.status == 200
    assert edge.behind.told == []


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["title", "start_time", "settings", "password", "username", "email", "refresh_token", "audio_data", "meeting_id"]
)
TARGETS = st.sampled_from(
    [
        ("POST", "/api/v1/auth/register"),
        ("POST", "/api/v1/auth/login"),
        ("POST", "/api/v1/auth/refresh"),
        ("POST", "/api/v1/meetings"),
        ("POST", "/api/v1/meetings/5/join"),
        ("POST", "/api/v1/ai/speech-recognition"),
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=TARGETS, body=st.binary(max_size=200) | st.dictionaries(NAMES | st.text(), ANY_JSON) | ANY_JSON)
def test_no_body_breaks_anything(fuzzed: Any, target: tuple[str, str], body: Any) -> None:
    status, problem = fuzzed(target, body)
    assert status < 500 or status == 501
    assert problem["status"] == status


@pytest.fixture
def fuzzed() -> Any:
    """Hypothesis calls plain functions: the server lives on a loop of this fixture."""
    loop = asyncio.new_event_loop()
    context = running()
    edge = loop.run_until_complete(context.__aenter__())
    refusal = Unauthenticated("no")
    edge.behind.answers = {entry.type: refusal for entry in registered().values()}

    def send(target: tuple[str, str], body: Any) -> tuple[int, Any]:
        options = {"data": body, "headers": JSON} if isinstance(body, bytes) else {"json": body}
        answer = loop.run_until_complete(edge.send(*target, **options))
        return answer.status, answer.json

    yield send
    loop.run_until_complete(context.__aexit__(None, None, None))
    loop.close()
