"""URLs of single servers, sentinels and clusters."""

from __future__ import annotations

import pytest

from protocols.errors import InvalidArgument
from runtime.redis import Kind, RedisClients, parse


@pytest.mark.parametrize("url", ["redis://h", "redis://u:p@h:7/2", "rediss://h:7", "unix:///tmp/r.sock?db=1"])
def test_a_single_server(url: str) -> None:
    address = parse(url)
    assert (address.kind, address.url) == (Kind.SINGLE, url)


def test_sentinels() -> None:
    address = parse("redis+sentinel://ada:s%40cret@one:7001,two/mymaster/3")
    assert (address.kind, address.nodes) == (Kind.SENTINEL, (("one", 7001), ("two", 26379)))
    assert (address.service, address.db, address.username, address.password) == ("mymaster", 3, "ada", "s@cret")


def test_a_cluster() -> None:
    address = parse("rediss+cluster://:pw@one,[::1]:7002")
    assert (address.kind, address.nodes, address.tls) == (Kind.CLUSTER, (("one", 6379), ("::1", 7002)), True)
    assert (address.username, address.password) == (None, "pw")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "begins with"),
        ("http://h", "begins with"),
        ("redis://", "begins with"),
        ("redis+other://h", "begins with"),
        ("redis://h:port", "port"),
        ("redis+sentinel://h", "service"),
        ("redis+sentinel://h/m/x", "number"),
        ("redis+sentinel://h,/m", "empty host"),
        ("redis+cluster://h/0", "one database"),
        ("redis+cluster://h:99999", "host"),
        ("redis://h/notanumber?socket_timeout=x", "cannot be used"),
    ],
)
def test_a_wrong_url_says_what_is_wrong(url: str, says: str) -> None:
    with pytest.raises(InvalidArgument, match=says):
        RedisClients(url)


@pytest.mark.parametrize(
    "url", ["redis://u:hush@h:7/2", "redis+sentinel://u:hush@h/m", "redis+cluster://:hush@h", "redis+x://u:hush@h"]
)
def test_no_password_is_shown(url: str) -> None:
    try:
        address = parse(url)
    except InvalidArgument as error:
        assert "hush" not in error.detail
    else:
        assert "hush" not in f"{address} {address!r}"
        assert "h" in str(address)
