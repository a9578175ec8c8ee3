from __future__ import annotations

from typing import Final

import hypothesis.strategies as st
import pytest
from hypothesis import given

from protocols.errors import (
    ERRORS,
    WIRE,
    Code,
    FieldFault,
    Internal,
    NotFound,
    ParleyError,
    ResourceExhausted,
    from_code,
)

GRPC: Final = {
    "CANCELLED": 1,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}
"""https://grpc.github.io/grpc/core/md_doc_statuscodes.html, without UNKNOWN (2) and DATA_LOSS (15)."""

HTTP: Final = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}


def test_every_code_has_its_row_and_its_error() -> None:
    assert set(WIRE) == set(ERRORS) == set(Code)
    assert {code.name for code in Code} == {code.value for code in Code} == GRPC.keys() == HTTP.keys()


@pytest.mark.parametrize("code", Code)
def test_a_code_looks_like_this_on_each_wire(code: Code) -> None:
    row = WIRE[code]
    assert (row.grpc, row.http) == (GRPC[code], HTTP[code])
    assert row.title
    # RFC 6455, 7.4: what an endpoint may send, or the private range.
    assert row.websocket in (1000, 1001, 1008, 1009, 1011, 1013) or 4000 <= row.websocket <= 4999


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    retryable = {code.name for code, row in WIRE.items() if row.retryable}
    assert retryable == {"ABORTED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNAVAILABLE"}


@pytest.mark.parametrize("code", Code)
def test_a_failure_that_crosses_a_wire_stays_itself(code: Code) -> None:
    error = from_code(code.value, "why", retry_after_s=2.5)
    assert type(error) is ERRORS[code]
    assert (error.code, error.detail, str(error), error.retry_after_s) == (code, "why", "why", 2.5)
    assert error.retryable is WIRE[code].retryable


@given(st.text())
def test_an_unknown_code_is_an_internal_error(code: str) -> None:
    if code not in GRPC:
        assert type(from_code(code, "why")) is Internal


def test_an_error_names_fields_and_when_to_come_back() -> None:
    fault = FieldFault("password", "at least 8 characters")
    assert NotFound("no", faults=[fault]).faults == (fault,)
    assert NotFound("no").faults == ()
    assert NotFound("no").retry_after_s is None
    assert ResourceExhausted("full", retry_after_s=0).retry_after_s == 0
    assert isinstance(NotFound("no"), ParleyError)
