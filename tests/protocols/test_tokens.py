from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from protocols.errors import InvalidArgument, Unauthenticated
from protocols.tokens import (
    LEEWAY_S,
    MIN_SECRET_BYTES,
    Identity,
    TokenSigner,
    TokenUse,
    hash_refresh_token,
    new_refresh_token,
    refresh_token_owner,
)

SECRET: Final = bytes(range(MIN_SECRET_BYTES))
SIGNER: Final = TokenSigner(SECRET)
NOW: Final = 1_900_000_000.7
ADA: Final = Identity(7, "ada", TokenUse.ACCESS, role="admin")
ADA_JOINS: Final = Identity(7, "ada", TokenUse.JOIN, room_id="room_3")
ACCESS: Final = frozenset({TokenUse.ACCESS})
EITHER: Final = frozenset(TokenUse)
TOKEN: Final = SIGNER.sign(ADA, now=NOW, ttl_s=600)


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def forged(claims: object, header: object = None, *, secret: bytes = SECRET, digest: str = "sha256") -> str:
    """A token made by hand; `claims` and `header` as JSON values."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    signed = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), digest))}"


def sound(**changes: object) -> dict[str, Any]:
    """Claims as the signer makes them, with changes; None leaves one out."""
    claims: dict[str, Any] = {"iss": "parley", "sub": "7", "name": "ada", "use": "access", "role": "user"}
    claims |= {"iat": int(NOW), "exp": int(NOW) + 600, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def refused(token: str, *, now: float = NOW, uses: frozenset[TokenUse] = EITHER, signer: TokenSigner = SIGNER) -> str:
    with pytest.raises(Unauthenticated) as error:
        signer.verify(token, now=now, uses=uses)
    return error.value.detail


@pytest.mark.parametrize("identity", [ADA, ADA_JOINS, Identity(2**32 - 1, "Дарья-李.x_1", TokenUse.ACCESS)])
def test_a_token_says_who_it_was_made_for(identity: Identity) -> None:
    token = SIGNER.sign(identity, now=NOW, ttl_s=600)
    assert SIGNER.verify(token, now=NOW, uses=EITHER) == identity
    assert token.isascii()
    assert token != SIGNER.sign(identity, now=NOW, ttl_s=600)


def test_a_token_made_by_hand_to_the_letter_is_valid() -> None:
    """So that the tests below fail for the reason they name."""
    assert SIGNER.verify(forged(sound()), now=NOW, uses=ACCESS) == Identity(7, "ada", TokenUse.ACCESS)


def test_it_lasts_its_time_and_the_leeway() -> None:
    for seconds in (-LEEWAY_S, 0, 599, 600 + LEEWAY_S - 1):
        assert SIGNER.verify(TOKEN, now=NOW + seconds, uses=ACCESS) == ADA
    for seconds in (600 + LEEWAY_S + 1, 10**9):
        assert "expired" in refused(TOKEN, now=NOW + seconds)
    assert "not valid" in refused(TOKEN, now=NOW - LEEWAY_S - 2)


def test_a_token_is_good_for_its_use_only() -> None:
    assert "takes a token for join, not one for access" in refused(TOKEN, uses=frozenset({TokenUse.JOIN}))
    join = SIGNER.sign(ADA_JOINS, now=NOW, ttl_s=600)
    assert "takes a token for access, not one for join" in refused(join, uses=ACCESS)
    assert refused(TOKEN, uses=frozenset())


def test_a_join_token_names_its_room_and_an_access_token_none() -> None:
    for identity in (Identity(7, "ada", TokenUse.JOIN), Identity(7, "ada", TokenUse.ACCESS, room_id="room_3")):
        with pytest.raises(InvalidArgument):
            SIGNER.sign(identity, now=NOW, ttl_s=600)
    refused(forged(sound(use="join")))
    refused(forged(sound(room="room_3")))


@pytest.mark.parametrize(
    "signer", [TokenSigner(SECRET[::-1]), TokenSigner(SECRET + b"x"), TokenSigner(SECRET, issuer="x")]
)
def test_another_key_or_issuer_does_not_do(signer: TokenSigner) -> None:
    assert "not valid" in refused(signer.sign(ADA, now=NOW, ttl_s=600))
    assert "not valid" in refused(TOKEN, signer=signer)


@pytest.mark.parametrize(
    "token",
    [
        forged(sound(), {"alg": "none"}),
        forged(sound(), {"alg": "none"}).rpartition(".")[0] + ".",
        forged(sound(), {"alg": "None"}).rpartition(".")[0] + ".",
        forged(sound(), {"alg": ""}),
        forged(sound(), {"typ": "JWT"}),
        forged(sound(), {"alg": ["HS256"]}),
        forged(sound(), {"alg": "HS512"}, digest="sha512"),
        forged(sound(), {"alg": "HS384"}, digest="sha384"),
        forged(sound(), {"alg": "RS256"}),
        forged(sound(), {"alg": "HS256", "crit": ["exp"]}),
        forged(sound(), {"alg": "HS256", "b64": False, "crit": ["b64"]}),
        forged(sound(), ["HS256"]),
        forged(sound(), secret=b""),
    ],
)
def test_another_algorithm_does_not_do(token: str) -> None:
    assert "not valid" in refused(token)


@pytest.mark.parametrize(
    "claims",
    [
        sound(iss=None),
        sound(iss="someone else"),
        sound(iss=["parley", "x"]),
        sound(sub=None),
        sound(sub="ada"),
        sound(sub=""),
        sound(exp=None),
        sound(exp="never"),
        sound(exp=True),
        sound(exp={}),
        sound(name=None),
        sound(role=None),
        sound(use=None),
        sound(use="refresh"),
        sound(use=["access"]),
        sound(nbf=int(NOW) + 3600),
        {},
        [],
        "claims",
        None,
    ],
)
def test_claims_that_do_not_hold_are_refused(claims: object) -> None:
    refused(forged(claims))


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_token_that_was_touched_is_refused(at: int, letter: str) -> None:
    touched = TOKEN[:at] + letter + TOKEN[at + 1 :]
    try:
        assert SIGNER.verify(touched, now=NOW, uses=ACCESS) == ADA
    except Unauthenticated:
        return
    # Base64 leaves two bits of the last letter unused: the same bytes have four spellings.
    assert touched == TOKEN or (at == len(TOKEN) - 1)


@given(st.text(max_size=60) | st.lists(st.text(max_size=20), min_size=3, max_size=5).map(".".join))
@example("\ud800.\ud800.\ud800")
@example("\0.\0.\0")
@example(encoded(b"[" * 100_000) + ".e30.e30")
@example(encoded(b'{"alg":' + b"[" * 6_000) + ".e30.e30")
@example(encoded(b'{"alg":"HS256","x":' + b"9" * 5_000 + b"}") + ".e30.e30")
@example(encoded(b"null") + ".e30.e30")
@example(encoded(b'{"alg":"\xff"}') + ".e30.e30")
def test_garbage_is_refused(garbage: str) -> None:
    assert "not valid" in refused(garbage)


def test_claims_that_are_nested_deep_are_refused() -> None:
    header = encoded(b'{"alg":"HS256"}')
    signed = f"{header}.{encoded(b'[' * 100_000)}"
    refused(f"{signed}.{encoded(hmac.digest(SECRET, signed.encode(), 'sha256'))}")


def test_a_refusal_tells_nothing_of_the_token_or_the_key() -> None:
    detail = refused(TOKEN[:-2])
    assert TOKEN[:20] not in detail
    assert "signature" not in detail
    assert SECRET.hex() not in repr(vars(SIGNER))


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="at least 32 bytes, this one has 31"):
        TokenSigner(SECRET[:-1])


def test_a_refresh_token_finds_its_owner_and_is_never_the_same() -> None:
    first, second = new_refresh_token(7), new_refresh_token(7)
    assert first != second
    assert refresh_token_owner(first) == refresh_token_owner(second) == 7
    assert len(first.partition(".")[2]) == 43  # 256 bits in base64
    assert hash_refresh_token(first) == hashlib.sha256(first.encode()).hexdigest()


@pytest.mark.parametrize(
    "token",
    ["", ".", "7", "7.", ".x", "-7.x", "+7.x", " 7.x", "7 .x", "7_0.x", "٧.x", "seven.x", "9" * 11 + ".x", TOKEN],
)
def test_what_is_no_refresh_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthenticated, match="no refresh token"):
        refresh_token_owner(token)


@given(st.text(max_size=40))
def test_any_text_has_an_owner_or_is_refused(text: str) -> None:
    try:
        owner = refresh_token_owner(text)
    except Unauthenticated:
        return
    assert owner >= 0
