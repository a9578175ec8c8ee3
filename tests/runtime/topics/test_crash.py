from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from protocols.errors import Unavailable
from runtime.engine import ActorSystem
from runtime.topics import Journal, Topics
from tests.runtime.topics.subscribers import USERS, Listener, emptied

ROOT: Final = Path(__file__).parents[3]


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.runtime.topics.node_process", str(tmp_path / "journal.db")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    yield child
    if child.returncode is None:
        child.kill()
        await child.communicate()


async def words(child: asyncio.subprocess.Process, until: int) -> list[tuple[str, str]]:
    assert child.stdout is not None
    lines = [(await child.stdout.readline()).decode().split() for _ in range(until)]
    return [(verb, name) for verb, name in lines]


async def test_what_publish_returned_for_survives_a_kill_and_is_handled_by_the_next_process(
    node: asyncio.subprocess.Process, tmp_path: Path
) -> None:
    said = await words(node, 30)
    node.kill()  # SIGKILL, right after a publish returned and in the middle of handling
    rest, _ = await node.communicate()
    lines = [line.split() for line in rest.decode().splitlines(keepends=True) if line.endswith("\n")]
    said += [(verb, name) for verb, name in lines]
    published = [name for verb, name in said if verb == "published"]
    assert ("handling", "0") in said

    system = ActorSystem()
    journal = await Journal.open(tmp_path / "journal.db")
    topics = Topics(system, journal, source="parent")
    seen: list[str] = []
    topics.subscribe_durable(USERS, "g", system.spawn(Listener, seen))
    await emptied(topics)
    await system.stop()
    await journal.close()
    # One more may have been written while its publish was about to return.
    assert seen[: len(published)] == published
    assert len(published) <= len(seen) <= len(published) + 1


async def test_a_second_process_is_told_that_the_journal_is_held(
    node: asyncio.subprocess.Process, tmp_path: Path
) -> None:
    await words(node, 1)
    with pytest.raises(Unavailable, match=r"journal\.db: another process holds it"):
        await Journal.open(tmp_path / "journal.db", busy_timeout_s=0.05)
    node.kill()
    await node.communicate()
    journal = await Journal.open(tmp_path / "journal.db")
    await journal.close()
