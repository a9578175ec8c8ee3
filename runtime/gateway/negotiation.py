"""Choosing the form of an answer by the `Accept` header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence


def choose(accept: str, offered: Sequence[str]) -> str | None:
    """The offered media type that the header likes best, the first of equals; None when it takes none of them."""
    if not accept.strip():
        return offered[0]
    wishes = [_wish(part) for part in accept.split(",") if part.strip()]
    rated = [(_quality(wishes, each), each) for each in offered]
    best = max(quality for quality, _ in rated)
    return next(each for quality, each in rated if quality == best) if best > 0 else None


def _wish(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            return kind, _number(parameter[2:])
    return kind, 1.0


def _number(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _quality(wishes: Sequence[tuple[str, float]], offered: str) -> float:
    """The quality of the most specific wish that covers the type."""
    for pattern in (offered, offered.partition("/")[0] + "/*", "*/*"):
        found = [quality for kind, quality in wishes if kind == pattern]
        if found:
            return max(found)
    return 0.0
