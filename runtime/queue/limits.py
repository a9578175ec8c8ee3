"""The bounds of a queue, whatever keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """`waiting`: tasks of one priority, and of all that are delayed; more are refused. `dead`: dead letters kept.

    `own_slot_every`: of so many claims, each lower priority has one of its own. `key_ttl_s`: how long an idempotency
    key is remembered.
    """

    waiting: int = 1_000_000
    dead: int = 100_000
    own_slot_every: int = 16
    key_ttl_s: float = 86_400.0

    def own_slots(self, turn: int, batch: int) -> tuple[int, int, int]:
        """How many of the claims number `turn` to `turn + batch` belong to high, normal and low."""
        every = self.own_slot_every
        quarter = every // 4
        high, normal, low = (
            (turn + batch + offset) // every - (turn + offset) // every for offset in (2 * quarter, quarter, 0)
        )
        return high, normal, low
