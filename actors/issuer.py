"""The tokens: a short access token, a refresh token that is kept as a hash only, a join token for one room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from models import records
from protocols.accounts import TokenPair
from protocols.tokens import Identity, TokenSigner, TokenUse, hash_refresh_token, new_refresh_token

RefreshTokens = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class TokenLives:
    """How long each kind of token is good, in seconds."""

    access_ttl_s: int = 900
    refresh_ttl_s: int = 30 * 24 * 3600
    join_ttl_s: int = 3600


_DEFAULT_LIVES: Final = TokenLives()


class Issuer:
    """Makes tokens. `new_refresh` makes a random refresh token for a user id."""

    def __init__(
        self, signer: TokenSigner, lives: TokenLives = _DEFAULT_LIVES, new_refresh: RefreshTokens = new_refresh_token
    ) -> None:
        self._signer = signer
        self._lives = lives
        self._new_refresh = new_refresh

    def pair(self, user: records.User, now: datetime) -> TokenPair:
        """An access token, and a refresh token that is good once a session has been stored for it."""
        identity = Identity(user.id, user.username, TokenUse.ACCESS, user.role.value)
        ttl_s = self._lives.access_ttl_s
        access = self._signer.sign(identity, now=now.timestamp(), ttl_s=ttl_s)
        return TokenPair(access, self._new_refresh(user.id), ttl_s)

    def join(self, user_id: int, username: str, room_id: str, now: datetime) -> str:
        """A token for one room."""
        identity = Identity(user_id, username, TokenUse.JOIN, room_id=room_id)
        return self._signer.sign(identity, now=now.timestamp(), ttl_s=self._lives.join_ttl_s)

    def refresh_until(self, now: datetime) -> datetime:
        """When a refresh token that is made now ends."""
        return now + timedelta(seconds=self._lives.refresh_ttl_s)


def token_hash(refresh_token: str) -> bytes:
    """What the session store knows a refresh token by."""
    return bytes.fromhex(hash_refresh_token(refresh_token))
