"""Liveness, readiness, metrics, status, and the document."""

from __future__ import annotations

import asyncio

from protocols.errors import Unavailable
from tests.runtime.gateway.harness import Edge


async def fine() -> str:
    return "12 tables"


async def gone() -> str:
    raise Unavailable("no worker runs")


async def broken() -> str:
    raise OSError("/secret/path is not there")


async def hanging() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_livez(edge: Edge) -> None:
    answer = await edge.send("GET", "/livez", token=None)
    assert (answer.status, answer.json) == (200, {"status": "alive"})


async def test_readyz_without_dependencies(edge: Edge) -> None:
    answer = await edge.send("GET", "/readyz", token=None)
    assert (answer.status, answer.json) == (200, {"status": "ready", "checks": []})


async def test_readyz_names_each_dependency(edge: Edge) -> None:
    edge.readiness.add("database", fine)
    edge.readiness.add("speech", gone, required=False)
    answer = await edge.send("GET", "/readyz", token=None)
    assert (answer.status, answer.json["status"]) == (200, "ready")
    assert [(check["name"], check["ok"], check["required"], check["detail"]) for check in answer.json["checks"]] == [
        ("database", True, True, "12 tables"),
        ("speech", False, False, "no worker runs"),
    ]


async def test_readyz_fails_with_a_required_dependency_and_tells_no_secret(edge: Edge) -> None:
    edge.readiness.add("disk", broken)
    edge.readiness.add("queue", hanging)
    answer = await edge.send("GET", "/readyz", token=None)
    assert (answer.status, answer.json["status"]) == (503, "not_ready")
    assert [check["detail"] for check in answer.json["checks"]] == ["OSError", "no answer within 0.2 s"]
    assert b"secret" not in answer.body


async def test_metrics(edge: Edge) -> None:
    answer = await edge.send("GET", "/metrics", token=None)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert b"parley_websockets_open 0.0" in answer.body
    assert b"parley_build" in answer.body


async def test_status(edge: Edge) -> None:
    answer = await edge.send("GET", "/api/v1/status", token=None)
    assert answer.json["version"] == "1.2.3"
    assert answer.json["node"] == "test-node"
    assert answer.json["models"] == [{"name": "tiny", "task": "speech_recognition", "version": "1", "state": "ready"}]
    assert {"kind": "meeting", "count": 0} in answer.json["actors"]
    assert (answer.json["requests"], answer.json["websockets"]) == (1, 0)


async def test_one_application_on_every_port(edge: Edge) -> None:
    for _, port in edge.gateway.addresses.values():
        async with edge.http.get(f"http://127.0.0.1:{port}/livez") as response:
            assert response.status == 200


async def test_head(edge: Edge) -> None:
    answer = await edge.send("HEAD", "/livez")
    assert (answer.status, answer.body) == (200, b"")
