"""Every kind of Redis client that the system uses, made in one place with one policy.

redis-py repeats a command whose reply was lost, and so runs a write twice; here nothing is repeated: whoever may
repeat, because its script is idempotent, does so itself. Connections are bounded, and callers wait for a free one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import redis as blocking
from redis import asyncio as waiting
from redis.asyncio.cluster import ClusterNode as AsyncClusterNode
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry
from redis.sentinel import Sentinel

from protocols.errors import InvalidArgument
from runtime.redis.address import Kind, RedisAddress, parse
from runtime.redis.failures import translated

RESP: Final = 2
"""The older protocol: every server speaks it, and no reply of ours needs the newer one."""

AsyncClient = waiting.Redis | waiting.RedisCluster
BlockingClient = blocking.Redis | blocking.RedisCluster


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """`max_connections`: of one client. `acquire_timeout_s`: how long a caller waits for a free one of them."""

    connect_timeout_s: float = 2.0
    reply_timeout_s: float = 5.0
    acquire_timeout_s: float = 5.0
    max_connections: int = 32


_DEFAULTS: Final = RedisSettings()


class RedisClients:
    """The clients of one address. `commands` is shared; the others are made for one user each, who closes them."""

    def __init__(self, url: str | RedisAddress, settings: RedisSettings = _DEFAULTS) -> None:
        self.address: Final = parse(url) if isinstance(url, str) else url
        self.settings: Final = settings
        try:
            self.commands: Final = self._asynchronous(settings.reply_timeout_s)
        except ValueError as error:
            raise InvalidArgument(f"the Redis URL cannot be used: {error}") from None

    @property
    def is_cluster(self) -> bool:
        """Whether keys that one script touches must share a hash tag."""
        return self.address.kind is Kind.CLUSTER

    async def listening(self) -> waiting.Redis:
        """A new client for a subscription or a blocking command: its replies may take any time.

        In a cluster it is a client of one node, which hears what is published at any.
        """
        if not self.is_cluster:
            return self._asynchronous(None)  # type: ignore[return-value]
        cluster = self.commands
        with translated():
            await cluster.initialize()
        node = cluster.get_default_node()  # type: ignore[union-attr]
        return waiting.Redis(host=node.host, port=int(node.port), **self._login(), **self._policy(None, AsyncRetry))

    def for_thread(self) -> BlockingClient:
        """A new client for a thread of its own."""
        address, policy = self.address, self._policy(self.settings.reply_timeout_s, Retry)
        if address.kind is Kind.SINGLE:
            return blocking.Redis.from_url(address.url, **policy)
        if address.kind is Kind.SENTINEL:
            sentinels = _untyped(Sentinel)(list(address.nodes), sentinel_kwargs=self._quick())
            return cast(
                "blocking.Redis", sentinels.master_for(address.service, db=address.db, **self._login(), **policy)
            )
        nodes = [_untyped(ClusterNode)(host, port) for host, port in address.nodes]
        return blocking.RedisCluster(startup_nodes=nodes, **self._login(), **policy)

    async def aclose(self) -> None:
        """Close the shared client."""
        await self.commands.aclose()

    def _asynchronous(self, reply_timeout_s: float | None) -> AsyncClient:
        address, policy = self.address, self._policy(reply_timeout_s, AsyncRetry)
        if address.kind is Kind.CLUSTER:
            nodes = [AsyncClusterNode(host, port) for host, port in address.nodes]
            return waiting.RedisCluster(
                startup_nodes=nodes, max_connections=self.settings.max_connections, **self._login(), **policy
            )
        if address.kind is Kind.SENTINEL:
            sentinels = _untyped(AsyncSentinel)(list(address.nodes), sentinel_kwargs=self._quick())
            limit = self.settings.max_connections
            found = sentinels.master_for(
                address.service, db=address.db, max_connections=limit, **self._login(), **policy
            )
            return cast("waiting.Redis", found)
        pool = waiting.BlockingConnectionPool.from_url(
            address.url,
            max_connections=self.settings.max_connections,
            timeout=self.settings.acquire_timeout_s,
            **policy,
        )
        return waiting.Redis.from_pool(pool)

    def _policy(self, reply_timeout_s: float | None, retry: type[Any]) -> dict[str, Any]:
        return {
            "socket_timeout": reply_timeout_s,
            "socket_connect_timeout": self.settings.connect_timeout_s,
            "retry": retry(NoBackoff(), 0),
            "protocol": RESP,
        }

    def _quick(self) -> dict[str, Any]:
        return {"socket_timeout": self.settings.connect_timeout_s, "protocol": RESP}

    def _login(self) -> dict[str, Any]:
        given = {"username": self.address.username, "password": self.address.password}
        return {
            **{name: value for name, value in given.items() if value},
            **({"ssl": True} if self.address.tls else {}),
        }


def _untyped(made: Callable[..., Any]) -> Callable[..., Any]:
    """A class of redis-py that has no types of its own."""
    return made
