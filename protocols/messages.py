"""Actor messages: frozen, slotted dataclasses, known to every node by a name and a version, with a codec to bytes.

A frame is MessagePack of `[name, version, fields]`, the fields as a map, so that a field added with a default is read
by old and new nodes alike. A change that a default cannot express takes a new version and an `upgrade` from the one
before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, dataclass_transform

import msgspec

from protocols.errors import InvalidArgument

T = TypeVar("T")
Fields = dict[str, Any]
Upgrade = Callable[[Fields], Fields]


class UnknownMessage(InvalidArgument):
    """A frame names a message, or a version of one, that this node does not know."""


class MalformedMessage(InvalidArgument):
    """A frame is no frame, or its fields do not fit the message's types."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What is known of one message: its current class and version, and the way up from each older version."""

    name: str
    version: int
    type: type
    decoder: msgspec.msgpack.Decoder[Any]
    upgrades: Mapping[int, Upgrade]


_by_name: Final[dict[str, Registration]] = {}
_by_type: Final[dict[type, Registration]] = {}
_encode: Final = msgspec.msgpack.Encoder().encode
_split: Final = msgspec.msgpack.Decoder(tuple[str, int, msgspec.Raw]).decode
_as_fields: Final = msgspec.msgpack.Decoder(Fields).decode
_NOT_READABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
"""What a decoder raises at its input; RecursionError for values nested a thousand deep."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def message(
    name: str, version: int = 1, *, upgrades: Mapping[int, Upgrade] | None = None
) -> Callable[[type[T]], type[T]]:
    """Make a class a message: a frozen, slotted dataclass, registered as `name` in `version`.

    `upgrades[v]` turns the fields of version v into those of v + 1. Raises ValueError for a name that is taken, for a
    version with no unbroken way up from 1, or for an upgrade that leads past it.
    """
    steps = dict(upgrades or {})

    def register(cls: type[T]) -> type[T]:
        if version < 1 or any(not 1 <= step < version for step in steps):
            raise ValueError(f"message {name!r}: versions count from 1, and no upgrade starts at {version} or later")
        if missing := [v for v in range(1, version) if v not in steps]:
            raise ValueError(f"message {name!r} version {version} has no upgrade from version {missing[0]}")
        if (taken := _by_name.get(name)) is not None:
            raise ValueError(f"message name {name!r} belongs to {taken.type.__qualname__} already")
        made = dataclass(frozen=True, slots=True)(cls)
        entry = Registration(name, version, made, msgspec.msgpack.Decoder(made), steps)
        _by_name[name] = _by_type[made] = entry
        return made

    return register


def registration(kind: type) -> Registration:
    """The registry's entry of a message class. Raises TypeError for a class that is no registered message."""
    try:
        return _by_type[kind]
    except KeyError:
        raise TypeError(f"{kind.__qualname__} is no message: register it with @message(name, version)") from None


def registered() -> Mapping[str, Registration]:
    """Every message that this process knows, by name."""
    return dict(_by_name)


def encode(value: object) -> bytes:
    """The frame of one message."""
    entry = registration(type(value))
    return _encode((entry.name, entry.version, value))


def _own_decoder(entry: Registration) -> Callable[[Any], Any]:
    return entry.decoder.decode


def decode(
    frame: bytes | memoryview | msgspec.Raw, decoder_of: Callable[[Registration], Callable[[Any], Any]] = _own_decoder
) -> Any:
    """The message of one frame. Raises UnknownMessage or MalformedMessage, saying which and why.

    `decoder_of` gives the decoder of a message's fields, for messages with fields that only their reader can make.
    """
    try:
        name, version, fields = _split(frame)
    except _NOT_READABLE as error:
        raise MalformedMessage(f"not a message frame: {error}") from error
    entry = _by_name.get(name)
    if entry is None:
        raise UnknownMessage(f"no message is called {name!r} on this node")
    if not 1 <= version <= entry.version:
        raise UnknownMessage(f"message {name!r} is known up to version {entry.version}, not {version}")
    try:
        return decoder_of(entry)(fields if version == entry.version else _upgraded(entry, version, fields))
    except _NOT_READABLE as error:
        raise MalformedMessage(f"message {name!r}: {error}") from error


def _upgraded(entry: Registration, version: int, raw: msgspec.Raw) -> bytes:
    fields = _as_fields(raw)
    for step in range(version, entry.version):
        try:
            fields = entry.upgrades[step](fields)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # An upgrade reads fields that nothing has checked yet.
            raise MalformedMessage(f"message {entry.name!r}: not the fields of version {step}: {error!r}") from error
    return _encode(fields)
