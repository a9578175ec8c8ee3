"""What a server says of itself, as far as it matters: whether it answers, and whether what it took would survive it."""

from __future__ import annotations

from dataclasses import dataclass

from redis.exceptions import ResponseError

from runtime.redis.clients import RedisClients
from runtime.redis.failures import translated


@dataclass(frozen=True, slots=True)
class RedisHealth:
    """`durable`: it keeps an append-only file. `primary`: it takes writes. None where it does not tell."""

    version: str
    durable: bool | None
    primary: bool | None


async def health(clients: RedisClients) -> RedisHealth:
    """Ask the server (in a cluster, one of them). Raises Unavailable when it does not answer."""
    with translated():
        if clients.is_cluster:
            await clients.commands.initialize()
        try:
            told = await clients.commands.info("everything")
        except ResponseError:
            await clients.commands.ping()
            return RedisHealth("unknown", None, None)
    return _read(told)


def _read(told: object) -> RedisHealth:
    found = told if isinstance(told, dict) else {}
    if found and all(isinstance(value, dict) for value in found.values()):
        found = next(iter(found.values()))  # a cluster answers by node
    aof, role = found.get("aof_enabled"), found.get("role")
    version = found.get("valkey_version") or found.get("redis_version") or "unknown"
    return RedisHealth(str(version), None if aof is None else bool(aof), None if role is None else role == "master")
