"""Who sends a request: from its token only, never from what it says elsewhere."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from protocols.errors import Unauthenticated
from protocols.tokens import LEEWAY_S, Identity, TokenSigner, TokenUse

ACCESS: Final = frozenset({TokenUse.ACCESS})
ACCESS_OR_JOIN: Final = frozenset({TokenUse.ACCESS, TokenUse.JOIN})
MAX_REMEMBERED: Final = 4096


class Bearers:
    """Reads bearer tokens (RFC 6750).

    To verify one costs more than all else that a short request needs, and clients send the same one again and again: a
    good token is taken for good for as many seconds as two nodes' clocks may be apart anyway.
    """

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer
        self._remembered: dict[str, tuple[Identity, float]] = {}

    def identity(self, request: web.Request, *, now: float) -> Identity:
        """Whose token a request carries. Raises Unauthenticated."""
        header = request.headers.get("Authorization", "")
        identity, until = self._remembered.get(header, (None, 0.0))
        if identity is not None and until - LEEWAY_S <= now < until:
            return identity
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("log in and send the access token as `Authorization: Bearer <token>`")
        identity = self._signer.verify(token.strip(), now=now, uses=ACCESS)
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[header] = (identity, now + LEEWAY_S)
        return identity
