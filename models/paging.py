"""Keyset pages: a cursor holds the key of the last thing seen, so that a page stays right while rows come and go."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import msgspec

from protocols.errors import FieldFault, InvalidArgument

T = TypeVar("T")

Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""An integer of a cursor's key: a client may send any text as a cursor, and a database takes 64 bits."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of many things in their order. `next_cursor` gets the page after this one, and is empty on the last."""

    items: tuple[T, ...]
    next_cursor: str = ""


def encode_cursor(key: tuple[int | str, ...]) -> str:
    """The cursor of a key: opaque, and safe in a URL."""
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(key)).decode().rstrip("=")


def decode_cursor(cursor: str, first: T, shape: type[T]) -> T:
    """The key that a cursor holds, or `first` for the empty cursor. Raises InvalidArgument for one never given out."""
    if not cursor:
        return first
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(packed, type=shape)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        fault = FieldFault("cursor", "must be the next_cursor of an earlier page")
        raise InvalidArgument("cursor: not one that was given out", faults=(fault,)) from error
