"""The document says what the server does: checked against the routes, and each reference and example of shape in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.runtime.gateway.harness import Edge


@pytest.fixture
async def document(edge: Edge) -> Any:
    return (await edge.send("GET", "/openapi.json", token=None)).json


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_it_is_openapi(document: Any) -> None:
    assert document["openapi"].startswith("3.1.")
    assert set(document) == {"openapi", "info", "servers", "tags", "paths", "components"}
    assert document["info"]["version"] == "1.2.3"


def test_it_has_every_route_and_no_other(edge: Edge, document: Any) -> None:
    assert {(path, method.upper()) for path, method, _ in operations(document)} == {
        (route.path, route.method) for route in edge.gateway.routes
    }


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: Any) -> None:
    schemas = document["components"]["schemas"]
    used = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert used == set(schemas)


def test_every_operation_is_whole(document: Any) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert operation["summary"], path
        assert operation["description"], path
        assert set(operation["tags"]) <= tags
        statuses = {int(status) for status in operation["responses"]}
        assert any(status < 300 for status in statuses)
        assert {429, 500, 503, 504} <= statuses
        in_path = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path))
        assert "requestBody" not in operation or method == "post"
        assert (401 in statuses) or operation["security"] == []
        for status, response in operation["responses"].items():
            kinds = set(response.get("content", {}))
            if int(status) >= 400 and path != "/readyz":
                assert kinds == {"application/problem+json"}, (path, status)


def test_limits_are_those_that_the_server_checks(document: Any) -> None:
    schemas = document["components"]["schemas"]
    title = schemas["MeetingDraft"]["properties"]["title"]
    assert (title["minLength"], title["maxLength"]) == (1, 100)
    assert schemas["MeetingDraft"]["required"] == ["title"]
    limit = next(one for one in document["paths"]["/api/v1/meetings"]["get"]["parameters"] if one["name"] == "limit")
    assert limit == {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 50},
    }
    assert schemas["SpeechClip"]["properties"]["audio_data"]["contentEncoding"] == "base64"


async def test_security_is_as_documented(edge: Edge, document: Any) -> None:
    for path, method, operation in operations(document):
        target = re.sub(r"{\w+}", "5", path)
        answer = await edge.send(method.upper(), target, token=None)
        assert (answer.status == 401) == bool(operation["security"]), path
