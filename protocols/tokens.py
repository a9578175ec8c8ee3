"""Signed tokens: JSON Web Tokens (RFC 7519) that say who a caller is and what the token is good for.

Two kinds: `access` (a user, on every interface) and `join` (a user, in one room only). Keys come in as arguments.
Refresh tokens are no JWTs: they are random, kept hashed in the session store, and of no use to anyone but it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

from protocols.errors import InvalidArgument, Unauthenticated

ALGORITHM: Final = "HS256"
MIN_SECRET_BYTES: Final = 32
LEEWAY_S: Final = 5
"""How far the clocks of two nodes may be apart before a fresh token is refused."""


class TokenUse(StrEnum):
    """What a token is good for."""

    ACCESS = "access"
    JOIN = "join"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a valid token says. `room_id` is set in a join token and empty in an access token."""

    user_id: int
    username: str
    use: TokenUse
    role: str = "user"
    room_id: str = ""


class TokenSigner:
    """Signs and verifies tokens with one shared secret. `issuer` is the system's name, checked on every token."""

    def __init__(self, secret: bytes, *, issuer: str = "parley") -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise InvalidArgument(f"a token secret has at least {MIN_SECRET_BYTES} bytes, this one has {len(secret)}")
        self._key = OctKey.import_key(secret)
        self._issuer = issuer

    def sign(self, identity: Identity, *, now: float, ttl_s: int) -> str:
        """A token that says `identity` from `now` (Unix seconds) on, for `ttl_s` seconds.

        Raises InvalidArgument for a join token without a room: it would be good for nothing, or for every room.
        """
        if (identity.use is TokenUse.JOIN) != bool(identity.room_id):
            raise InvalidArgument("a join token names its room, and an access token names none")
        claims: dict[str, object] = {
            "iss": self._issuer,
            "sub": str(identity.user_id),
            "name": identity.username,
            "use": identity.use.value,
            "role": identity.role,
            "iat": int(now),
            "exp": int(now) + ttl_s,
            "jti": secrets.token_hex(8),
        }
        if identity.room_id:
            claims["room"] = identity.room_id
        return jwt.encode({"alg": ALGORITHM, "typ": "JWT"}, claims, self._key, algorithms=[ALGORITHM])

    def verify(self, token: str, *, now: float, uses: frozenset[TokenUse]) -> Identity:
        """Who the token says its bearer is. Raises Unauthenticated, saying why it does not hold."""
        try:
            decoded = jwt.decode(token, self._key, algorithms=[ALGORITHM])
            jwt.JWTClaimsRegistry(
                now=int(now),
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self._issuer},
                sub={"essential": True},
                exp={"essential": True},
            ).validate(decoded.claims)
            identity = _identity(decoded.claims)
        except ExpiredTokenError:
            raise Unauthenticated("the token has expired: refresh it or log in again") from None
        except (JoseError, ValueError, KeyError, TypeError):
            # No detail on purpose: why a forged token fails is nobody's business.
            raise Unauthenticated("the token is not valid: log in again") from None
        if identity.use not in uses:
            allowed = " or ".join(sorted(use.value for use in uses))
            raise Unauthenticated(f"this takes a token for {allowed}, not one for {identity.use.value}")
        return identity


def _identity(claims: dict[str, object]) -> Identity:
    identity = Identity(
        user_id=int(str(claims["sub"])),
        username=str(claims["name"]),
        use=TokenUse(str(claims["use"])),
        role=str(claims["role"]),
        room_id=str(claims.get("room", "")),
    )
    if (identity.use is TokenUse.JOIN) != bool(identity.room_id):
        raise ValueError("a join token without a room, or an access token with one")
    return identity


def new_refresh_token(user_id: int) -> str:
    """A fresh refresh token: the user's id, so that it finds its owner, and 256 random bits."""
    return f"{user_id}.{secrets.token_urlsafe(32)}"


def refresh_token_owner(token: str) -> int:
    """The user id that a refresh token names. Raises Unauthenticated for what cannot be one."""
    owner, _, random = token.partition(".")
    if not (owner.isascii() and owner.isdigit() and len(owner) <= 10 and random):
        raise Unauthenticated("this is no refresh token: log in again")
    return int(owner)


def hash_refresh_token(token: str) -> str:
    """How a refresh token is stored (SHA-256, hexadecimal): enough for 256 random bits, useless to a thief."""
    return hashlib.sha256(token.encode()).hexdigest()
