"""What a declared setting says about itself, in words: for the lines about bad values and for the documented table."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic.fields import FieldInfo


def is_secret(field: FieldInfo) -> bool:
    """Whether the value may never be shown."""
    return SecretStr in (field.annotation, *typing.get_args(field.annotation))


def is_list(field: FieldInfo) -> bool:
    """Whether the setting holds several values."""
    return typing.get_origin(field.annotation) is tuple


def allowed(field: FieldInfo) -> str:
    """What the setting takes: what its declaration says, else what follows from its type and its limits."""
    stated = _told(field, "allowed")
    if stated is not None:
        return stated
    kind = field.annotation
    low, above, high = (_limit(field, name) for name in ("ge", "gt", "le"))
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(kind))
    if kind is int:
        return f"a whole number from {low} to {high}"
    if kind is float:
        return f"a number above {above}, at most {high}"
    if is_list(field):
        return "values between commas, or a JSON list"
    return "a path" if kind is Path else "text"


def default(field: FieldInfo) -> str:
    """The default: what the declaration says of one that depends on the machine, else the value itself."""
    stated = _told(field, "default")
    if stated is not None:
        return stated
    if field.default is None:
        return "not set"
    if field.default == ():
        return "none"
    return f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"


def _told(field: FieldInfo, about: str) -> str | None:
    """What the declaration adds in its own words, under `json_schema_extra`."""
    extra = field.json_schema_extra
    return str(extra[about]) if isinstance(extra, dict) and about in extra else None


def _limit(field: FieldInfo, name: str) -> object:
    return next((getattr(limit, name) for limit in field.metadata if hasattr(limit, name)), None)
