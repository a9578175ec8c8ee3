"""Frames, parcels and the codec: what a node says is what another hears, and nonsense ends nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from protocols import cluster, messages
from protocols.cluster import Answer, Ask, Failure, MalformedParcel, Tell, Want, pack, unpack
from protocols.errors import Code, FieldFault, NotFound, ParleyError
from protocols.messages import MalformedMessage, UnknownMessage, message
from runtime.cluster import ClusterSettings, NodeAway, NotSendable
from runtime.cluster.codec import Codec
from runtime.cluster.errors import from_failure, to_failure
from runtime.cluster.outbox import Outbox
from runtime.engine import LoopClock, MailboxFull, Ref
from tests.runtime.cluster.nodes import Add, until


@message("test.wire_pair", version=2, upgrades={1: lambda fields: {"left": fields["only"], "right": 0}})
class Pair:
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class Stranger:
    """No registered message."""


def codec() -> Codec:
    def no_ref(_: object) -> Ref:
        raise NotFound("no refs here")

    return Codec(lambda ref: ref.path, no_ref)


def test_a_parcel_is_what_it_was() -> None:
    frames: list[cluster.Frame] = [
        Tell("room/1", Raw(b"\x01")),
        Ask("room/1", 7, 12.5, Raw(b"\x02"), Want.ROOM, "a:1", 3),
        Failure(7, "NOT_FOUND", "gone", 1.5, "NoSuchActor", (("field", "detail"),)),
    ]
    parcel = unpack(pack("a:1", "b:2", 9, 4, 10.0, frames))
    assert (parcel.sender, parcel.receiver, parcel.sequence, parcel.view, parcel.now_s) == ("a:1", "b:2", 9, 4, 10.0)
    assert [type(frame) for frame in parcel.frames] == [Tell, Ask, Failure]
    assert parcel.frames[1].origin == "a:1"  # type: ignore[union-attr]
    assert parcel.frames[2] == frames[2]


def test_a_frame_of_a_newer_node_is_left_out() -> None:
    raw = msgspec.msgpack.encode([1, "a:1", "b:2", 1, 0, 0.0, [[99, "what"], [13, "room/1"]]])
    assert unpack(raw).frames == [cluster.Yield("room/1")]


@given(st.binary(max_size=64))
def test_what_is_no_parcel_is_refused(data: bytes) -> None:
    try:
        unpack(data)
    except MalformedParcel as error:
        assert error.code is Code.INVALID_ARGUMENT


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.binary(), st.tuples))
def test_plain_answers_travel(value: object) -> None:
    assert codec().read_answer(codec().answer(value)) == value


def test_messages_travel_and_older_ones_are_upgraded() -> None:
    assert codec().read_message(codec().message(Pair(1, 2))) == Pair(1, 2)
    assert codec().read_answer(codec().answer([Add(3), "x"])) == (Add(3), "x")
    assert codec().message(Add(3)) == Raw(messages.encode(Add(3)))
    older = Raw(msgspec.msgpack.encode(["test.wire_pair", 1, {"only": 5}]))
    assert codec().read_message(older) == Pair(5, 0)
    with pytest.raises(UnknownMessage):
        codec().read_message(Raw(msgspec.msgpack.encode(["test.wire_pair", 3, {}])))
    with pytest.raises(UnknownMessage):
        codec().read_message(Raw(msgspec.msgpack.encode(["test.nobody_knows", 1, {}])))
    for broken in (b"\xc1", b"\x00", msgspec.msgpack.encode(["test.wire_pair", 2, {"left": "x"}])):
        with pytest.raises(MalformedMessage):
            codec().read_message(Raw(broken))


@pytest.mark.parametrize("value", [Stranger(), object(), 2**70, {"a": 1}])
def test_what_cannot_travel_is_refused_where_it_is(value: object) -> None:
    with pytest.raises(NotSendable):
        codec().answer(value)


def test_errors_travel() -> None:
    error = NotFound("no room", retry_after_s=3.0, faults=[FieldFault("room_id", "is unknown")])
    back = from_failure(to_failure(1, error))
    assert (type(back), back.detail, back.retry_after_s, back.faults) == (NotFound, "no room", 3.0, error.faults)
    assert type(from_failure(to_failure(1, MailboxFull("full")))) is MailboxFull
    assert type(from_failure(to_failure(1, NodeAway("gone")))) is NodeAway
    hidden = from_failure(to_failure(1, RuntimeError("a secret")))
    assert hidden.code is Code.INTERNAL
    assert "secret" not in hidden.detail
    assert isinstance(from_failure(Failure(1, "A_CODE_OF_LATER", "?")), ParleyError)


class Nowhere:
    """A transport whose receivers have no room."""

    def __init__(self) -> None:
        self.parcels: list[bytes] = []
        self.room = False

    async def open(self, node: str) -> None: ...

    async def send(self, parcels: list[tuple[str, bytes]]) -> list[bool]:
        self.parcels += [parcel for _, parcel in parcels]
        return [self.room] * len(parcels)

    async def receive(self) -> list[bytes]:
        return []

    async def close(self) -> None: ...


async def test_the_outbox_is_bounded_and_keeps_order_and_number_over_retries() -> None:
    transport = Nowhere()
    settings = ClusterSettings(outbox_frames=10, parcel_frames=4, retry_min_s=0.001)
    clock = LoopClock(asyncio.get_running_loop())
    outbox = Outbox(transport, clock, Random(1), settings, lambda: ("a:1", 0))  # type: ignore[arg-type]
    assert [outbox.put("b:1", Tell(f"c/{number}", Raw(b"\xc0"))) for number in range(12)] == [True] * 10 + [False] * 2
    task = asyncio.create_task(outbox.run())
    await until(lambda: len(transport.parcels) >= 5)
    assert {unpack(parcel).sequence for parcel in transport.parcels} == {1}
    transport.room = True
    await until(lambda: not outbox.waiting)
    task.cancel()
    await asyncio.wait({task})
    arrived = {unpack(parcel).sequence: unpack(parcel).frames for parcel in transport.parcels}
    assert [frame.target for frames in arrived.values() for frame in frames] == [f"c/{n}" for n in range(10)]  # type: ignore[union-attr]
    assert outbox.put("b:1", Answer(1, Raw(b"\xc0")))


def test_times_that_would_let_two_nodes_act_are_refused() -> None:
    with pytest.raises(ValueError, match="margin_s"):
        ClusterSettings(beat_s=2.0, ttl_s=3.0, margin_s=1.5)
    with pytest.raises(ValueError, match="margin_s"):
        ClusterSettings(margin_s=0.0)
