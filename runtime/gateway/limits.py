"""How much the edge takes: sizes, counts and times, as one value that the node builds from its settings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Every bound of the edge. Sizes in bytes, times in seconds (`_s`).

    `max_body_bytes` is for bodies that carry a clip or a picture, as base64; `max_fields_bytes` for all others.
    `max_buffered_bytes` bounds the bodies that are held in memory at one time, all connections together.
    A WebSocket client that was silent for `ws_heartbeat_s` is pinged, and cut when not even a pong came within
    `ws_idle_timeout_s`. A client is slow when `ws_outbox_frames` or `ws_outbox_bytes` wait for it, or when one frame is
    not taken within `ws_send_timeout_s`.
    """

    request_timeout_s: float = 10.0
    recognition_timeout_s: float = 60.0
    body_timeout_s: float = 30.0
    max_requests: int = 512
    max_fields_bytes: int = 256 * KIB
    max_body_bytes: int = 16 * MIB
    max_buffered_bytes: int = 128 * MIB
    max_websockets: int = 10_000
    ws_auth_timeout_s: float = 10.0
    ws_heartbeat_s: float = 20.0
    ws_idle_timeout_s: float = 60.0
    ws_max_frame_bytes: int = 256 * KIB
    ws_outbox_frames: int = 256
    ws_outbox_bytes: int = 1 * MIB
    ws_send_timeout_s: float = 5.0
    ws_close_timeout_s: float = 2.0
    ws_malformed_frames: int = 5
    cors_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and value <= 0:
                raise ValueError(f"{field.name} is above 0, not {value}")
