from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.paging import Integer, decode_cursor, encode_cursor
from protocols.errors import InvalidArgument

FIRST = (0, "")


@given(number=st.integers(-(2**63), 2**63 - 1), text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_cursor_holds_its_key(number: int, text: str) -> None:
    cursor = encode_cursor((number, text))
    assert decode_cursor(cursor, FIRST, tuple[Integer, str]) == (number, text)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_empty_cursor_is_the_start() -> None:
    assert decode_cursor("", FIRST, tuple[Integer, str]) == FIRST


@given(cursor=st.text(min_size=1))
def test_any_other_text_is_refused_or_a_key(cursor: str) -> None:
    try:
        key = decode_cursor(cursor, FIRST, tuple[Integer, str])
    except InvalidArgument:
        return
    assert [type(part) for part in key] == [int, str]


def test_a_refusal_names_the_field() -> None:
    with pytest.raises(InvalidArgument) as caught:
        decode_cursor("%%%", FIRST, tuple[Integer, str])
    assert [fault.field for fault in caught.value.faults] == ["cursor"]


@pytest.mark.parametrize("key", [(2**63, ""), (1,), ("1", ""), (1, "", 1)])
def test_a_key_of_another_shape_is_refused(key: tuple[int | str, ...]) -> None:
    with pytest.raises(InvalidArgument):
        decode_cursor(encode_cursor(key), FIRST, tuple[Integer, str])
