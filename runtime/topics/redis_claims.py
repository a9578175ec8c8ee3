"""What a node has claimed for its subscribers: under which fence, and for as long as it renews the lease.

A claim and what comes of it are told to Redis in batches. Where an answer is lost, the next claim sets it right: what
this node holds there and does not know of goes back. An outcome that comes when the lease has passed on is refused.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from protocols.errors import ParleyError
from runtime.topics.journal_file import Entry, GroupName, Outcome
from runtime.topics.redis_calls import CLAIM, LEAVE, RENEW, SETTLE, Argument, RedisCalls, ms

CLAIMED_AT_ONCE: Final = 500
RENEWED_AT_ONCE: Final = 500


@dataclass(slots=True)
class _Held:
    """What one group of this node holds. `doubtful`: told once to be settled, and the answer was lost."""

    fences: dict[int, bytes] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    unsure: bool = True
    due_in_s: float | None = None


class RedisClaims:
    """The claims of one node. `figures` is told of a group's depth and dead events."""

    def __init__(self, calls: RedisCalls, figures: Callable[[GroupName, int, int], None]) -> None:
        self._calls = calls
        self._tell = figures
        # Of this run of the node: what a run before has claimed is not ours.
        self._consumer = uuid.uuid4().hex
        self._held: defaultdict[GroupName, _Held] = defaultdict(_Held)
        self.late: Final[Counter[GroupName]] = Counter()

    def begin(self, group: GroupName) -> None:
        """A subscriber begins, holding nothing."""
        self._held[group] = _Held()

    def due_in_s(self, group: GroupName) -> float | None:
        """In how many seconds something goes back to its place, as of the last claim. None: nothing is away from it."""
        return self._held[group].due_in_s

    async def claim(self, group: GroupName, most: int) -> list[Entry]:
        """Claim the oldest events that wait, at most so many."""
        held, lease_ms = self._held[group], ms(self._calls.settings.lease_s)
        arguments: list[Argument] = [group.topic, group.name, self._consumer, min(most, CLAIMED_AT_ONCE)]
        # For the same time that its claims last, a consumer counts as there.
        arguments += (lease_ms, lease_ms, "unsure" if held.unsure else "sure")
        if held.unsure:
            arguments += held.fences
        held.unsure = True
        fence, due_ms, depth, dead, flat = await self._calls.run(CLAIM, *arguments)
        held.unsure = False
        held.due_in_s = None if due_ms < 0 else due_ms / 1000
        self._tell(group, depth, dead)
        entries = [
            Entry(int(seq), envelope, int(attempts))
            for seq, attempts, envelope in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        ]
        held.fences.update((entry.seq, fence) for entry in entries)
        return entries

    async def settle(self, group: GroupName, outcome: Outcome) -> tuple[int, int]:
        """Write down an outcome. Returns how many were let go of as handled, and how many as dead."""
        held = self._held[group]
        acts = _acts(outcome)
        arguments: list[Argument] = [group.topic, group.name]
        for seq, (act, value) in acts.items():
            arguments += (act, seq, held.fences.get(seq, b"0"), value)
        try:
            handled, dead, depth, dead_in_all, refused = await self._calls.run(SETTLE, *arguments)
        except ParleyError:
            held.doubtful.update(acts)
            raise
        self._tell(group, depth, dead_in_all)
        for seq in map(int, refused):
            if seq not in held.doubtful:
                self.late[group] += 1
            elif acts[seq][0] == "h":
                handled += 1
        held.doubtful.difference_update(acts)
        for seq in acts:
            held.fences.pop(seq, None)
        return handled, dead

    async def leave(self, group: GroupName) -> None:
        """Let go of all that a group of this node holds."""
        await self._calls.run(LEAVE, group.topic, group.name, self._consumer)
        self._held.pop(group, None)

    async def renew(self) -> int:
        """Prolong all leases of this node. Returns how many were lost: other nodes have those events."""
        lost = 0
        claims = [(group, seq, fence) for group, held in self._held.items() for seq, fence in held.fences.items()]
        for first in range(0, len(claims), RENEWED_AT_ONCE):
            arguments: list[Argument] = [ms(self._calls.settings.lease_s)]
            for group, seq, fence in claims[first : first + RENEWED_AT_ONCE]:
                arguments += (str(group), seq, fence)
            lost += await self._calls.run(RENEW, *arguments)
        return lost


def _acts(outcome: Outcome) -> dict[int, tuple[str, Argument]]:
    acts: dict[int, tuple[str, Argument]] = dict.fromkeys(outcome.handled, ("h", ""))
    failed = set(outcome.failed)
    acts.update((seq, ("f" if seq in failed else "b", ms(delay_s))) for seq, delay_s in outcome.back)
    acts.update((seq, ("d", why)) for seq, why in outcome.dead)
    return acts
