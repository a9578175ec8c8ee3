"""One person has one account: the stores and the actors agree on when two names are the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.records import folded
from protocols.accounts import account_id


@given(st.text(max_size=40))
def test_stores_and_actors_fold_names_alike(name: str) -> None:
    assert folded(name) == account_id(name)
    assert folded(folded(name)) == folded(name)
