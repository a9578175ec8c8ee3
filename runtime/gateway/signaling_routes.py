"""Signaling over HTTP: who is in a room. The signaling itself is the WebSocket's."""

from __future__ import annotations

from typing import Any, Final

from protocols import http
from protocols.errors import Code
from protocols.signaling import GetRoom, RoomView
from runtime.gateway.call import Call
from runtime.gateway.route import API, Route


async def get_room(call: Call, sent: http.Nothing) -> RoomView:
    """Who is in a room now."""
    return await call.ask(RoomView, "room", call.text("room_id"), GetRoom(call.user.user_id))


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        "GET",
        f"{API}/signaling/rooms/{{room_id}}",
        get_room,
        http.Nothing,
        http.Room,
        "Who is in a room",
        "signaling",
        refuses=(Code.NOT_FOUND, Code.PERMISSION_DENIED),
    ),
)
