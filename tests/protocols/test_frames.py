from __future__ import annotations

import json
import typing
from typing import Any, Final

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from protocols import frames
from protocols.frames import MalformedFrame
from tests.protocols.values import of_type

CLIENT: Final = typing.get_args(frames.AnyClientFrame)
SERVER: Final = typing.get_args(frames.AnyServerFrame)

CONTRACT: Final[dict[str, list[str]]] = {
    "join": ["room_id", "user_id", "username"],
    "offer": ["room_id", "from_user_id", "to_user_id", "sdp"],
    "answer": ["room_id", "from_user_id", "to_user_id", "sdp"],
    "ice_candidate": ["room_id", "from_user_id", "to_user_id", "candidate"],
    "leave": ["room_id", "user_id"],
}
VALUES: Final[dict[str, Any]] = {
    "room_id": "room_123",
    "user_id": 7,
    "username": "ada",
    "from_user_id": 7,
    "to_user_id": 9,
    "sdp": "v=0\r\n",
    "candidate": {"candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0},
}


def tag(kind: Any) -> str:
    return str(kind.__struct_config__.tag)


def sent(kind: str, **more: object) -> dict[str, Any]:
    return {"type": kind, **{name: VALUES[name] for name in CONTRACT[kind]}, **more}


@pytest.mark.parametrize("kind", CONTRACT)
def test_a_frame_of_the_contract_is_read_with_every_claim_kept(kind: str) -> None:
    frame = frames.decode(json.dumps(sent(kind, id="r1", of_tomorrow=[])))
    assert tag(type(frame)) == kind
    assert frame.id == "r1"
    assert {name: getattr(frame, name) for name in CONTRACT[kind]} == {name: VALUES[name] for name in CONTRACT[kind]}
    assert json.loads(frames.encode_client(frame)) == sent(kind, id="r1")


@pytest.mark.parametrize("kind", ["offer", "answer", "ice_candidate"])
def test_a_relayed_frame_has_the_contracts_fields_and_the_sender_of_the_token(kind: str) -> None:
    frame = frames.decode(json.dumps(sent(kind, id="r1", from_user_id=666)))
    assert isinstance(frame, frames.Negotiation)
    relayed = json.loads(frames.encode(frames.relayed(frame, 7)))
    assert relayed == sent(kind, from_user_id=7)


def test_the_server_has_these_frames() -> None:
    assert {tag(kind) for kind in CLIENT} == {*CONTRACT, "auth", "ping"}
    assert {tag(kind) for kind in SERVER} >= {"welcome", "joined", "user_joined", "user_left", "meeting_ended", "error"}
    assert {tag(kind) for kind in SERVER} >= {"offer", "answer", "ice_candidate", "pong"}


@pytest.mark.parametrize("kind", CLIENT, ids=tag)
@settings(max_examples=25)
@given(data=st.data())
def test_client_frames_come_back_as_they_were(kind: Any, data: st.DataObject) -> None:
    frame = data.draw(of_type(kind))
    assert frames.decode(frames.encode_client(frame)) == frame
    assert frames.decode(frames.encode_client(frame).decode()) == frame


@pytest.mark.parametrize("kind", SERVER, ids=tag)
@settings(max_examples=25)
@given(data=st.data())
def test_server_frames_come_back_as_they_were(kind: Any, data: st.DataObject) -> None:
    frame = data.draw(of_type(kind))
    assert frames.decode_server(frames.encode(frame)) == frame
    assert json.loads(frames.encode(frame))["type"] == tag(kind)


@pytest.mark.parametrize(
    ("candidate", "read"),
    [({"candidate": "x"}, {"candidate": "x"}), ("candidate:1", "candidate:1"), ("", ""), (None, None)],
)
def test_a_candidate_is_what_a_browser_gives(candidate: object, read: object) -> None:
    frame = frames.decode(json.dumps(sent("ice_candidate", candidate=candidate)))
    assert isinstance(frame, frames.IceCandidate)
    assert frame.candidate == read
    assert json.loads(frames.encode(frames.relayed(frame, 7)))["candidate"] == read


def test_a_client_never_has_to_ask_whether_a_list_is_there() -> None:
    welcome = frames.Welcome(session_id="s", user_id=7, username="ada", heartbeat_s=20)
    assert json.loads(frames.encode(welcome)) == {
        "type": "welcome",
        "session_id": "s",
        "user_id": 7,
        "username": "ada",
        "heartbeat_s": 20,
        "ice_servers": [],
        "features": [],
    }
    assert json.loads(frames.encode(frames.Joined(room_id="room_1", participants=())))["participants"] == []


def test_an_answer_echoes_the_id_and_has_none_when_there_was_none() -> None:
    assert json.loads(frames.encode(frames.Pong(id="r1", seq=3))) == {"type": "pong", "id": "r1", "seq": 3}
    assert frames.encode(frames.Pong()) == b'{"type":"pong"}'


@pytest.mark.parametrize(("length", "good"), [(0, True), (64, True), (65, False), (100_000, False)])
def test_an_id_has_at_most_64_characters(length: int, good: bool) -> None:
    text = json.dumps({"type": "ping", "id": "é" * length})
    if good:
        assert frames.decode(text) == frames.Ping(id="é" * length)
    else:
        with pytest.raises(MalformedFrame, match=r"\$\.id"):
            frames.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        '"join"',
        "{}",
        '{"type": null}',
        '{"type": "welcome"}',
        '{"type": "JOIN", "room_id": "r"}',
        '{"type": "join"}',
        '{"type": "join", "room_id": 3}',
        '{"type": "join", "room_id": "r", "user_id": "7"}',
        '{"type": "join", "room_id": "r", "user_id": 7.5}',
        '{"type": "offer", "room_id": "r", "to_user_id": 9}',
        '{"type": "ice_candidate", "room_id": "r", "to_user_id": 9}',
        '{"type": "ice_candidate", "room_id": "r", "to_user_id": 9, "candidate": [1]}',
        '{"type": "ping"} {"type": "ping"}',
        '{"type": "ping", "id": NaN}',
        '{"type": "ping", "id": "\\ud800"}',
        '{"type": "ping", "id": "\ud800"}',
        b'{"type": "ping", "id": "\xff"}',
        b"\xff\xfe",
        '{"type": "ice_candidate", "room_id": "r", "to_user_id": 9, "candidate": '
        + '{"a":' * 50_000
        + "1"
        + "}" * 50_001,
        "[" * 100_000,
    ],
)
def test_what_is_no_frame_is_malformed(text: str | bytes) -> None:
    for decode in (frames.decode, frames.decode_server):
        with pytest.raises(MalformedFrame, match="malformed frame"):
            decode(text)


@given(
    st.text(max_size=60) | st.binary(max_size=60),
    st.sampled_from(sorted(CONTRACT)),
    st.integers(0, 90),
    st.binary(max_size=2),
)
def test_nothing_brings_the_codec_down(noise: str | bytes, kind: str, at: int, byte: bytes) -> None:
    whole = json.dumps(sent(kind)).encode()
    for data in (noise, whole[:at] + byte + whole[at + 1 :]):
        for decode in (frames.decode, frames.decode_server):
            try:
                decode(data)
            except MalformedFrame:
                continue


def test_a_token_is_in_no_repr() -> None:
    frame = frames.decode('{"type": "auth", "token": "s3cret"}')
    assert isinstance(frame, frames.Auth)
    assert (frame.token, "s3cret" in repr(frame), "s3cret" in repr([frame])) == ("s3cret", False, False)
    with pytest.raises(MalformedFrame) as error:
        frames.decode('{"type": "auth", "token": {"s3cret": 1}}')
    assert "s3cret" not in error.value.detail


def test_close_codes_of_our_own_are_in_the_private_range() -> None:
    codes = [frames.MEETING_ENDED_CLOSE, frames.SLOW_CLIENT_CLOSE, frames.REPLACED_CLOSE]
    assert len(set(codes)) == len(codes)
    assert all(4000 <= code <= 4999 for code in codes)


def test_the_subprotocol_is_a_token_of_http() -> None:
    """RFC 6455, 11.3.4: no separators, so that both fit into the header."""
    for name in (frames.SUBPROTOCOL, frames.TOKEN_SUBPROTOCOL_PREFIX + "aA0-_.x"):
        assert all(letter.isalnum() or letter in "!#$%&'*+-.^_`|~" for letter in name)


def test_a_large_frame_is_read_whole() -> None:
    sdp = "a=candidate:1\r\n" * 20_000
    frame = frames.decode(msgspec.json.encode(sent("offer", sdp=sdp)))
    assert isinstance(frame, frames.Offer)
    assert frame.sdp == sdp
