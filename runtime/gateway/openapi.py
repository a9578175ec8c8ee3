"""The OpenAPI 3.1 document, made from the route table and the schemas that the server itself reads and writes by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from protocols.errors import WIRE, Code
from protocols.http import Problem, Sent
from runtime.gateway.problems import PROBLEM_TYPE
from runtime.gateway.route import PATH_NAMES, Access, Route

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = _REF.format(name="Problem")
_ALWAYS: Final = (Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)
_DESCRIPTION: Final = (
    "Accounts, meetings, signaling and AI. Failures are `application/problem+json` (RFC 9457). "
    "Signaling is the WebSocket at `/ws`: offer the subprotocols `parley.v1` and `parley.token.<token>`, "
    "or send `auth` first."
)


def document(routes: Sequence[Route[Any]], *, title: str, version: str) -> Json:
    """The whole document, as JSON values."""
    kinds = [kind for route in routes for kind in (route.takes, route.gives) if kind is not None]
    _, components = msgspec.json.schema_components([*dict.fromkeys(kinds), Problem], ref_template=_REF)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    used = {name: schema for name, schema in components.items() if name not in _only_queries(routes)}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": used,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(route: Route[Any], components: Mapping[str, Json]) -> Json:
    parameters = [*_path_parameters(route), *_query_parameters(route, components)]
    operation: Json = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.summary,
        "description": (route.handler.__doc__ or "").strip(),
        "responses": {**_failures(route), **_successes(route)},
        "security": [{"bearer": []}] if route.access is Access.USER else [],
    }
    if parameters:
        operation["parameters"] = parameters
    if route.has_body and _has_fields(route.takes):
        required = any(field.required for field in msgspec.structs.fields(route.takes))
        content = {"application/json": {"schema": {"$ref": _REF.format(name=route.takes.__name__)}}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _path_parameters(route: Route[Any]) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(PATH_NAMES[name].schema)}
        for name in route.parameters
    ]


def _query_parameters(route: Route[Any], components: Mapping[str, Json]) -> list[Json]:
    if route.has_body or not _has_fields(route.takes):
        return []
    schema = components[route.takes.__name__]
    required = set(schema.get("required", ()))
    return [
        {"name": name, "in": "query", "required": name in required, "schema": kind}
        for name, kind in schema["properties"].items()
    ]


def _successes(route: Route[Any]) -> dict[str, Json]:
    """Every status with which the handler itself answers; a 304 has no body."""
    statuses = (route.status, *route.also_status)
    return {str(status): {"description": "Not changed"} if status == 304 else _success(route) for status in statuses}


def _success(route: Route[Any]) -> Json:
    if route.gives is None:
        return {"description": "Done"}
    content: Json = {"application/json": {"schema": {"$ref": _REF.format(name=route.gives.__name__)}}}
    content |= {kind: {"schema": {"type": "string"}} for kind in route.also_gives}
    return {"description": route.summary, "content": content}


def _failures(route: Route[Any]) -> dict[str, Json]:
    """One answer for each HTTP status; several codes may share one."""
    titles: dict[str, list[str]] = {}
    for code in _codes(route):
        titles.setdefault(str(WIRE[code].http), []).append(code.value)
    statuses = {status: " or ".join(codes) for status, codes in titles.items()}
    if route.has_body:
        statuses |= {"413": "The body is too large", "415": "The body is not JSON"}
    if route.also_gives:
        statuses["406"] = "No form that the client takes"
    content = {PROBLEM_TYPE: {"schema": {"$ref": _PROBLEM}}}
    return {status: {"description": text, "content": content} for status, text in sorted(statuses.items())}


def _codes(route: Route[Any]) -> Iterable[Code]:
    codes = [*route.refuses, *_ALWAYS]
    if _has_fields(route.takes) or route.has_body:
        codes.append(Code.INVALID_ARGUMENT)
    if route.access is Access.USER:
        codes.append(Code.UNAUTHENTICATED)
    if route.parameters:
        codes.append(Code.NOT_FOUND)
    return dict.fromkeys(codes)


def _has_fields(kind: type[Sent]) -> bool:
    return bool(msgspec.structs.fields(kind))


def _only_queries(routes: Sequence[Route[Any]]) -> set[str]:
    """Schemas that appear as parameters, or nowhere: nothing refers to them."""
    return {route.takes.__name__ for route in routes if not route.has_body or not _has_fields(route.takes)}
