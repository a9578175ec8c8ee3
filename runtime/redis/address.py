"""Where Redis is: one URL for a single server, a set of sentinels, or a cluster.

    redis://[user:password@]host[:port][/db]           rediss:// with TLS, unix:///path?db=0 for a socket
    redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]
    redis+cluster://[user:password@]host[:port][,host[:port]...]

A password never shows in a message or a repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import unquote, urlsplit

from protocols.errors import InvalidArgument

PORT: Final = 6379
SENTINEL_PORT: Final = 26379


class Kind(Enum):
    """What answers at the address."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A parsed URL. `service` is the name of the primary that the sentinels watch."""

    kind: Kind
    url: str = field(repr=False)
    nodes: tuple[tuple[str, int], ...] = ()
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    def __str__(self) -> str:
        if self.kind is Kind.SINGLE:
            parts = urlsplit(self.url)
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        hosts = ",".join(f"{host}:{port}" for host, port in self.nodes)
        return f"redis+{self.kind.value}://{hosts}" + (f"/{self.service}" if self.service else "")


def parse(url: str) -> RedisAddress:
    """The address in a URL. Raises InvalidArgument, which says what is allowed and shows no password."""
    scheme, _, rest = url.partition("://")
    if scheme in ("redis", "rediss", "unix") and rest:
        return _single(url)
    base, _, extra = scheme.partition("+")
    if base not in ("redis", "rediss") or extra not in ("sentinel", "cluster") or not rest:
        raise InvalidArgument(
            f"a Redis URL begins with redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://, "
            f"not with {scheme[:32]!r}"
        )
    return _many(url, Kind(extra), rest, base == "rediss")


def _single(url: str) -> RedisAddress:
    try:
        urlsplit(url).port  # noqa: B018 - reading it is what checks it
    except ValueError as error:
        raise InvalidArgument(f"the port of the Redis URL is not one: {error}") from None
    return RedisAddress(Kind.SINGLE, url)


def _many(url: str, kind: Kind, rest: str, tls: bool) -> RedisAddress:
    authority, _, path = rest.partition("?")[0].partition("/")
    login, _, hosts = authority.rpartition("@")
    username, _, password = login.partition(":")
    service, _, db = path.partition("/")
    if kind is Kind.SENTINEL and not service:
        raise InvalidArgument("a redis+sentinel:// URL names the service after the hosts: .../mymaster")
    if kind is Kind.CLUSTER and path.strip("/"):
        raise InvalidArgument("a redis+cluster:// URL has no path: a cluster has one database")
    if db and not db.isdecimal():
        raise InvalidArgument(f"the database of a Redis URL is a number, not {db[:32]!r}")
    port = SENTINEL_PORT if kind is Kind.SENTINEL else PORT
    return RedisAddress(
        kind,
        url,
        tuple(_node(one, port) for one in hosts.split(",")),
        unquote(service),
        int(db or 0),
        unquote(username) or None,
        unquote(password) or None,
        tls,
    )


def _node(text: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidArgument(f"a host of the Redis URL is not one: {error}") from None
    if not host:
        raise InvalidArgument("a Redis URL has an empty host")
    return host, port or default_port
