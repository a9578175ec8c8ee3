"""The wire between an inference shard (ROUTER) and its workers (DEALER): bytes in, messages out, no socket here.

A message is a list of frames. Frame 0 is one version byte and the msgpack of one of the structs below; the frames after
it are payload (audio, pictures), carried as they are; answers have none. The identity that a ROUTER puts in front is
no part of it. A request's deadline crosses as the milliseconds that remain, so the two clocks need not agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from protocols.ai_results import SpeechResult
from protocols.errors import Code, InvalidArgument

VERSION: Final = 1
MAX_FRAMES: Final = 64
MAX_HEADER_BYTES: Final = 4 * 1024 * 1024

Payload = bytes | bytearray | memoryview


class MalformedFrames(InvalidArgument):
    """The frames are not a message of this wire; `detail` says at which point they stop being one."""


class AudioParams(msgspec.Struct, frozen=True, tag="audio"):
    """How the sender describes an audio payload. `sample_rate` and `channels` count for raw PCM only."""

    format: str = "pcm"
    sample_rate: int = 16_000
    channels: int = 1
    language: str = ""


class NoParams(msgspec.Struct, frozen=True, tag="none"):
    """A task that needs nothing but its payload."""


Params = AudioParams | NoParams


class Blob(msgspec.Struct, frozen=True, tag="blob"):
    """An answer that is bytes and nothing more."""

    data: bytes


ResultValue = SpeechResult | Blob


class Request(msgspec.Struct, frozen=True, tag="request"):
    """Run one item. `id` is the shard's own; `remaining_ms` is what is left of the deadline as the message leaves.

    `model` may be empty: the worker then takes its default for the task.
    """

    id: int
    task: str
    model: str
    remaining_ms: float
    params: Params = NoParams()


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Nobody waits for this request any more. The worker still answers it, with CANCELLED if it had not begun."""

    id: int


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Finish the item in hand and leave; what had not begun stays unanswered and is the shard's to place again."""


class ModelState(msgspec.Struct, frozen=True):
    """One model as a worker found it at start: loaded, or `error` says why not and what to do."""

    name: str
    version: str = ""
    load_ms: float = 0.0
    error: str = ""


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker's first message: what it can do. No request is sent to a worker before it. It comes again where that
    has changed: a model that was missing is there now.
    """

    pid: int
    load_ms: float
    tasks: tuple[str, ...]
    models: tuple[ModelState, ...] = ()


class NotReady(msgspec.Struct, frozen=True, tag="not_ready"):
    """The worker cannot serve at all and is about to leave; `detail` is the reason for the operator."""

    detail: str


class Result(msgspec.Struct, frozen=True, tag="result"):
    """The answer to one request. `queue_ms` is the wait inside the worker, `compute_ms` the work itself."""

    id: int
    value: ResultValue
    queue_ms: float
    compute_ms: float


class Failure(msgspec.Struct, frozen=True, tag="failure"):
    """Why one request has no result, in terms of the common error codes."""

    id: int
    code: Code
    detail: str


ToWorker = Request | Cancel | Stop
FromWorker = Ready | NotReady | Result | Failure

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(ToWorker)
_from_worker = msgspec.msgpack.Decoder(FromWorker)
_version = bytes([VERSION])


def encode(message: ToWorker | FromWorker, payload: Sequence[Payload] = ()) -> list[Payload]:
    """The frames of one message. The payload frames are passed through, not copied."""
    return [_version + _encoder.encode(message), *payload]


def decode_to_worker(frames: Sequence[Payload]) -> tuple[ToWorker, Sequence[Payload]]:
    """What a worker received: (message, payload frames). Raises MalformedFrames."""
    header = _header(frames)
    try:
        return _to_worker.decode(header), frames[1:]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedFrames(f"the header is no message to a worker: {error}") from None


def decode_from_worker(frames: Sequence[Payload]) -> FromWorker:
    """What a shard received. Raises MalformedFrames."""
    header = _header(frames)
    if len(frames) > 1:
        raise MalformedFrames(f"a message from a worker has one frame, this one has {len(frames)}")
    try:
        message: FromWorker = _from_worker.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedFrames(f"the header is no message from a worker: {error}") from None
    return message


def _header(frames: Sequence[Payload]) -> memoryview:
    if not frames:
        raise MalformedFrames("a message has at least one frame, this one has none")
    if len(frames) > MAX_FRAMES:
        raise MalformedFrames(f"a message has at most {MAX_FRAMES} frames, this one has {len(frames)}")
    header = memoryview(frames[0])
    if len(header) < 2:
        raise MalformedFrames("the header frame is empty")
    if len(header) > MAX_HEADER_BYTES:
        raise MalformedFrames(f"the header frame has {len(header)} bytes, the limit is {MAX_HEADER_BYTES}")
    if header[0] != VERSION:
        raise MalformedFrames(f"the message is of wire version {header[0]}, this side speaks {VERSION}")
    return header[1:]
