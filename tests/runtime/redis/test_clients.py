"""The clients' policy: nothing is repeated, connections are bounded, every failure has its meaning."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from redis import exceptions

from protocols.errors import Internal, PermissionDenied, Unavailable
from runtime.redis import RedisClients, RedisSettings, Script, health, translated
from tests.runtime.redis.valkey import url, valkey
from tests.servers import Server


async def test_a_command_is_never_repeated(server: Server, clients: RedisClients) -> None:
    hasty = RedisClients(url(server), RedisSettings(reply_timeout_s=0.2))
    await hasty.commands.ping()
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable), translated():
            await hasty.commands.lpush("list", "once")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    await hasty.aclose()
    assert await clients.commands.llen("list") <= 1


async def test_connections_are_bounded_and_callers_wait_for_a_free_one(server: Server) -> None:
    clients = RedisClients(url(server), RedisSettings(max_connections=3))
    await asyncio.gather(*(clients.commands.ping() for _ in range(200)))
    assert len(await clients.commands.client_list()) <= 3 + 2
    await clients.aclose()


async def test_a_caller_that_finds_none_free_is_told_so(server: Server) -> None:
    clients = RedisClients(url(server), RedisSettings(max_connections=1, acquire_timeout_s=0.05))
    holding = asyncio.ensure_future(clients.commands.blpop(["nothing"], timeout=1))
    await asyncio.sleep(0.02)
    with pytest.raises(Unavailable), translated():
        await clients.commands.ping()
    await holding
    await clients.aclose()


async def test_a_listening_client_waits_as_long_as_it_takes(server: Server) -> None:
    clients = RedisClients(url(server), RedisSettings(reply_timeout_s=0.05))
    listening = await clients.listening()
    assert await listening.blpop(["nothing"], timeout=0.3) is None
    await listening.aclose()
    await clients.aclose()


async def test_a_thread_has_a_client_of_its_own(clients: RedisClients) -> None:
    def work() -> object:
        client = clients.for_thread()
        try:
            return Script("return ARGV[1]").run_blocking(client, [], ["hello"])
        finally:
            client.close()

    assert await asyncio.to_thread(work) == b"hello"


async def test_a_server_that_is_not_there_is_away(tmp_path: Path) -> None:
    clients = RedisClients(f"unix://{tmp_path}/nothing")
    with pytest.raises(Unavailable, match="away"):
        await health(clients)
    await clients.aclose()


async def test_scripts_come_back_after_the_server_forgot_them(clients: RedisClients) -> None:
    script = Script("return redis.call('INCR', KEYS[1])")
    for expected in (1, 2):
        await clients.commands.script_flush()
        assert await script.run(clients.commands, ["n"], []) == expected


async def test_health_says_what_would_survive(clients: RedisClients) -> None:
    found = await health(clients)
    assert (found.durable, found.primary) == (False, True)
    async with valkey("--appendonly", "yes") as durable:
        other = RedisClients(url(durable))
        assert (await health(other)).durable is True
        await other.aclose()


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (exceptions.ConnectionError("refused"), Unavailable),
        (exceptions.BusyLoadingError("LOADING"), Unavailable),
        (exceptions.TimeoutError("late"), Unavailable),
        (exceptions.ReadOnlyError("READONLY"), Unavailable),
        (exceptions.NoScriptError("NOSCRIPT"), Unavailable),
        (exceptions.OutOfMemoryError("OOM"), Unavailable),
        (exceptions.ClusterDownError("CLUSTERDOWN"), Unavailable),
        (exceptions.ResponseError("MISCONF the disk is full"), Unavailable),
        (exceptions.SlotNotCoveredError("slot 7"), Unavailable),
        (OSError("no route"), Unavailable),
        (exceptions.AuthenticationError("WRONGPASS"), PermissionDenied),
        (exceptions.NoPermissionError("NOPERM"), PermissionDenied),
        (exceptions.ResponseError("WRONGTYPE"), Internal),
        (exceptions.ClusterCrossSlotError("CROSSSLOT"), Internal),
    ],
)
def test_failures_have_their_meaning(error: Exception, meaning: type[Exception]) -> None:
    with pytest.raises(meaning) as raised, translated():
        raise error
    assert raised.value.__cause__ is error
