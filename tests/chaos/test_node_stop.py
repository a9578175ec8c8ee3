"""A node that is told to stop: what runs is finished, clients are told, and then it is gone, whatever clients do."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.places import hanging_request, hanging_signaling, idle_connection, kill_node, workers
from tests.client import Client, Clip, client, signaling, until
from tests.inference.measures import words
from tests.node import parley_node
from tests.processes import RUN_VARIABLE, of_run, settles
from tests.servers import Server, answers

pytestmark = [pytest.mark.servers, pytest.mark.models]

ROUNDS = 20


@pytest.fixture
async def server(tmp_path: Path, models_dir: Path) -> AsyncIterator[Server]:
    async with parley_node(tmp_path, model_dir=models_dir, drain_timeout_s=15) as running:
        yield running


@pytest.fixture
async def node(server: Server) -> AsyncIterator[Client]:
    async with client(server.url) as one:
        yield one


@pytest.fixture(scope="module")
def long_clip(models_dir: Path) -> Clip:
    """Most of a minute of speech, so that its recognition takes a while."""
    return Clip.of(next(models_dir.glob("moonshine-tiny-en/*/clips/two_cities.wav")))


async def ended(server: Server) -> int:
    return await asyncio.to_thread(server.wait_stopped)


async def one_request_runs(node: Client) -> None:
    async def runs() -> bool:
        return await node.figure("parley_http_requests_in_flight") == 1

    await until(runs, "the request in flight")


async def refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    await writer.wait_closed()
    return False


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_finishes_what_runs(
    server: Server, node: Client, long_clip: Clip, told: signal.Signals
) -> None:
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    async with signaling(node.base, ada) as line:
        await line.join(meeting["room_id"])
        asked = asyncio.create_task(node.recognise(ada, meeting["id"], long_clip))
        await one_request_runs(node)
        os.kill(server.pid, told)
        assert await line.closed() == 1001
        answer = await asked
        assert words(answer.wanted(200).json["text"])[:6] == ["it", "was", "the", "best", "of", "times"]
    assert await ended(server) == 0
    assert of_run(os.environ[RUN_VARIABLE]) == {}
    assert '"event":"stopped"' in server.log
    # The answer's result was not lost with the node.
    async with server, client(server.url) as again:
        found = await until(lambda: again.analyses(ada, meeting["id"]), "the analysis")
        assert [one["task_id"] for one in found] == [answer.json["task_id"]]


async def test_a_stopping_node_takes_nothing_new(server: Server, node: Client, long_clip: Clip) -> None:
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    with idle_connection(server) as kept:
        asked = asyncio.create_task(node.recognise(ada, meeting["id"], long_clip))
        await one_request_runs(node)
        os.kill(server.pid, signal.SIGTERM)
        for port in server.ports.values():
            await until(partial(refuses, port), "a closed port")
        kept.sendall(b"GET /api/v1/status HTTP/1.1\r\nHost: here\r\n\r\n")
        refusal = await asyncio.to_thread(kept.recv, 4096)
        assert refusal.startswith(b"HTTP/1.1 503 "), refusal
        assert b"\r\nRetry-After: 1\r\n" in refusal
        assert b"\r\nConnection: close\r\n" in refusal
        (await asked).wanted(200)
    assert await ended(server) == 0


async def test_clients_that_never_let_go_do_not_hold_it(tmp_path: Path) -> None:
    server = parley_node(tmp_path, model_dir=tmp_path / "none", drain_timeout_s=1)
    server.stop_within_s = 15  # far above the drain's second, far below what a hanging client could wait for
    async with server, client(server.url) as node:
        ada = await node.person()
        with hanging_signaling(server, ada), hanging_request(server, ada), idle_connection(server):
            assert await asyncio.to_thread(server.stop) == 0
    assert "Traceback" not in server.log


async def test_told_twice_it_ends_at_once(server: Server, node: Client) -> None:
    ada = await node.person()
    server.stop_within_s = 10  # below its drain_timeout_s
    with hanging_request(server, ada):
        await one_request_runs(node)

        async def pressed_again() -> bool:
            if server.alive():
                os.kill(server.pid, signal.SIGINT)
            return not server.alive()

        await until(pressed_again, "the end")
        assert await ended(server) == 1


async def test_a_signal_and_its_echo_are_told_once(server: Server, node: Client, long_clip: Clip) -> None:
    """Whoever starts a node through another program may send one signal to both."""
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    asked = asyncio.create_task(node.recognise(ada, meeting["id"], long_clip))
    await one_request_runs(node)
    for told in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        os.kill(server.pid, told)
    (await asked).wanted(200)
    assert await ended(server) == 0


async def test_workers_do_not_outlive_a_node_that_is_killed(server: Server, node: Client, long_clip: Clip) -> None:
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    asked = asyncio.create_task(node.recognise(ada, meeting["id"], long_clip))
    await one_request_runs(node)
    assert len(workers(server)) == 1
    await asyncio.to_thread(kill_node, server)  # fails where a process of it is left
    with pytest.raises(aiohttp.ClientConnectionError):
        await asked


def test_a_killed_node_leaves_nothing_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    server = parley_node(tmp_path / "node", model_dir=tmp_path / "none")
    with server:
        kill_node(server)
        server.start()
        server.stop()
    assert list(scratch.glob("parley*")) == []


@pytest.mark.slow
async def test_many_short_lives_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other one is told to stop before it is ready, at a moment that the seed chooses."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    assert tempfile.gettempdir() != str(scratch), "only the node's temporary folder is another one"
    await asyncio.gather(*(asyncio.to_thread(live_shortly, tmp_path / name, name) for name in ("one", "other")))
    assert settles(lambda: of_run(os.environ[RUN_VARIABLE]) == {}, 2)
    assert list(scratch.glob("parley*")) == []


def live_shortly(folder: Path, seed: str) -> None:
    rng = random.Random(seed)
    server = parley_node(folder, model_dir=folder / "none")
    for number in range(ROUNDS // 2):
        server.stop_signal = (signal.SIGTERM, signal.SIGINT)[number // 2 % 2]
        moment = time.monotonic() + rng.uniform(0.2, 1.0)
        server._ready = partial(_reached, moment) if number % 2 else answers("/readyz")
        server.start()
        status = server.stop()
        # Before Python has come to our first line a signal ends it in Python's own way.
        assert status == 0 or (number % 2 and status in (-server.stop_signal, 1, 130)), (number, status, server.log)
    names = sorted(path.name for path in (folder / "data").iterdir())
    assert names == ["journal.db", "parley.db", "tasks.db", "token_secret"]


def _reached(moment: float, _: Server) -> bool:
    return time.monotonic() >= moment
