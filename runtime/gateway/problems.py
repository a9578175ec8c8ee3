"""Errors as RFC 9457 problems: the one place where a `ParleyError` becomes an HTTP answer."""

from __future__ import annotations

import math
from typing import Final

import msgspec
from aiohttp import web

from protocols.errors import WIRE, Code, ParleyError
from protocols.http import Fault, Problem
from runtime.gateway.failures import HttpFailure, HttpRefused, NoSuchRoute, WrongMethod

PROBLEM_TYPE: Final = "application/problem+json"
DEFAULT_RETRY_AFTER_S: Final = 1

_encode: Final = msgspec.json.Encoder().encode


def problem_type(code: Code) -> str:
    """The `type` of a problem: a name, not a page."""
    return f"urn:parley:problem:{code.value.lower().replace('_', '-')}"


def problem(error: ParleyError, request: web.Request, request_id: str) -> web.Response:
    """The answer for an error. An internal one shows no detail: that is in the log, under the request's id."""
    wire = WIRE[error.code]
    status, title = (error.status, error.title) if isinstance(error, HttpFailure) else (wire.http, wire.title)
    detail = "the log has it under this request_id" if error.code is Code.INTERNAL else error.detail
    body = Problem(
        type=problem_type(error.code),
        title=title,
        status=status,
        detail=detail,
        code=error.code.value,
        request_id=request_id,
        errors=tuple(Fault(field=fault.field, detail=fault.detail) for fault in error.faults),
    )
    response = web.Response(status=status, body=_encode(body), content_type=PROBLEM_TYPE)
    _add_headers(response, error, request)
    return response


def _add_headers(response: web.Response, error: ParleyError, request: web.Request) -> None:
    if isinstance(error, HttpFailure):
        response.headers.update(error.headers)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    elif response.status in (429, 503):
        response.headers["Retry-After"] = str(DEFAULT_RETRY_AFTER_S)
    if response.status == 401:
        sent = "Authorization" in request.headers
        response.headers["WWW-Authenticate"] = 'Bearer realm="parley"' + (', error="invalid_token"' if sent else "")
    if response.status in (408, 413):
        # What is left of the body would be read as the next request.
        response.force_close()


def from_http(error: web.HTTPException, request: web.Request) -> HttpFailure:
    """The failure that an exception of the HTTP library stands for."""
    if isinstance(error, web.HTTPNotFound):
        return NoSuchRoute(f"there is nothing at {request.path}: /openapi.json lists what there is")
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return WrongMethod(f"{request.path} takes {allowed}", headers={"Allow": allowed})
    return HttpRefused(error.status, error.text or error.reason)
