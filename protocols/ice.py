"""A STUN or TURN server as clients are told of it: the fields of RTCIceServer, so that a browser takes it as it is
(https://www.w3.org/TR/webrtc/#rtciceserver-dictionary).
"""

from __future__ import annotations

import msgspec


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One server at one or more `stun:` or `turn:` addresses; a TURN server wants a name and a credential."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None

    def __repr__(self) -> str:
        return f"IceServer({', '.join(self.urls)})"
