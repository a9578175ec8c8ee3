"""The `Accept` header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.gateway.negotiation import choose

OFFERED = ("application/json", "text/vtt")


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/*", "text/vtt"),
        ("TEXT/VTT", "text/vtt"),
        ("application/json;q=0.2, text/vtt;q=0.3", "text/vtt"),
        ("text/vtt;q=0, */*", "application/json"),
        ("application/json;q=0, text/*;q=0.1", "text/vtt"),
        ("text/vtt;charset=utf-8;q=1", "text/vtt"),
        ("text/html", None),
        ("text/vtt;q=nonsense", None),
        ("*/*;q=0", None),
    ],
)
def test_choose(accept: str, chosen: str | None) -> None:
    assert choose(accept, OFFERED) == chosen


@given(st.text())
def test_any_header_is_read(accept: str) -> None:
    assert choose(accept, OFFERED) in (*OFFERED, None)
