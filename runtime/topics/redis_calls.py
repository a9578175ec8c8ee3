"""How topics reach Redis: one call is one script, takes so long at most, and is never repeated by itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from protocols.errors import Unavailable
from runtime.redis import RedisClients, Script

Argument = str | bytes | int | float
RETRY_AFTER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class RedisTopicsSettings:
    """Settings of one node; `prefix`, `limit` and `dead_limit` must be alike on all nodes.

    `prefix` stands before the names of channels and keys. `limit`: events that a group may leave unhandled, past which
    its topic takes no more. `dead_limit`: dead events that are kept, the latest. `publish_timeout_s`: after which a
    publish has failed at the latest. `publish_queue`: events of this node that wait to be sent.
    `lease_s`: how long an event stays with a node that has died. `poll_s`: how often it is looked whether something
    has come of which no word was heard. `remembered_s`: how long an event that is published again under its
    message_id is known to be the same. `deaf_after_s`: after which a subscription that hears nothing is made anew.
    """

    prefix: str = ""
    limit: int = 100_000
    dead_limit: int = 100_000
    publish_timeout_s: float = 2.0
    publish_queue: int = 10_000
    call_timeout_s: float = 2.0
    lease_s: float = 30.0
    poll_s: float = 1.0
    remembered_s: float = 60.0
    deaf_after_s: float = 5.0

    def __post_init__(self) -> None:
        if min(self.limit, self.dead_limit, self.publish_queue) < 1:
            raise ValueError("limit, dead_limit and publish_queue are at least 1")
        if min(self.publish_timeout_s, self.call_timeout_s, self.poll_s, self.deaf_after_s) <= 0:
            raise ValueError("every timeout is above 0")
        if self.lease_s < 3 * self.poll_s or self.remembered_s < self.publish_timeout_s:
            raise ValueError("lease_s is at least 3 times poll_s, and remembered_s no less than publish_timeout_s")


ALLOW_OOM: Final = "#!lua flags=allow-oom\n"
"""What waits must get out of a server whose memory is full, or it would stay full. Servers know it since Redis 7."""


def _script(name: str, flags: str = ALLOW_OOM) -> Script:
    folder = files("runtime.topics") / "lua"
    parts = [(folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", name)]
    return Script(flags + "\n".join(parts))


PUBLISH: Final = _script("publish", "")
CLAIM: Final = _script("claim")
SETTLE: Final = _script("settle")
RENEW: Final = _script("renew")
LEAVE: Final = _script("leave")
FORGET: Final = _script("forget")
DEAD: Final = _script("dead")
FIGURES: Final = _script("figures")


class RedisCalls:
    """The scripts of topics, on the clients given, which their owner closes."""

    def __init__(self, clients: RedisClients, settings: RedisTopicsSettings) -> None:
        self.clients: Final = clients
        self.settings: Final = settings
        # One hash tag for all keys: an event and every group that is to have it change in one step, and dead events of
        # all topics are one list. Channels have none: what is published at any node of a cluster is heard at each.
        self.keys: Final = f"{settings.prefix}parley:{{topics}}:"
        self.wake_channel: Final = f"{self.keys}wake"
        self._fixed: Final = (self.keys, settings.prefix, settings.dead_limit)

    async def run(self, script: Script, *arguments: Argument, within_s: float | None = None) -> Any:
        """Run a script once. Raises ParleyErrors; Unavailable leaves open whether it ran."""
        limit_s = self.settings.call_timeout_s if within_s is None else within_s
        try:
            async with asyncio.timeout(limit_s):
                answer = await script.run(self.clients.commands, [f"{self.keys}state"], (*self._fixed, *arguments))
        except TimeoutError:
            raise Unavailable(f"Redis did not answer within {limit_s:g} s", retry_after_s=RETRY_AFTER_S) from None
        return answer


def ms(seconds: float) -> int:
    """Milliseconds, as scripts count."""
    return round(seconds * 1000)
