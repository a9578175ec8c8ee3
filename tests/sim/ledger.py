"""Entities whose every step shows afterwards: ledgers that keep what they are told in rows that know fencing tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from protocols.errors import Aborted, Unavailable
from protocols.messages import message
from runtime.engine import Actor, on
from runtime.testkit.network import Link, Medium
from runtime.testkit.nodes import SimulatedNode


@message("test.ledger_append")
class Append:
    """Note `number` of `sender`. Answer: how many entries there are now."""

    sender: str
    number: int


@message("test.ledger_where")
class Where:
    """Answer: (node, fencing token)."""


@dataclass(slots=True)
class Row:
    """What is stored of a ledger, and under which token it was written last."""

    entries: list[tuple[str, int]] = field(default_factory=list)
    fence: int = 0


@dataclass(slots=True)
class World:
    """What all nodes write to, and what the test looks at."""

    medium: Medium
    rows: dict[str, Row] = field(default_factory=dict)
    writers: dict[int, str] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    stale_turns: list[str] = field(default_factory=list)
    refused: int = 0

    async def read(self, link: Link, ledger: str, fence: int) -> list[tuple[str, int]]:
        """The entries of a ledger; from now on older tokens are refused."""
        await self._travel(link)
        row = self.rows.setdefault(ledger, Row())
        if fence < row.fence:
            raise Aborted("a newer activation was here")
        row.fence = fence
        return list(row.entries)

    async def write(self, link: Link, ledger: str, fence: int, entries: list[tuple[str, int]]) -> None:
        """Store a ledger. Aborted under an older token than the newest."""
        await self._travel(link)
        row = self.rows.setdefault(ledger, Row())
        if fence < row.fence:
            self.refused += 1
            raise Aborted("a newer activation was here")
        assert fence > 0
        assert self.writers.setdefault(fence, f"{link.name} {ledger}") == f"{link.name} {ledger}", "two under one token"
        row.fence = fence
        row.entries = list(entries)
        await self._travel(link)

    async def _travel(self, link: Link) -> None:
        # The database is not the medium: it is reached while the medium is away, but not by the dead.
        await asyncio.sleep(0.001)
        await link.woken.wait()
        if link.dead:
            raise Unavailable("the node is dead")


class Ledger(Actor):
    """Appends, and answers when it is stored. A write that is refused ends it: another has taken over."""

    def __init__(self, ledger: str, world: World, node: SimulatedNode) -> None:
        self._ledger = ledger
        self._world = world
        self._node = node
        self._entries: list[tuple[str, int]] = []

    async def started(self) -> None:
        """Read what there is."""
        world = self._world
        world.newest[self._ledger] = max(self.fence, world.newest.get(self._ledger, 0))
        self._entries = await world.read(self._node.link, self._ledger, self.fence)

    @on(Append)
    async def append(self, message: Append) -> int:
        """Store one entry more."""
        if not self._node.link.dead and self.fence < self._world.newest[self._ledger]:
            self._world.stale_turns.append(f"{self._node.name} {self._ledger} {self.fence}")
        self._entries.append((message.sender, message.number))
        try:
            await self._world.write(self._node.link, self._ledger, self.fence, self._entries)
        except Aborted:
            self.stop()
            raise
        return len(self._entries)

    @on(Where)
    def where(self, message: Where) -> tuple[str, int]:
        """Say where it is."""
        return self._node.cluster.node, self.fence
