"""What every request gets: an id, problems for errors, identity, headers, limits."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from protocols.accounts import GetUser
from protocols.errors import ERRORS, WIRE, Code, from_code
from protocols.meetings import GetMeeting
from runtime.engine import Actor
from runtime.gateway import GatewayLimits
from tests.runtime.gateway.harness import Edge, StandIn, access_token, join_token, meeting_view, running, user_view
from tests.runtime.gateway.raw import connected

PROFILE = "/api/v1/users/profile"


async def test_a_good_request_id_is_echoed(edge: Edge) -> None:
    answer = await edge.send("GET", "/livez", headers={"X-Request-ID": "my-id.1_2"})
    assert answer.headers["X-Request-ID"] == "my-id.1_2"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "ünï", "a\tb", "<script>"])
async def test_any_other_is_replaced(edge: Edge, sent: str) -> None:
    answer = await edge.send("GET", "/nowhere", headers={"X-Request-ID": sent})
    assert len(answer.headers["X-Request-ID"]) == 32
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("code", [code for code in ERRORS if code is not Code.INTERNAL])
async def test_every_code_is_a_problem(edge: Edge, code: Code) -> None:
    edge.behind.answers[GetUser] = from_code(code.value, "what is wrong")
    answer = await edge.send("GET", PROFILE)
    assert answer.status == WIRE[code].http
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json == {
        "type": f"urn:parley:problem:{code.value.lower().replace('_', '-')}",
        "title": WIRE[code].title,
        "status": WIRE[code].http,
        "detail": "what is wrong",
        "code": code.value,
        "request_id": answer.headers["X-Request-ID"],
        "errors": [],
    }
    assert ("Retry-After" in answer.headers) == (answer.status in (429, 503))
    assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401)


@pytest.mark.parametrize("broken", [RuntimeError("secret detail"), "an answer of the wrong type"])
async def test_what_breaks_inside_shows_nothing(edge: Edge, caplog: pytest.LogCaptureFixture, broken: Any) -> None:
    edge.behind.answers[GetUser] = broken
    answer = await edge.send("GET", PROFILE, headers={"X-Request-ID": "the-id"})
    assert (answer.status, answer.json["code"], answer.json["detail"]) == (
        500,
        "INTERNAL",
        "the log has it under this request_id",
    )
    assert b"secret" not in answer.body
    assert "Traceback" in caplog.text
    assert "the-id" in caplog.text


async def test_unknown_paths_and_methods_are_problems(edge: Edge) -> None:
    missing = await edge.send("GET", "/api/v1/nowhere")
    wrong = await edge.send("DELETE", "/api/v1/meetings")
    assert (missing.status, missing.json["code"], missing.json["title"]) == (404, "NOT_FOUND", "There is no such path")
    assert (wrong.status, wrong.json["status"], wrong.headers["Allow"]) == (405, 405, "GET, HEAD, POST")


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="parley"'),
        ({"Authorization": "Basic YTpi"}, 'Bearer realm="parley", error="invalid_token"'),
        ({"Authorization": "Bearer"}, 'Bearer realm="parley", error="invalid_token"'),
        ({"Authorization": "Bearer x.y.z"}, 'Bearer realm="parley", error="invalid_token"'),
        (
            {"Authorization": f"Bearer {access_token(now=time.time() - 5000)}"},
            'Bearer realm="parley", error="invalid_token"',
        ),
        ({"Authorization": f"Bearer {join_token()}"}, 'Bearer realm="parley", error="invalid_token"'),
    ],
)
async def test_without_a_good_token(edge: Edge, headers: dict[str, str], challenge: str) -> None:
    answer = await edge.send("GET", PROFILE, token=None, headers=headers)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, challenge)
    assert edge.behind.told == []


async def test_the_scheme_has_no_case(edge: Edge) -> None:
    edge.behind.answers[GetUser] = user_view()
    answer = await edge.send("GET", PROFILE, token=None, headers={"Authorization": f"bearer {access_token()}"})
    assert answer.status == 200


async def test_security_headers(edge: Edge) -> None:
    for path in ("/livez", "/nowhere", PROFILE, "/"):
        headers = (await edge.send("GET", path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] == "parley"


async def test_cors_is_by_list() -> None:
    async with running(GatewayLimits(cors_origins=("https://meet.example",))) as edge:
        ask = {"Access-Control-Request-Method": "POST"}
        good = await edge.send("OPTIONS", "/api/v1/meetings", headers={"Origin": "https://meet.example", **ask})
        bad = await edge.send("OPTIONS", "/api/v1/meetings", headers={"Origin": "https://evil.example", **ask})
        read = await edge.send("GET", "/livez", headers={"Origin": "https://meet.example"})
        assert good.status == 204
        assert good.headers["Access-Control-Allow-Origin"] == "https://meet.example"
        assert "Authorization" in good.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Origin" not in bad.headers
        assert read.headers["Access-Control-Allow-Origin"] == "https://meet.example"
        assert "X-Request-ID" in read.headers["Access-Control-Expose-Headers"]
        assert bad.headers["Vary"] == "Origin"


async def test_no_cors_by_default(edge: Edge) -> None:
    answer = await edge.send("GET", "/livez", headers={"Origin": "https://meet.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_slow_actor_is_a_timeout() -> None:
    async with running(GatewayLimits(request_timeout_s=0.05)) as edge:
        edge.behind.answers[GetUser] = lambda actor, message: actor.defer()
        answer = await edge.send("GET", PROFILE)
        assert (answer.status, answer.json["code"]) == (504, "DEADLINE_EXCEEDED")


async def test_too_many_at_once_are_refused_but_the_probes_are_not() -> None:
    async with running(GatewayLimits(max_requests=2)) as edge:
        replies = []

        def later(actor: StandIn, message: Any) -> None:
            replies.append(Actor.defer(actor))

        edge.behind.answers[GetUser] = later
        first = [asyncio.create_task(edge.send("GET", PROFILE)) for _ in range(2)]
        await edge.behind.until(lambda: len(replies) == 2)
        third = await edge.send("GET", PROFILE)
        alive = await edge.send("GET", "/livez")
        for reply in replies:
            reply.send(user_view())
        assert (third.status, third.headers["Retry-After"], alive.status) == (429, "1", 200)
        assert [(await one).status for one in first] == [200, 200]


async def test_requests_are_counted_by_template_and_never_by_what_clients_make_up(edge: Edge) -> None:
    edge.behind.answers[GetMeeting] = meeting_view()
    await edge.send("GET", "/api/v1/meetings/5")
    await edge.send("GET", "/made/up")
    await edge.send("BREW", "/api/v1/meetings")
    text = (await edge.send("GET", "/metrics")).body.decode()
    assert 'parley_http_requests_total{method="GET",route="/api/v1/meetings/{meeting_id}",status="200"} 1.0' in text
    assert 'route="none",status="404"' in text
    assert "made" not in text
    assert "BREW" not in text


@pytest.mark.parametrize(
    "sent",
    [b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n"],
)
async def test_what_is_hardly_http_is_the_clients_fault(edge: Edge, sent: bytes) -> None:
    async with connected(edge.port) as raw:
        await raw.send(sent)
        assert 400 <= await raw.status() < 500
    assert (await edge.send("GET", "/livez")).status == 200
