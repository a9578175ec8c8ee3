"""From raw JSON and queries to typed values, or to every fault at once."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from protocols.errors import InvalidArgument
from protocols.http import Sent
from runtime.gateway.failures import BadRequest
from runtime.gateway.validation import from_json, from_query


class Inner(msgspec.Struct):
    number: Annotated[int, Meta(ge=1)]


class Outer(Sent, frozen=True, kw_only=True):
    name: Annotated[str, Meta(min_length=2)]
    inner: Inner | None = None
    many: list[int] = []
    flag: bool = False


def faults(body: bytes) -> list[tuple[str, str]]:
    with pytest.raises(InvalidArgument) as caught:
        from_json(body, Outer)
    return [(fault.field, fault.detail) for fault in caught.value.faults]


def test_a_value() -> None:
    assert from_json(b'{"name":"ab","unknown":1}', Outer) == Outer(name="ab")


def test_every_fault_is_named() -> None:
    assert faults(b'{"name":"a","inner":{"number":0},"many":[1,"x"],"flag":1}') == [
        ("name", "expected str of length >= 2"),
        ("inner.number", "expected int >= 1"),
        ("many[1]", "expected int, got str"),
        ("flag", "expected bool, got int"),
    ]
    assert faults(b'{"inner":{}}') == [("name", "is required"), ("inner.number", "is required")]
    assert faults(b"[]") == [("", "expected an object")]


def test_a_query_is_text() -> None:
    assert from_query({"name": "ab", "flag": "true"}, Outer) == Outer(name="ab", flag=True)
    with pytest.raises(InvalidArgument) as caught:
        from_query({"flag": "perhaps"}, Outer)
    assert [fault.field for fault in caught.value.faults] == ["name", "flag"]


@given(st.binary())
def test_any_bytes(body: bytes) -> None:
    try:
        from_json(body, Outer)
    except InvalidArgument as error:
        assert error.faults
    except BadRequest as error:
        assert error.detail
