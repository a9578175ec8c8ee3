"""What the edge takes from the node's settings."""

from __future__ import annotations

from protocols.ice import IceServer
from runtime import config
from runtime.config import Settings
from runtime.gateway.limits import GatewayLimits
from runtime.gateway.listening import Listener


def listeners(settings: Settings) -> tuple[Listener, ...]:
    """The three ports, by name."""
    return (
        Listener("http", settings.host, settings.http_port, "http_port"),
        Listener("signaling", settings.host, settings.signaling_port, "signaling_port"),
        Listener("ai", settings.host, settings.ai_port, "ai_port"),
    )


def limits(settings: Settings) -> GatewayLimits:
    """The bounds of the edge."""
    return GatewayLimits(
        recognition_timeout_s=settings.recognition_timeout_s,
        max_body_bytes=settings.max_body_bytes,
        ws_heartbeat_s=settings.ws_heartbeat_s,
        ws_idle_timeout_s=settings.ws_idle_timeout_s,
        ws_max_frame_bytes=settings.ws_max_frame_bytes,
        ws_outbox_frames=settings.ws_outbox_limit,
        cors_origins=settings.cors_origins,
    )


def ice_servers(settings: Settings) -> tuple[IceServer, ...]:
    """The STUN and TURN servers, with the credentials that their clients need."""

    def told(server: config.IceServer) -> IceServer:
        credential = server.credential.get_secret_value() if server.credential else None
        return IceServer(server.urls, server.username, credential)

    return tuple(map(told, settings.ice_servers))
