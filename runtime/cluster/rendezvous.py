"""Rendezvous hashing (highest random weight, Thaler and Ravishankar 1998): every node picks the same owner alone.

When a node comes or goes, only the entities move that it gains or loses: one in n.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def weight(name: str, entity: str) -> bytes:
    """The weight of a node for an entity; the highest carries it. Alike on every machine and in every run."""
    return blake2b(entity.encode(), key=name.encode()[:64], digest_size=8).digest()


def owner(names: Iterable[str], entity: str) -> str | None:
    """Which of these nodes carries the entity; None of none."""
    return max(names, key=lambda name: (weight(name, entity), name), default=None)
