"""A simulated medium between nodes: the shared store and the inboxes, with the faults that a real one has.

Every node reaches the medium over a link of its own. A call over it takes a while each way; it may be lost before it
is done, or its answer may, in which case it was done and the caller does not know. A link may be cut, or its node be
paused or dead. All of it happens on virtual time, by the chances of one generator.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeVar

from protocols.errors import Unavailable
from runtime.cluster.store import Beat, Grant, Lease, Member

T = TypeVar("T")

TOO_LATE_S: Final = 0.3
"""How long a caller waits before it sees that a call was lost."""


@dataclass(slots=True)
class Weather:
    """The faults of now. Chances are of each call; delays are in seconds, one way, drawn evenly up to the limit."""

    lost_before: float = 0.0
    lost_after: float = 0.0
    repeated: float = 0.0
    delay_s: float = 0.002
    down: bool = False


@dataclass(slots=True)
class Link:
    """One node's way to the medium."""

    name: str
    cut: bool = False
    dead: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.woken.set()

    def pause(self) -> None:
        """Let nothing through until `resume`: what is on its way waits."""
        self.woken.clear()

    def resume(self) -> None:
        """Let what waits go on."""
        self.woken.set()


class Medium:
    """What all nodes share: members, leases, inboxes. `trace` has every call that was done, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, rng: Random) -> None:
        self.weather = Weather()
        self.trace: list[str] = []
        self.members: dict[str, tuple[Member, float]] = {}
        self.leases: dict[str, tuple[str, int]] = {}
        self.buried: set[str] = set()
        self.inboxes: dict[str, deque[bytes]] = {}
        self.bells: dict[str, asyncio.Event] = {}
        self.version = self.fences = self.epochs = self.born = 0
        self._loop = loop
        self._rng = rng

    @property
    def now_s(self) -> float:
        """The medium's own time."""
        return self._loop.time()

    async def call(self, link: Link, what: str, operation: Callable[[], T]) -> T:
        """Do something at the medium for a node. Raises Unavailable, which leaves open whether it was done."""
        weather, rng = self.weather, self._rng
        await self._travel(link)
        if link.cut or weather.down or rng.random() < weather.lost_before:
            await asyncio.sleep(TOO_LATE_S)
            raise Unavailable("lost on its way")
        result = operation()
        self.trace.append(f"{self.now_s:.6f} {link.name} {what}")
        await self._travel(link)
        if link.cut or weather.down or rng.random() < weather.lost_after:
            await asyncio.sleep(TOO_LATE_S)
            raise Unavailable("the answer was lost")
        return result

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return self._rng.random() < probability

    def grow(self) -> None:
        """The membership has changed."""
        self.version += 1

    def forget(self) -> None:
        """Lose all that was written, as a server without its file does. Numbers follow the clock, and go on growing."""
        self.born += 1
        self.members.clear()
        self.leases.clear()
        self.buried.clear()
        for inbox in self.inboxes.values():
            inbox.clear()

    def bury(self, node: str) -> None:
        """A node is no member any more, and holds nothing."""
        self.members.pop(node, None)
        self.buried.add(node)
        for entity in [entity for entity, (holder, _) in self.leases.items() if holder == node]:
            del self.leases[entity]

    async def _travel(self, link: Link) -> None:
        await asyncio.sleep(self._rng.random() * self.weather.delay_s)
        while not link.woken.is_set():
            await link.woken.wait()
        if link.dead:
            raise Unavailable("the node is dead")


class SimulatedStore:
    """The shared store over one node's link."""

    def __init__(self, medium: Medium, link: Link) -> None:
        self._medium = medium
        self._link = link

    async def join(self, name: str) -> int:
        """A new epoch."""

        def join() -> int:
            self._medium.epochs += 1
            return self._medium.epochs

        return await self._medium.call(self._link, "join", join)

    async def beat(self, member: Member, ttl_s: float, bury: bool) -> Beat:
        """Renew the heartbeat."""
        medium = self._medium

        def beat() -> Beat:
            if member.id in medium.buried:
                return Beat(0, (), was_buried=True)
            before = medium.members.get(member.id)
            told = (member.kinds, member.roles, member.leaving)
            changed = before is None or (before[0].kinds, before[0].roles, before[0].leaving) != told
            medium.members[member.id] = member, medium.now_s + ttl_s
            for node, (_, until) in list(medium.members.items()):
                if bury and until < medium.now_s:
                    medium.bury(node)
                    changed = True
            if changed:
                medium.grow()
            return Beat(medium.version, tuple(one for one, _ in medium.members.values()), born=medium.born)

        return await medium.call(self._link, "beat", beat)

    async def leave(self, node: str) -> None:
        """End a membership."""

        def leave() -> None:
            self._medium.bury(node)
            self._medium.grow()

        await self._medium.call(self._link, "leave", leave)

    async def acquire(self, node: str, entities: Sequence[str]) -> list[Grant]:
        """Take what is free."""
        medium = self._medium

        def acquire() -> list[Grant]:
            if node not in medium.members:
                return [Grant(0)] * len(entities)
            grants = []
            for entity in entities:
                holder, _ = medium.leases.get(entity, ("", 0))
                if holder and holder != node and holder in medium.members:
                    grants.append(Grant(0, holder))
                else:
                    medium.fences += 1
                    medium.leases[entity] = node, medium.fences
                    grants.append(Grant(medium.fences))
            return grants

        return await medium.call(self._link, f"acquire {' '.join(entities)}", acquire)

    async def verify(self, node: str, leases: Sequence[Lease]) -> list[bool]:
        """Which leases hold."""
        medium = self._medium

        def verify() -> list[bool]:
            for lease in leases:
                medium.leases.setdefault(lease.entity, (node, lease.fence))
            return [medium.leases[lease.entity] == (node, lease.fence) for lease in leases]

        return await medium.call(self._link, "verify", verify)

    async def release(self, node: str, leases: Sequence[Lease]) -> None:
        """Let go."""
        medium = self._medium

        def release() -> None:
            for lease in leases:
                if medium.leases.get(lease.entity) == (node, lease.fence):
                    del medium.leases[lease.entity]

        await medium.call(self._link, f"release {' '.join(lease.entity for lease in leases)}", release)


class SimulatedTransport:
    """The inboxes over one node's link. Parcels may come twice; what was not acknowledged comes again."""

    def __init__(self, medium: Medium, link: Link, limit: int = 10_000) -> None:
        self._medium = medium
        self._link = link
        self._limit = limit
        self._node = ""
        self._taken: list[bytes] = []
        self._known = True

    async def open(self, node: str) -> None:
        """Begin to be this node."""
        before, self._node, self._taken = self._node, node, []
        if before:
            self._medium.inboxes.pop(before, None)
            self._medium.bells[before].set()
        self._medium.inboxes[node] = deque()
        self._medium.bells[node] = asyncio.Event()

    async def send(self, parcels: Sequence[tuple[str, bytes]]) -> list[bool]:
        """Put parcels into inboxes."""
        medium = self._medium

        def send() -> list[bool]:
            return [self._put(node, parcel) for node, parcel in parcels]

        return await medium.call(self._link, f"send {' '.join(node for node, _ in parcels)}", send)

    def _put(self, node: str, parcel: bytes) -> bool:
        inbox = self._medium.inboxes.get(node)
        if inbox is None:
            return True  # nobody will ever look
        if len(inbox) >= self._limit:
            return False
        inbox.append(parcel)
        if self._medium.chance(self._medium.weather.repeated):
            inbox.append(parcel)
        self._medium.bells[node].set()
        return True

    async def receive(self) -> list[bytes]:
        """Acknowledge the last batch and wait for the next."""
        medium = self._medium
        while True:
            known, self._known = self._known, False
            batch = await medium.call(self._link, "receive", lambda known=known: self._claim(known))  # type: ignore[misc]
            self._known = True
            if batch:
                return list(batch)
            await medium.bells[self._node].wait()

    def _claim(self, known: bool) -> list[bytes]:
        if known or not self._taken:
            inbox = self._medium.inboxes[self._node]
            self._taken = [inbox.popleft() for _ in range(min(len(inbox), 64))]
        if not self._taken:
            self._medium.bells[self._node].clear()
        return self._taken

    async def close(self) -> None:
        """Drop the inbox."""
        self._medium.inboxes.pop(self._node, None)
