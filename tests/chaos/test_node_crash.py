"""A node that is killed: what it had answered is there when it comes back, once, and nobody has to repair anything."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.places import kill_node
from tests.client import Client, Clip, Json, Person, client, signaling, until
from tests.node import parley_node
from tests.servers import Server

pytestmark = [pytest.mark.servers, pytest.mark.models]

ROUNDS = 5
LONGEST_DELAY_S = 0.05


@pytest.fixture
async def server(tmp_path: Path, models_dir: Path) -> AsyncIterator[Server]:
    async with parley_node(tmp_path, model_dir=models_dir) as running:
        yield running


@pytest.fixture(scope="module")
def clip(shared: Path) -> Clip:
    return Clip.of(shared / "data" / "speech" / "leopard_en.wav")


async def kill_and_start(server: Server) -> None:
    await asyncio.to_thread(kill_node, server)
    await asyncio.to_thread(server.start)


@pytest.mark.slow
async def test_an_answered_recognition_is_never_lost_and_never_twice(
    tmp_path: Path, models_dir: Path, clip: Clip
) -> None:
    async with asyncio.TaskGroup() as group:
        for seed in (11, 12):
            server = parley_node(tmp_path / str(seed), model_dir=models_dir, speech_workers=1)
            group.create_task(answer_and_die(server, clip, random.Random(seed)))


async def answer_and_die(server: Server, clip: Clip, rng: random.Random) -> None:
    async with server:
        async with client(server.url) as node:
            ada = await node.person()
            meeting = await node.started_meeting(ada)
        answered: list[str] = []
        for _ in range(ROUNDS):
            async with client(server.url) as node:
                await until(partial(stored, node, ada, meeting, answered), "what was answered before the crash")
                answered.append(clip.heard_in(await node.recognise(ada, meeting["id"], clip))["task_id"])
                # Anywhere between the answer and the end of all that follows from it.
                await asyncio.sleep(rng.uniform(0, LONGEST_DELAY_S))
            await kill_and_start(server)
        async with client(server.url) as node:
            await until(partial(stored, node, ada, meeting, answered), "what was answered before the last crash")
            lines = Counter(line["task_id"] for line in await node.transcript(ada, meeting["id"]))
            assert lines == Counter(answered)
            assert Counter(found["task_id"] for found in await node.analyses(ada, meeting["id"])) == Counter(answered)
    assert server.exit_status == 0
    assert "Traceback" not in server.log


async def stored(node: Client, who: Person, meeting: Json, answered: list[str]) -> bool:
    found = {one["task_id"] for one in await node.analyses(who, meeting["id"])}
    lines = {line["task_id"] for line in await node.transcript(who, meeting["id"])}
    return found == lines == set(answered)


@pytest.mark.slow
async def test_a_kill_in_the_middle_keeps_all_or_nothing(server: Server, clip: Clip) -> None:
    """The client has no answer and asks again: each task is in the analysis and in the transcript, or in neither."""
    rng = random.Random(12)
    async with client(server.url) as node:
        ada = await node.person()
        meeting = await node.started_meeting(ada)
    for _ in range(3):
        async with client(server.url) as node:
            (await node.recognise(ada, meeting["id"], clip)).wanted(200)  # the models are warm
            asked = [asyncio.create_task(node.recognise(ada, meeting["id"], clip)) for _ in range(4)]
            await asyncio.wait(asked, timeout=rng.uniform(0, 0.5), return_when=asyncio.FIRST_COMPLETED)
            os.kill(server.pid, signal.SIGKILL)
            answers = await asyncio.gather(*asked, return_exceptions=True)
            lost = [one for one in answers if isinstance(one, BaseException)]
            assert all(isinstance(one, aiohttp.ClientError) for one in lost), lost
        await asyncio.to_thread(server.wait_stopped)
        await asyncio.to_thread(server.start)
        known = [one.json["task_id"] for one in answers if not isinstance(one, BaseException)]
        async with client(server.url) as node:
            await until(partial(agree, node, ada, meeting, known), "analysis and transcript that agree")


async def agree(node: Client, who: Person, meeting: Json, known: list[str]) -> bool:
    found = Counter(one["task_id"] for one in await node.analyses(who, meeting["id"]))
    lines = Counter(line["task_id"] for line in await node.transcript(who, meeting["id"]))
    return found == lines and set(known) <= found.keys() and set(found.values()) == {1}


@pytest.mark.slow
async def test_an_account_and_a_meeting_that_were_answered_are_there(tmp_path: Path) -> None:
    async with parley_node(tmp_path, model_dir=tmp_path / "none") as server:
        for _ in range(2):
            async with client(server.url) as node:
                name = await node.register()
                await kill_and_start(server)
            async with client(server.url) as node:
                ada = await node.log_in(name)
                meeting = await node.post("/meetings", ada, {"title": "To be kept", "password": "open sesame"})
                await kill_and_start(server)
            async with client(server.url) as node:
                kept = await node.get(f"/meetings/{meeting['id']}", ada)
                assert kept == meeting
                assert [one["id"] for one in (await node.get("/meetings", ada))["items"]] == [meeting["id"]]
                renewed = await node.post("/auth/refresh", None, {"refresh_token": ada.refresh_token})
                assert renewed["user"]["username"] == name


async def test_a_meeting_goes_on_after_a_crash(tmp_path: Path) -> None:
    async with parley_node(tmp_path, model_dir=tmp_path / "none") as server:
        async with client(server.url) as node:
            ada, bob = await node.person(), await node.person()
            meeting = await node.started_meeting(ada, bob)
            room = meeting["room_id"]
            async with signaling(node.base, ada) as line:
                await line.join(room)
                await kill_and_start(server)
                assert await line.closed() == 1006
        async with client(server.url) as node:
            found = await node.get(f"/meetings/{meeting['id']}", ada)
            assert (found["status"], found["room_id"]) == ("active", room)
            people = (await node.get(f"/meetings/{meeting['id']}/participants", bob))["items"]
            assert bob.id in {one["user_id"] for one in people}
            async with signaling(node.base, ada) as first, signaling(node.base, bob) as second:
                assert (await first.join(room))["participants"] == []
                assert len((await second.join(room))["participants"]) == 1
                await first.expect("user_joined")
                await second.send(type="offer", room_id=room, to_user_id=ada.id, sdp="v=0")
                assert (await first.expect("offer"))["from_user_id"] == bob.id
                assert (await node.post(f"/meetings/{meeting['id']}/end", ada))["status"] == "ended"
                for line in (first, second):
                    await line.expect("meeting_ended")
                    assert await line.closed() == 4000
