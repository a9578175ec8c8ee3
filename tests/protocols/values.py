"""Values of the types that go over a wire, for property tests."""

from __future__ import annotations

import dataclasses
import typing
from datetime import UTC
from enum import Enum
from types import UnionType
from typing import Annotated, Any

import hypothesis.strategies as st
import msgspec

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
MOMENTS = st.datetimes(timezones=st.just(UTC))
SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(0, 2**32 - 1),
    str: TEXT,
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bytes: st.binary(max_size=50),
    type(None): st.none(),
    Any: JSON,
}


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as annotations give it: dataclasses, structs, unions, tuples, dicts, enums, the simple ones."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if getattr(kind, "__name__", "") == "datetime":
        return MOMENTS
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return of_type(arguments[0])
    if origin in (typing.Union, UnionType):
        return st.one_of(*(of_type(one) for one in arguments))
    if origin is tuple:
        assert arguments[1:] == (...,), f"no strategy for {kind}"
        return st.lists(of_type(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=3)
    return of_class(kind)


def of_class(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an enum, or of a dataclass or struct with every field drawn."""
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    assert dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct), f"no strategy for {kind}"
    hints = typing.get_type_hints(kind, include_extras=True)
    names = (
        [field.name for field in dataclasses.fields(kind)]
        if dataclasses.is_dataclass(kind)
        else list(kind.__struct_fields__)
    )
    return st.fixed_dictionaries({name: of_type(hints[name]) for name in names}).map(lambda drawn: kind(**drawn))
