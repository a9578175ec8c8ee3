"""The command line, as a person and as a program use it, on every backend."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from runtime.queue import TaskQueue
from runtime.queue.command import main
from runtime.queue.sqlite_queue import SqliteQueue
from runtime.queue.task_queue import Buried
from tests.runtime.queue.hands import Hands, entry
from tests.runtime.redis.valkey import url
from tests.servers import ROOT, Server

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tasks: TaskQueue, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the queue of this test; (status, out, err)."""
    where = ["--data-dir", str(tmp_path)] if isinstance(tasks, SqliteQueue) else ["--redis-url", url(server)]

    def run(*words: str) -> tuple[int, str, str]:
        status = main([*words, *where])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
async def hands(tasks: TaskQueue) -> Hands:
    """Three dead letters, one task that waits."""
    hands = Hands(tasks)
    await hands.put_ids("a", "b", "c")
    await hands.settle(*(Buried(claim, f"no {claim.id}\nmore") for claim in await hands.claim(3)))
    await hands.put(entry("w"))
    return hands


async def test_depths(run: Run, hands: Hands) -> None:
    status, out, _ = await asyncio.to_thread(run, "depths")
    assert status == 0
    assert "normal_queue       1" in out
    assert "dead_letter_queue  3" in out
    status, out, _ = await asyncio.to_thread(run, "depths", "--json")
    found = msgspec.json.decode(out)
    assert (found["waiting"]["normal"], found["dead"], found["processing"]) == (1, 3, 0)


async def test_dead_list_and_show(run: Run, hands: Hands) -> None:
    status, out, _ = await asyncio.to_thread(run, "dead", "list")
    assert (status, [line.split()[0] for line in out.splitlines()]) == (0, ["c", "b", "a"])
    assert "no c more" in out
    _, out, _ = await asyncio.to_thread(run, "dead", "list", "--limit", "1", "--offset", "1", "--json")
    assert [one["id"] for one in msgspec.json.decode(out)] == ["b"]
    status, out, _ = await asyncio.to_thread(run, "dead", "show", "a")
    shown = msgspec.json.decode(out)
    assert (status, shown["reason"], shown["message"]["payload"]["user_id"]) == (0, "no a\nmore", 1)


async def test_dead_replay_and_drop(run: Run, hands: Hands) -> None:
    assert (await asyncio.to_thread(run, "dead", "drop", "a"))[:2] == (0, "dropped: 1\n")
    assert (await asyncio.to_thread(run, "dead", "replay", "b", "--json"))[:2] == (0, '{"replayed":1,"refused":[]}\n')
    assert (await asyncio.to_thread(run, "dead", "replay", "--all"))[:2] == (0, "replayed: 1\n")
    assert await hands.claim_ids(5) == ["w", "b", "c"]
    assert await asyncio.to_thread(run, "dead", "list") == (0, "", "no dead letters\n")


async def test_what_cannot_be_replayed_is_said(run: Run, hands: Hands) -> None:
    await hands.put_ids("b")
    status, out, err = await asyncio.to_thread(run, "dead", "replay", "--all")
    assert (status, out) == (1, "replayed: 2\n")
    assert err.startswith("not replayed: b: ")


async def test_an_id_that_is_not_there(run: Run, hands: Hands) -> None:
    for act in ("show", "replay", "drop"):
        status, out, err = await asyncio.to_thread(run, "dead", act, "nobody")
        assert (status, out) == (1, "")
        assert "nobody" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "required"),
        (["dead"], "required"),
        (["dead", "drop"], "required"),
        (["dead", "drop", "a", "--all"], "not allowed"),
        (["dead", "list", "--limit", "-1"], "--limit"),
        (["depths", "--redis-url", "http://x"], "redis://"),
        (["depths", "--redis-url", "redis://x", "--data-dir", "y"], "give one"),
        (["depths", "--data-dir", "/nowhere"], "no queue in /nowhere"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main(words)
    except SystemExit as wrong:
        status = wrong.code
    assert status == 2
    assert says in capsys.readouterr().err


def test_a_server_that_is_away_is_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runtime.queue", "depths", "--redis-url", f"unix://{tmp_path}/nothing"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (1, "")
    assert "Redis is away" in run.stderr
    assert "Traceback" not in run.stderr
