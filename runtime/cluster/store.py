"""What nodes must agree on, as a few atomic operations: who is there, and which node holds which entity.

Every number that the store gives out only grows, also when the store loses what it wrote last. Every call may raise
Unavailable, which leaves open whether it was done; each may be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec


class Member(msgspec.Struct, frozen=True, array_like=True):
    """A run of a node: `id` is `name:epoch`. `kinds` are the entities it carries; `leaving`: it takes no more.

    `seen` is the version of the membership that it knew when it said this.
    """

    id: str
    kinds: frozenset[str] = frozenset()
    roles: tuple[str, ...] = ()
    leaving: bool = False
    seen: int = 0

    @property
    def name(self) -> str:
        """The node's name, which outlives its runs."""
        return self.id.partition(":")[0]

    @property
    def epoch(self) -> int:
        """The number of the run: it grows with every start."""
        return int(self.id.partition(":")[2] or 0)


@dataclass(frozen=True, slots=True)
class Beat:
    """The answer to a heartbeat. `version` grows with every change of who is there and what they carry.

    `born` is another number when the store has forgotten everything. `was_buried`: others took this run of the node for
    dead. It is none of the members and will not be again: what it held may be another's, and what was sent to it was
    given up.
    """

    version: int
    members: tuple[Member, ...]
    was_buried: bool = False
    born: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to a wish for an entity: a lease under `fence`, or (`fence` 0) who holds it."""

    fence: int
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """An entity held by this node."""

    entity: str
    fence: int


class SharedStore(Protocol):
    """The store that all nodes of a cluster share."""

    async def join(self, name: str) -> int:
        """A new epoch for a node of this name: higher than any before."""

    async def beat(self, member: Member, ttl_s: float, bury: bool) -> Beat:
        """Say that this node lives, for `ttl_s` seconds. With `bury`, those whose heartbeat is gone are buried, and
        what they held is free. Who is not known, nor buried, is one the store has forgotten, or new.
        """

    async def leave(self, node: str) -> None:
        """End a membership. What the node held is free."""

    async def acquire(self, node: str, entities: Sequence[str]) -> list[Grant]:
        """Take each entity that nobody else holds, under a fencing token higher than any before."""

    async def verify(self, node: str, leases: Sequence[Lease]) -> list[bool]:
        """Which of these leases hold. One that the store has lost, and nobody took since, is put back."""

    async def release(self, node: str, leases: Sequence[Lease]) -> None:
        """Let go of these leases, as far as they hold."""
