"""The message that all systems deliver."""

from __future__ import annotations

from typing import Final

from protocols.messages import message


@message("bench.hit")
class Hit:
    """Counted by its receiver, which answers with its count."""

    number: int


HIT: Final = Hit(1)
