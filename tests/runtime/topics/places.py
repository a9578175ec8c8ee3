"""Where topics live in tests: a data folder for a node alone, or a Redis that many nodes share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from runtime.engine import Actor, ActorSystem, Backoff, Options, Ref
from runtime.redis import RedisClients, RedisSettings
from runtime.testkit import Probe
from runtime.topics import GroupSettings, Journal, Topics
from runtime.topics.redis_calls import RedisTopicsSettings
from runtime.topics.redis_topics import RedisTopics

Carrier = Journal | RedisTopics

QUICK: Final = RedisTopicsSettings(
    poll_s=0.05, lease_s=1.0, publish_timeout_s=1.0, call_timeout_s=1.0, deaf_after_s=0.5, remembered_s=5.0
)
BRISK: Final = GroupSettings(
    window=4, max_attempts=3, handle_timeout_s=5.0, drain_timeout_s=0.5, backoff=Backoff(min_s=0.02, max_s=0.1)
)


@dataclass(frozen=True)
class Node:
    """A node of a test: its actors, its topics and what carries them."""

    system: ActorSystem
    carrier: Carrier
    topics: Topics

    def spawn(self, actor: type[Actor], *arguments: object) -> Ref:
        return self.system.spawn(actor, *arguments, options=Options(stop_timeout_s=0.1))

    def probe(self) -> Probe:
        return Probe(self.system)


@asynccontextmanager
async def node_of(carrier: Carrier, name: str = "here") -> AsyncIterator[Node]:
    """A node on a carrier, which is closed with it."""
    system = ActorSystem(name, rng=Random(1))
    try:
        yield Node(system, carrier, Topics(system, carrier, source=name))
    finally:
        await system.stop()
        await carrier.close()


@asynccontextmanager
async def redis_node(
    url: str, name: str = "here", settings: RedisTopicsSettings = QUICK, client: RedisSettings | None = None
) -> AsyncIterator[Node]:
    """A node on the Redis at `url`."""
    clients = RedisClients(url, client or RedisSettings(connect_timeout_s=0.5, reply_timeout_s=1.0))
    try:
        async with node_of(await RedisTopics.open(clients, rng=Random(1), settings=settings), name) as node:
            yield node
    finally:
        await clients.aclose()


class Place:
    """One of the two kinds of place, where a node may start again and find what the last one left."""

    def __init__(self, kind: str, folder: Path, url: str) -> None:
        self.kind = kind
        self._folder = folder
        self._url = url

    @asynccontextmanager
    async def node(self, *, limit: int = 100_000) -> AsyncIterator[Node]:
        if self.kind == "embedded":
            async with node_of(await Journal.open(self._folder / "journal.db", limit=limit)) as node:
                yield node
        else:
            settings = RedisTopicsSettings(
                poll_s=0.05, lease_s=1.0, publish_timeout_s=1.0, call_timeout_s=1.0, limit=limit
            )
            async with redis_node(self._url, settings=settings) as node:
                yield node
