"""The wire between nodes: frames, and the parcels that carry them in order. Sans-IO.

A parcel is MessagePack of `[version, sender, receiver, sequence, view, now_s, frames]`. Each frame is an array that
begins with its kind. Sequences count from 1 for each pair of sender and receiver, so that a parcel that came twice, or
late, is seen. Times are seconds on the sender's own clock: only their differences mean anything to a receiver.

An address is `kind/id` (an entity, wherever it lives) or `name:epoch/path` (that very actor, on that run of a node).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec
from msgspec import Raw, Struct

from protocols.errors import InvalidArgument

VERSION: Final = 1


class MalformedParcel(InvalidArgument):
    """The bytes are no parcel of a version that is spoken here."""


class Want(IntEnum):
    """What the sender of an `Ask` waits for."""

    ANSWER = 0
    ROOM = 1
    """That the message is in the mailbox (`wait_tell`)."""

    STOPPED = 2
    """That the actor has stopped (`wait_stopped`)."""


class Tell(Struct, array_like=True, frozen=True, tag=1, gc=False):
    """A message to an actor. `hops` counts the nodes that passed it on."""

    target: str
    message: Raw
    hops: int = 0


class Ask(Struct, array_like=True, frozen=True, tag=2, gc=False):
    """A message whose answer is awaited by node `origin` (empty: the parcel's sender), there known as `id`.

    `due_s` is the deadline on the clock of the parcel's sender, to be read against the parcel's `now_s`.
    """

    target: str
    id: int
    due_s: float
    message: Raw
    want: Want = Want.ANSWER
    origin: str = ""
    hops: int = 0


class Answer(Struct, array_like=True, frozen=True, tag=3, gc=False):
    """The value that answers an `Ask`."""

    id: int
    value: Raw


class Failure(Struct, array_like=True, frozen=True, tag=4):
    """The error that answers an `Ask`. `kind` names an error of the engine itself, `faults` are (field, detail)."""

    id: int
    code: str
    detail: str
    retry_after_s: float | None = None
    kind: str = ""
    faults: tuple[tuple[str, str], ...] = ()


class Cancel(Struct, array_like=True, frozen=True, tag=5, gc=False):
    """Nobody waits any more for the answer of `id`. It goes the way of its `Ask`."""

    target: str
    id: int
    origin: str = ""
    hops: int = 0


class Watch(Struct, array_like=True, frozen=True, tag=6, gc=False):
    """Tell node `origin` when this actor has stopped."""

    target: str
    id: int
    origin: str = ""
    hops: int = 0


class Watching(Struct, array_like=True, frozen=True, tag=7, gc=False):
    """The watch `id` is kept by the node that sends this."""

    id: int


class Unwatch(Struct, array_like=True, frozen=True, tag=8, gc=False):
    """The watch `id` of the parcel's sender is taken back."""

    id: int


class Gone(Struct, array_like=True, frozen=True, tag=9, gc=False):
    """What the watch `id` was on has stopped."""

    id: int


class Stop(Struct, array_like=True, frozen=True, tag=10, gc=False):
    """Stop this actor."""

    target: str
    hops: int = 0


class Flush(Struct, array_like=True, frozen=True, tag=11, gc=False):
    """Goes the way of an entity's messages, behind them; where they end, `Flushed` is said to `origin`."""

    target: str
    id: int
    origin: str = ""
    hops: int = 0


class Flushed(Struct, array_like=True, frozen=True, tag=12, gc=False):
    """All that was sent before the flush `id` is with the node that says this."""

    id: int


class Yield(Struct, array_like=True, frozen=True, tag=13, gc=False):
    """The sender is to carry this entity, and waits for the receiver to let go of it."""

    entity: str


class Released(Struct, array_like=True, frozen=True, tag=14, gc=False):
    """The sender does not hold this entity any more."""

    entity: str


Frame = (
    Tell
    | Ask
    | Answer
    | Failure
    | Cancel
    | Watch
    | Watching
    | Unwatch
    | Gone
    | Stop
    | Flush
    | Flushed
    | Yield
    | Released
)

Placed = Tell | Ask | Cancel | Watch | Stop | Flush
"""The frames that go to an address, and are passed on when the entity there lives elsewhere."""


class Parcel(Struct, array_like=True, frozen=True):
    """Frames of one run of a node for one of another. `view`: the version of the membership that the sender knows."""

    version: int
    sender: str
    receiver: str
    sequence: int
    view: int
    now_s: float
    frames: list[Frame]


class _Opened(Struct, array_like=True, frozen=True):
    version: int
    sender: str
    receiver: str
    sequence: int
    view: int
    now_s: float
    frames: list[Raw]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Parcel).decode
_open: Final = msgspec.msgpack.Decoder(_Opened).decode
_frame: Final[msgspec.msgpack.Decoder[Frame]] = msgspec.msgpack.Decoder(Frame)


def pack(sender: str, receiver: str, sequence: int, view: int, now_s: float, frames: list[Frame]) -> bytes:
    """The bytes of a parcel."""
    return _encode(Parcel(VERSION, sender, receiver, sequence, view, now_s, frames))


def unpack(data: bytes) -> Parcel:
    """The parcel in these bytes. A frame of a kind that is not known here is left out: its sender is newer.

    Raises MalformedParcel.
    """
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return _unpack_what_is_known(data)


def _unpack_what_is_known(data: bytes) -> Parcel:
    try:
        opened = _open(data)
    except msgspec.DecodeError as error:
        raise MalformedParcel(f"not a parcel: {error}") from error
    frames: list[Frame] = []
    for raw in opened.frames:
        try:
            frames.append(_frame.decode(raw))
        except msgspec.ValidationError:
            continue
    return Parcel(opened.version, opened.sender, opened.receiver, opened.sequence, opened.view, opened.now_s, frames)
