"""Who is in a room."""

from __future__ import annotations

import pytest

from protocols.frames import RoomMember
from protocols.signaling import GetRoom, RoomView
from tests.runtime.gateway.harness import Edge


async def test_a_room(edge: Edge) -> None:
    edge.behind.answers[GetRoom] = RoomView("room_5", (RoomMember(7, "ada", "s1", "host", True),), 3)
    answer = await edge.send("GET", "/api/v1/signaling/rooms/room_5")
    assert answer.json == {
        "room_id": "room_5",
        "participants": [{"user_id": 7, "username": "ada", "peer_id": "s1", "role": "host"}],
        "seq": 3,
    }
    assert edge.behind.told == [("room", "room_5", GetRoom(7))]


@pytest.mark.parametrize("room_id", ["a b", "a%2Fb", "%00", "x" * 65])
async def test_what_is_no_room_id(edge: Edge, room_id: str) -> None:
    answer = await edge.send("GET", f"/api/v1/signaling/rooms/{room_id}")
    assert (answer.status, edge.behind.told) == (404, [])
