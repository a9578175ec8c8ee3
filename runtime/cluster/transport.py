"""How bytes get from node to node, as the cluster sees it: an inbox for each node, into which anybody may put parcels.

A parcel that was sent is delivered at least once while its receiver lives, and those of one sender in order; losing
some when the medium itself crashes is allowed, and noticed by their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Transport(Protocol):
    """One node's way to the others. Calls raise Unavailable while the medium is away; each may be repeated."""

    async def open(self, node: str) -> None:
        """Begin to be this node. Again under another id: what came for the former one, and still comes, is dropped."""

    async def send(self, parcels: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Put parcels into the inboxes of nodes, in this order. False for each whose inbox is full.

        Unavailable: some may have arrived, and all may be sent again.
        """

    async def receive(self) -> list[bytes]:
        """Wait for parcels. What was received before is acknowledged by this call, and never comes again."""

    async def close(self) -> None:
        """End. The inbox and what is in it are dropped."""
