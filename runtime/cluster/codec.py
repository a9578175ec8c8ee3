"""Messages and answers as bytes. Refs in them travel as addresses and are refs again on the other side.

A message travels as `protocols.messages` lays down. An answer is `[0, plain value]`, `[1, message]`, `[2, [answers]]`
for a tuple or list, or `[3, address]` for a ref.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw

from protocols import messages
from protocols.errors import ParleyError
from protocols.messages import MalformedMessage
from runtime.cluster.errors import NotSendable
from runtime.engine import Ref

PLAIN, MESSAGE, SEVERAL, REF = range(4)
_SCALARS: Final = (type(None), bool, int, float, str, bytes)
_NOT_READABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_answer: Final = msgspec.msgpack.Decoder(tuple[int, Raw]).decode
_parts: Final = msgspec.msgpack.Decoder(list[Raw]).decode
_plain: Final = msgspec.msgpack.Decoder().decode
_text: Final = msgspec.msgpack.Decoder(str).decode


class Codec:
    """`address_of` gives the address of a ref, `ref_at` the ref of an address."""

    def __init__(self, address_of: Callable[[Ref], str], ref_at: Callable[[str], Ref]) -> None:
        self._address_of = address_of
        self._ref_at = ref_at
        self._encode = msgspec.msgpack.Encoder(enc_hook=self._to_wire).encode
        self._decoders: dict[type, Callable[[Any], Any]] = {}
        self._names: dict[type, tuple[str, int]] = {}

    def message(self, message: object) -> Raw:
        """The bytes of a message. Raises NotSendable, saying why."""
        kind = type(message)
        named = self._names.get(kind)
        if named is None:
            try:
                entry = messages.registration(kind)
            except TypeError as error:
                raise NotSendable(str(error)) from None
            named = self._names[kind] = (entry.name, entry.version)
        return Raw(self._encoded((*named, message), kind))

    def read_message(self, raw: Raw) -> Any:
        """The message in these bytes. Raises UnknownMessage or MalformedMessage."""
        return messages.decode(raw, self._decoder_of)

    def answer(self, value: object) -> Raw:
        """The bytes of an answer. Raises NotSendable."""
        return Raw(self._encoded(self._as_answer(value), type(value)))

    def read_answer(self, raw: Raw) -> Any:
        """The answer in these bytes. Raises a ParleyError for what is none."""
        try:
            kind, value = _answer(raw)
            if kind == PLAIN:
                return _plain(value)
            if kind == SEVERAL:
                return tuple(self.read_answer(part) for part in _parts(value))
            if kind == REF:
                return self._ref_at(_text(value))
        except _NOT_READABLE as error:
            raise MalformedMessage(f"not an answer: {error}") from error
        return self.read_message(value)

    def _as_answer(self, value: object) -> tuple[int, object]:
        kind = type(value)
        if kind in _SCALARS:
            return PLAIN, value
        if kind is tuple or kind is list:
            return SEVERAL, [self._as_answer(part) for part in value]  # type: ignore[attr-defined]
        if isinstance(value, Ref):
            return REF, self._address_of(value)
        return MESSAGE, self.message(value)

    def _encoded(self, value: object, kind: type) -> bytes:
        try:
            return self._encode(value)
        except ParleyError:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise NotSendable(f"{kind.__qualname__} holds what cannot leave its node: {error}") from error

    def _decoder_of(self, entry: messages.Registration) -> Callable[[Any], Any]:
        decode = self._decoders.get(entry.type)
        if decode is None:
            made: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(entry.type, dec_hook=self._from_wire)
            decode = self._decoders[entry.type] = made.decode
        return decode

    def _to_wire(self, value: object) -> str:
        if isinstance(value, Ref):
            return self._address_of(value)
        raise TypeError(f"a {type(value).__qualname__} does not travel")

    def _from_wire(self, kind: type, value: object) -> Ref:
        if isinstance(kind, type) and issubclass(kind, Ref) and isinstance(value, str):
            return self._ref_at(value)
        raise ValueError(f"{kind} is not read from a wire")
