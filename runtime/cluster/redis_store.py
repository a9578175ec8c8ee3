"""The shared store in Redis: members, heartbeats with a time to live, and leases, under one hash tag."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from runtime.cluster import redis_scripts as scripts
from runtime.cluster.store import Beat, Grant, Lease, Member
from runtime.redis import RedisClients, Script
from runtime.redis.scripts import Argument

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Member).decode

AT_ONCE: Final = 1000
"""Entities in one call of a script: the server does nothing else meanwhile."""


class RedisStore:
    """The store in the Redis of `clients`. `prefix` keeps clusters in one Redis apart."""

    def __init__(self, clients: RedisClients, prefix: str = "parley") -> None:
        self._clients = clients
        tag = f"{{{prefix}}}:cluster:"
        self._keys = (f"{tag}nodes", f"{tag}meta", f"{tag}leases", tag)

    async def join(self, name: str) -> int:
        """A new epoch."""
        return int(await self._run(scripts.JOIN, name))

    async def beat(self, member: Member, ttl_s: float, bury: bool) -> Beat:
        """Renew the heartbeat."""
        # The kinds in order: equal records are equal bytes.
        told = (member.id, sorted(member.kinds), member.roles, member.leaving)
        ttl_ms = max(1, round(ttl_s * 1000))
        answer = await self._run(scripts.BEAT, member.id, _encode(told), member.seen, ttl_ms, int(bury))
        version, buried, born = answer[:3]
        members = [
            msgspec.structs.replace(_decode(record), seen=seen)
            for record, seen in zip(answer[3::2], answer[4::2], strict=True)
        ]
        return Beat(version, tuple(members), bool(buried), born)

    async def leave(self, node: str) -> None:
        """End a membership."""
        await self._run(scripts.LEAVE, node)

    async def acquire(self, node: str, entities: Sequence[str]) -> list[Grant]:
        """Take what is free."""
        grants: list[Grant] = []
        for start in range(0, len(entities), AT_ONCE):
            answer = await self._run(scripts.ACQUIRE, node, *entities[start : start + AT_ONCE])
            grants += [Grant(one) if isinstance(one, int) else Grant(0, one.decode()) for one in answer]
        return grants

    async def verify(self, node: str, leases: Sequence[Lease]) -> list[bool]:
        """Which leases hold."""
        held: list[bool] = []
        for start in range(0, len(leases), AT_ONCE):
            answer = await self._run(scripts.VERIFY, node, *_pairs(leases[start : start + AT_ONCE]))
            held += [bool(one) for one in answer]
        return held

    async def release(self, node: str, leases: Sequence[Lease]) -> None:
        """Let go."""
        for start in range(0, len(leases), AT_ONCE):
            await self._run(scripts.RELEASE, node, *_pairs(leases[start : start + AT_ONCE]))

    async def _run(self, script: Script, *arguments: Argument) -> Any:
        return await script.run(self._clients.commands, self._keys, arguments)


def _pairs(leases: Sequence[Lease]) -> list[Argument]:
    return [part for lease in leases for part in (lease.entity, lease.fence)]
