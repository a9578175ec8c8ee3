"""Bearer tokens, and how long a good one is taken for good."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from protocols.errors import Unauthenticated
from protocols.tokens import LEEWAY_S, Identity, TokenSigner, TokenUse
from runtime.gateway import identity
from runtime.gateway.identity import Bearers
from tests.runtime.gateway.harness import SIGNER, access_token

NOW = 1_800_000_000.0


class Counting(TokenSigner):
    """Counts how often it verifies."""

    def __init__(self) -> None:
        super().__init__(b"a secret of at least thirty-two bytes")
        self.verified = 0

    def verify(self, token: str, *, now: float, uses: frozenset[TokenUse]) -> Identity:
        self.verified += 1
        return super().verify(token, now=now, uses=uses)


@pytest.fixture
def request_with() -> Callable[[str], web.Request]:
    def make(token: str) -> web.Request:
        return make_mocked_request("GET", "/", {"Authorization": f"Bearer {token}"})

    return make


async def test_a_good_token_is_remembered_for_a_moment_only(request_with: Callable[[str], web.Request]) -> None:
    signer = Counting()
    bearers, request = Bearers(signer), request_with(access_token(now=NOW, ttl_s=60))
    for after_s in (0.0, 1.0, LEEWAY_S - 0.1):
        assert bearers.identity(request, now=NOW + after_s).user_id == 7
    assert signer.verified == 1
    bearers.identity(request, now=NOW + LEEWAY_S)
    assert signer.verified == 2


async def test_an_expired_token_is_found_out(request_with: Callable[[str], web.Request]) -> None:
    bearers, request = Bearers(SIGNER), request_with(access_token(now=NOW, ttl_s=60))
    bearers.identity(request, now=NOW + 59)
    with pytest.raises(Unauthenticated):
        bearers.identity(request, now=NOW + 59 + 2 * LEEWAY_S)


async def test_a_clock_that_is_set_back_forgets(request_with: Callable[[str], web.Request]) -> None:
    signer = Counting()
    bearers, request = Bearers(signer), request_with(access_token(now=NOW - 100, ttl_s=600))
    bearers.identity(request, now=NOW)
    bearers.identity(request, now=NOW - 50)
    assert signer.verified == 2


async def test_only_so_many_are_remembered(
    request_with: Callable[[str], web.Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "MAX_REMEMBERED", 3)
    bearers = Bearers(SIGNER)
    for user_id in range(1, 10):
        assert bearers.identity(request_with(access_token(user_id, now=NOW)), now=NOW).user_id == user_id
        assert len(bearers._remembered) <= 3
