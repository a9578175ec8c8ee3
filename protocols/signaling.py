"""Messages of signaling. `peer/{session_id}` is one client's session; `room/{room_id}` is where peers meet.

The edge tells a peer what its client sent and gets frames back for it; peers and rooms talk by address, so that
either may live on another node.
"""

from __future__ import annotations

import re
from typing import Final

from protocols import frames
from protocols.messages import message

ROOM_PREFIX: Final = "room_"
_ROOM: Final = re.compile(rf"{ROOM_PREFIX}([1-9][0-9]{{0,9}})")
_MAX_MEETING_ID: Final = 2**32 - 1


def room_of(meeting_id: int) -> str:
    """The room id of a meeting."""
    return f"{ROOM_PREFIX}{meeting_id}"


def meeting_of(room_id: str) -> int | None:
    """The meeting id of a room id, or None for what names no meeting's room.

    Exactly the inverse of `room_of`: were `room_007` taken for meeting 7, that meeting would have two rooms.
    """
    found = _ROOM.fullmatch(room_id)
    meeting_id = int(found[1]) if found else 0
    return meeting_id if 1 <= meeting_id <= _MAX_MEETING_ID else None


@message("peer.attach")
class Attach:
    """To a peer, first of all: whose session this is and the address of the connection that writes to the client.

    `room_id` is set when the token is good for that room only.
    """

    user_id: int
    username: str
    connection: str
    room_id: str = ""


@message("peer.detach")
class Detach:
    """To a peer: the client's connection is gone."""

    reason: str


@message("peer.from_client")
class FromClient:
    """To a peer: a frame that its client sent."""

    frame: frames.AnyClientFrame


@message("connection.to_client")
class ToClient:
    """To a connection: write this frame. `close_code` set: close with it afterwards."""

    frame: frames.AnyServerFrame
    close_code: int | None = None


@message("room.enter")
class Enter:
    """To a room, from a peer. Answer: Entered. A user who enters twice replaces their older session."""

    session_id: str
    user_id: int
    username: str


@message("room.entered")
class Entered:
    """Those who were in the room before; `seq` is the number of the room's last event."""

    participants: tuple[frames.RoomMember, ...]
    seq: int


@message("room.exit")
class Exit:
    """To a room: this session leaves. Answer: None, also when it was not in."""

    session_id: str
    reason: str


@message("room.relay")
class Relay:
    """To a room, from a peer: pass a frame on to its `to_user_id`. Answer: None; NotFound if they are not in."""

    session_id: str
    frame: frames.Offer | frames.Answer | frames.IceCandidate


@message("peer.deliver")
class Deliver:
    """To a peer, from its room: a frame for the client. `close_code` set: close the client's connection with it."""

    frame: frames.AnyServerFrame
    close_code: int | None = None


@message("room.get")
class GetRoom:
    """To a room. Answer: RoomView. `actor_id`: who asks."""

    actor_id: int


@message("room.view")
class RoomView:
    """Who is in a room now."""

    room_id: str
    participants: tuple[frames.RoomMember, ...]
    seq: int


@message("room.close")
class CloseRoom:
    """To a room, when its meeting has ended: tell everybody and let go of them."""

    reason: str
