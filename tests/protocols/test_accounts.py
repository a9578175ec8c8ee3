from __future__ import annotations

import string
import unicodedata

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from protocols.accounts import account_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada", "ada"),
        ("ADA.Lovelace-1", "ada.lovelace-1"),
        ("  ada\t", "ada"),
        ("Straße", "STRASSE"),
        ("ｆｕｌｌ", "full"),  # full width
        ("ﬁn", "FIN"),  # a ligature
        ("Ⅷ", "viii"),  # one sign
        ("e\u0301", "É"),  # combined and composed
        ("ǰ", "J\u030c"),  # folds to two signs
        ("ΑΣ", "ας"),  # the sigma of a word's end
    ],
)
def test_two_spellings_are_one_account(one: str, other: str) -> None:
    assert account_id(one) == account_id(other)


@pytest.mark.parametrize(("one", "other"), [("ada", "adа"), ("ada", "ad a"), ("ada", "ada_"), ("e", "é")])
def test_these_are_two_accounts(one: str, other: str) -> None:
    """The second of the first pair ends in a Cyrillic letter: look-alikes are not folded."""
    assert account_id(one) != account_id(other)


@given(st.text())
@example("\u00a8")
@example("\u1e96\u0345")
@example("\u0345\u0399")
def test_the_form_is_its_own_form(name: str) -> None:
    folded = account_id(name)
    assert account_id(folded) == folded
    assert folded == folded.strip()
    assert unicodedata.is_normalized("NFKC", folded)


def test_the_form_of_every_letter_is_its_own_form() -> None:
    letters = map(chr, range(0x110000))
    assert not [letter for letter in letters if account_id(account_id("x" + letter)) != account_id("x" + letter)]


@given(st.text(string.ascii_letters + string.digits + "._-", min_size=1))
def test_case_makes_no_difference(name: str) -> None:
    assert account_id(name) == account_id(name.upper()) == account_id(name.swapcase()) == name.lower()


@given(st.text())
def test_composition_and_folding_make_no_difference(name: str) -> None:
    assert account_id(unicodedata.normalize("NFD", name)) == account_id(unicodedata.normalize("NFC", name))
    assert account_id(name) == account_id(unicodedata.normalize("NFKC", name))
