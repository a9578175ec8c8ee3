from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from protocols.signaling import ROOM_PREFIX, meeting_of, room_of

MEETING_IDS = st.integers(1, 2**32 - 1)


@given(MEETING_IDS)
def test_every_meeting_has_one_room_and_the_room_names_it(meeting_id: int) -> None:
    assert meeting_of(room_of(meeting_id)) == meeting_id


@given(st.text() | st.text("0123456789_room").map(lambda text: ROOM_PREFIX + text) | MEETING_IDS.map(room_of))
def test_a_name_that_stands_for_a_meeting_is_its_room(room_id: str) -> None:
    meeting_id = meeting_of(room_id)
    assert meeting_id is None or room_of(meeting_id) == room_id


@pytest.mark.parametrize(
    "room_id",
    [
        "",
        "room",
        "room_",
        "7",
        "Room_7",
        "room_7 ",
        " room_7",
        "room_7\n",
        "room_-7",
        "room_+7",
        "room_7.0",
        "room_0",
        "room_007",
        "room_7_7",
        "room_٧",
        "room_²",
        "room_0x7",
        f"room_{2**32}",
        "room_" + "9" * 5000,
    ],
)
def test_what_is_no_meetings_room_stands_for_none(room_id: str) -> None:
    assert meeting_of(room_id) is None
