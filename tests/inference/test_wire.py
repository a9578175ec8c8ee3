"""The wire between a shard and its workers: what is encoded comes back, and nothing else is taken for a message."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.ai_results import SpeechResult, SpeechSegment
from protocols.errors import Code
from protocols.inference import (
    MAX_FRAMES,
    VERSION,
    AudioParams,
    Blob,
    Cancel,
    Failure,
    FromWorker,
    MalformedFrames,
    ModelState,
    NotReady,
    Ready,
    Request,
    Result,
    Stop,
    ToWorker,
    decode_from_worker,
    decode_to_worker,
    encode,
)

SPEECH = SpeechResult("hello", 0.9, "en", False, 900, (SpeechSegment(10, 800, "hello", 0.9),), "m", "1", ("cut",))


@pytest.mark.parametrize(
    "message",
    [
        Request(7, "speech_recognition", "moonshine-tiny-en", 1500.5, AudioParams("wav", 48_000, 2, "en")),
        Request(2**60, "echo", "", 0.0),
        Cancel(7),
        Stop(),
    ],
)
def test_what_is_sent_to_a_worker_arrives(message: ToWorker) -> None:
    payload = [b"", b"\x00\xff" * 1000]
    decoded, frames = decode_to_worker(encode(message, payload))
    assert decoded == message
    assert list(frames) == payload


@pytest.mark.parametrize(
    "message",
    [
        Ready(12, 340.5, ("speech_recognition",), (ModelState("a", "1", 12.5), ModelState("b", error="missing"))),
        NotReady("no onnxruntime"),
        Result(7, SPEECH, 1.5, 200.25),
        Result(8, Blob(b"\x00\x01"), 0.0, 0.0),
        Failure(9, Code.INVALID_ARGUMENT, "no audio"),
    ],
)
def test_what_a_worker_sends_arrives(message: FromWorker) -> None:
    assert decode_from_worker(encode(message)) == message


def test_payload_frames_are_passed_through_and_not_copied() -> None:
    payload = memoryview(b"x" * 100)
    assert encode(Stop(), [payload])[1] is payload


def test_another_version_is_named() -> None:
    (header,) = encode(Stop())
    with pytest.raises(MalformedFrames, match=f"wire version {VERSION + 1}, this side speaks {VERSION}"):
        decode_to_worker([bytes([VERSION + 1]) + bytes(header)[1:]])


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        ([], "at least one frame"),
        ([b""], "empty"),
        ([bytes([VERSION])], "empty"),
        ([b"x"] * (MAX_FRAMES + 1), "at most"),
        ([bytes([VERSION]) + b"\xc1"], "no message to a worker"),
        ([bytes([VERSION]) + msgspec.msgpack.encode({"type": "stop"}) + b"more"], "no message to a worker"),
        ([bytes([VERSION]) + msgspec.msgpack.encode({"type": "request", "id": "seven"})], "no message to a worker"),
        (encode(Failure(1, Code.INTERNAL, "x")), "no message to a worker"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(frames: list[bytes], why: str) -> None:
    with pytest.raises(MalformedFrames, match=why):
        decode_to_worker(frames)


def test_an_answer_has_one_frame() -> None:
    with pytest.raises(MalformedFrames, match="one frame"):
        decode_from_worker(encode(Failure(1, Code.INTERNAL, "x"), [b"more"]))


@given(st.lists(st.binary(max_size=200), max_size=6), st.booleans())
def test_any_bytes_are_a_message_or_malformed(frames: list[bytes], versioned: bool) -> None:
    if frames and versioned:
        frames[0] = bytes([VERSION]) + frames[0]
    for decode in (decode_to_worker, decode_from_worker):
        with contextlib.suppress(MalformedFrames):
            decode(frames)


@given(st.data())
def test_a_damaged_message_is_a_message_or_malformed(data: st.DataObject) -> None:
    header = bytearray(encode(Request(7, "speech_recognition", "m", 1000.0, AudioParams()))[0])
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedFrames):
        decode_to_worker([bytes(header)])
