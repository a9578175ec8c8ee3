"""An inference worker that dies or hangs under load: every request is answered, rightly or with the reason."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.places import workers
from tests.client import Client, Clip, client, until
from tests.node import parley_node
from tests.servers import Server

pytestmark = [pytest.mark.servers, pytest.mark.models]


@pytest.fixture(scope="module")
def clips(shared: Path) -> list[Clip]:
    return [Clip.of(shared / "data" / "speech" / name) for name in ("leopard_en.wav", "jfk.flac")]


@pytest.fixture
async def server(tmp_path: Path, models_dir: Path) -> AsyncIterator[Server]:
    async with parley_node(tmp_path, model_dir=models_dir, speech_workers=2) as running:
        yield running


@pytest.fixture
async def node(server: Server) -> AsyncIterator[Client]:
    async with client(server.url) as one:
        yield one


async def speech_works(node: Client) -> bool:
    checks = {check["name"]: check for check in (await node.get("//readyz"))["checks"]}
    return bool(checks["speech_recognition"]["ok"])


async def test_killed_in_mid_request_every_answer_is_right(server: Server, node: Client, clips: list[Clip]) -> None:
    rng = random.Random(3)
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    await until(lambda: speech_works(node), "speech recognition")
    asked = {asyncio.create_task(node.recognise(ada, meeting["id"], clip)): clip for clip in clips * 6}
    await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    victim = rng.choice(workers(server))
    os.kill(victim.pid, signal.SIGKILL)
    tasks = {clip.heard_in(await answer)["task_id"] for answer, clip in asked.items()}
    assert len(tasks) == len(asked)

    async def replaced() -> bool:
        pids = {one.pid for one in workers(server)}
        return len(pids) == 2 and victim.pid not in pids

    await until(replaced, "a new worker")

    async def stored() -> bool:
        return {found["task_id"] for found in await node.analyses(ada, meeting["id"])} == tasks

    await until(stored, "every result")
    assert '"level":"warning"' in next(line for line in server.log.splitlines() if "SIGKILL" in line)


async def test_a_worker_that_hangs_is_replaced(tmp_path: Path, models_dir: Path, clips: list[Clip]) -> None:
    async with (
        parley_node(tmp_path, model_dir=models_dir, speech_workers=1, recognition_timeout_s=4) as server,
        client(server.url) as node,
    ):
        ada = await node.person()
        meeting = await node.started_meeting(ada)
        await until(lambda: speech_works(node), "speech recognition")
        (stuck,) = workers(server)
        os.kill(stuck.pid, signal.SIGSTOP)
        (await node.recognise(ada, meeting["id"], clips[0])).refused(504)

        async def replaced() -> bool:
            return {one.pid for one in workers(server)}.isdisjoint({stuck.pid}) and await speech_works(node)

        await until(replaced, "another worker")
        clips[0].heard_in(await node.recognise(ada, meeting["id"], clips[0]))


async def test_a_queue_that_is_full_says_when_to_come_back(tmp_path: Path, models_dir: Path, clips: list[Clip]) -> None:
    async with (
        parley_node(tmp_path, model_dir=models_dir, speech_workers=1, inference_queue_limit=2) as server,
        client(server.url) as node,
    ):
        ada = await node.person()
        meeting = await node.started_meeting(ada)
        await until(lambda: speech_works(node), "speech recognition")
        replies = await asyncio.gather(*(node.recognise(ada, meeting["id"], clips[1]) for _ in range(12)))
        refused = [reply for reply in replies if reply.status == 429]
        assert 0 < len(refused) < 12
        assert all(int(reply.headers["Retry-After"]) >= 1 for reply in refused)
        for reply in (one for one in replies if one not in refused):
            clips[1].heard_in(reply)
