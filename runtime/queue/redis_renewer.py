"""Keeps leases in Redis over a blocking connection of its own, so that it needs no event loop."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.queue.redis_keys import RENEW
from runtime.queue.task_queue import Lease, Renewal, Renewer
from runtime.redis.clients import BlockingClient
from runtime.redis.scripts import Argument


class RedisRenewer(Renewer):
    """Owns its client."""

    def __init__(self, client: BlockingClient, keys: Sequence[str], fixed: Sequence[Argument]) -> None:
        self._client = client
        self._keys = keys
        self._fixed = fixed

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        """Keep leases, by the clock of the server."""
        arguments: list[Argument] = [*self._fixed]
        for lease in leases:
            arguments += (lease.id, lease.fence, round(lease.visibility_s * 1000))
        lost, cancelled = RENEW.run_blocking(self._client, self._keys, arguments)
        return Renewal(tuple(one.decode() for one in lost), tuple(one.decode() for one in cancelled))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
