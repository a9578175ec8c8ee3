"""Moments as databases keep them: whole microseconds since 1970 in UTC.

An integer is exact (a `datetime` has microseconds too, MongoDB's date only milliseconds), sorts and pages as a number
in every database, and has no zone or text form that two databases could read differently.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, overload

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@overload
def to_us(moment: datetime) -> int: ...
@overload
def to_us(moment: None) -> None: ...
def to_us(moment: datetime | None) -> int | None:
    """Microseconds since 1970 of an aware moment; None stays None."""
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


@overload
def from_us(stored: int) -> datetime: ...
@overload
def from_us(stored: None) -> None: ...
def from_us(stored: int | None) -> datetime | None:
    """The UTC moment of a number of microseconds since 1970; None stays None."""
    return None if stored is None else _EPOCH + stored * _MICROSECOND
