"""The bounds of the domain, all in one place, and the check that names every field which is out of them.

A bound may be loosened freely. To tighten one, a migration must first bring the rows that are stored already within it,
since they are checked again when they are read.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from protocols.errors import FieldFault, InvalidArgument


@dataclass(frozen=True, slots=True)
class Text:
    """How long a text may be, in characters, whether it may have several lines, and the form that it must have."""

    least: int
    most: int
    lines: bool = False
    form: re.Pattern[str] | None = None
    form_is: str = ""

    def fault(self, value: str) -> str:
        """What is wrong with `value`; empty when nothing is."""
        if not self.least <= len(value) <= self.most:
            return f"must have {self.least} to {self.most} characters, has {len(value)}"
        if self.least and not value.strip():
            return "must not be blank"
        allowed = "\n\t" if self.lines else ""
        # Control characters spoil logs and subtitles; a lone surrogate has no UTF-8 and could not be stored at all.
        if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in allowed for sign in value):
            return "must not hold control characters"
        if self.form is not None and self.form.fullmatch(value) is None:
            return f"must be {self.form_is}"
        return ""


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the greatest value of a number, both allowed."""

    least: float
    most: float

    def fault(self, value: float) -> str:
        """What is wrong with `value`; empty when nothing is. NaN is out of every range."""
        return "" if self.least <= value <= self.most else f"must be from {self.least} to {self.most}, is {value}"


ID: Final = Range(1, 2**32 - 1)
VERSION: Final = Range(1, 2**63 - 1)
FENCE: Final = Range(0, 2**63 - 1)
PAGE_LIMIT: Final = Range(1, 500)
IDS_AT_ONCE: Final = 1000

USERNAME: Final = Text(2, 32, form=re.compile(r"[\w.-]+"), form_is="made of letters, digits and . _ -")
EMAIL: Final = Text(3, 254, form=re.compile(r"[^@\s]+@[^@\s]+"), form_is="an e-mail address")
FULL_NAME: Final = Text(0, 100)
PASSWORD_HASH: Final = Text(1, 255)
FAMILY_ID: Final = Text(1, 64)
TOKEN_HASH_BYTES: Final = 32
IP_ADDRESS: Final = Text(0, 45)

TITLE: Final = Text(1, 100)
DESCRIPTION: Final = Text(0, 2000, lines=True)
MAX_PARTICIPANTS: Final = Range(1, 1000)

TASK_ID: Final = Text(1, 64)
SPEECH: Final = Text(1, 100_000, lines=True)
SPEECH_OR_SILENCE: Final = Text(0, 100_000, lines=True)
LANGUAGE: Final = Text(0, 35)
EMOTION: Final = Text(1, 32)
CONFIDENCE: Final = Range(0, 1)
CLIP_MS: Final = Range(0, 24 * 3600 * 1000)
SEGMENT_INDEX: Final = Range(0, 2**31 - 1)


class Check:
    """Gathers the faults of one thing, so that its maker learns all of them at once; `done` raises them."""

    __slots__ = ("_faults", "_thing")

    def __init__(self, thing: str) -> None:
        self._thing = thing
        self._faults: list[FieldFault] = []

    def that(self, holds: bool, field: str, detail: str) -> None:
        """Note a fault of `field` unless the condition holds."""
        if not holds:
            self._faults.append(FieldFault(field, detail))

    def within(self, bound: Range, **fields: float) -> None:
        """Each number must be within the range."""
        for field, value in fields.items():
            fault = bound.fault(value)
            self.that(not fault, field, fault)

    def text(self, bound: Text, **fields: str) -> None:
        """Each text must be of that length and form."""
        for field, value in fields.items():
            fault = bound.fault(value)
            self.that(not fault, field, fault)

    def utc(self, **fields: datetime | None) -> None:
        """Each moment that is given must be UTC: edges convert, so that nothing inside has to ask which zone it is."""
        for field, value in fields.items():
            self.that(value is None or value.utcoffset() == timedelta(0), field, "must be a time in UTC")

    def order(self, field: str, first: datetime | None, last: datetime | None) -> None:
        """`last`, the value of `field`, must not be before `first`. Ask after `utc`: others may not compare."""
        if self._faults or first is None or last is None:
            return
        self.that(first <= last, field, "must not be before the start")

    def done(self) -> None:
        """Raise InvalidArgument with every fault that was noted."""
        if self._faults:
            text = "; ".join(f"{fault.field} {fault.detail}" for fault in self._faults)
            raise InvalidArgument(f"{self._thing}: {text}", faults=self._faults)


def check_page(limit: int) -> None:
    """Raise InvalidArgument for a page size that no store serves."""
    check = Check("page")
    check.within(PAGE_LIMIT, limit=limit)
    check.done()


def check_ids(ids: Sequence[int]) -> None:
    """Raise InvalidArgument for more ids than one call may ask for, or for one that nothing can have."""
    check = Check("lookup")
    check.that(len(ids) <= IDS_AT_ONCE, "ids", f"must be at most {IDS_AT_ONCE}, are {len(ids)}")
    for wanted in ids[:IDS_AT_ONCE]:
        check.within(ID, ids=wanted)
    check.done()
