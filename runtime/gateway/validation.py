"""From raw JSON or a query to a typed schema, or to a list of every field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar, get_args

import msgspec

from protocols.errors import FieldFault, InvalidArgument
from protocols.http import Sent
from runtime.gateway.failures import BadRequest

S = TypeVar("S", bound=Sent)

_AT: Final = " - at `$"
"""What msgspec puts between a message and the place it speaks of."""


def from_json(raw: bytes | bytearray, schema: type[S]) -> S:
    """The value of a JSON body. Raises BadRequest for what is no JSON, InvalidArgument naming every wrong field."""
    try:
        return msgspec.json.decode(raw, type=schema)
    except msgspec.ValidationError:
        faults = _faults_of_json(raw, schema)
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not valid JSON: {error}") from None
    raise InvalidArgument("the body does not fit: see `errors`", faults=faults)


def from_query(query: Mapping[str, str], schema: type[S]) -> S:
    """The schema's value of a query. Raises InvalidArgument naming every wrong parameter."""
    values = dict(query)
    try:
        return msgspec.convert(values, type=schema, strict=False)
    except msgspec.ValidationError:
        faults = _faults(values, schema, "", strict=False)
    raise InvalidArgument("the query does not fit: see `errors`", faults=faults)


def _faults_of_json(raw: bytes | bytearray, schema: type[Sent]) -> list[FieldFault]:
    try:
        return _faults(msgspec.json.decode(raw), schema, "", strict=True)
    except (msgspec.DecodeError, RecursionError) as error:
        # A number that no float holds, or depth in a field that the schema skips.
        return [FieldFault("", f"not valid JSON: {error}")]


def _faults(value: object, schema: type[msgspec.Struct], path: str, *, strict: bool) -> list[FieldFault]:
    """msgspec stops at the first fault; a person who fills in a form wants them all."""
    if not isinstance(value, dict):
        return [FieldFault(path, "expected an object")]
    faults: list[FieldFault] = []
    for field in msgspec.structs.fields(schema):
        name, place = field.encode_name, f"{path}.{field.encode_name}" if path else field.encode_name
        if name not in value:
            if field.required:
                faults.append(FieldFault(place, "is required"))
            continue
        try:
            msgspec.convert(value[name], type=field.type, strict=strict)
        except msgspec.ValidationError as error:
            inner = _struct_in(field.type)
            deeper = _faults(value[name], inner, place, strict=strict) if inner else []
            faults.extend(deeper or [_fault(error, place)])
    return faults


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    candidates = [kind, *get_args(kind)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, msgspec.Struct)), None)


def _fault(error: msgspec.ValidationError, place: str) -> FieldFault:
    text, _, inside = str(error).partition(_AT)
    return FieldFault(place + inside.removesuffix("`"), text[:1].lower() + text[1:].replace("`", ""))
