"""The main job, as somebody who uses a node sees it: real processes, real sockets, real speech."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, Clip, Json, Person, Signaling, client, signaling, until
from tests.inference.sounds import wav
from tests.node import parley_node
from tests.servers import Server

pytestmark = [pytest.mark.servers, pytest.mark.models]

PICTURE = "/9j/4AAQSkZJRg=="
OFFER = 'v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=msid:Ä\u2028 "\\\u0000🎤\r\n'


@pytest.fixture(scope="module")
def server(models_dir: Path) -> Iterator[Server]:
    with parley_node(model_dir=models_dir) as running:
        yield running


@pytest.fixture
async def node(server: Server) -> AsyncIterator[Client]:
    async with client(server.url) as one:
        yield one


@pytest.fixture(scope="module")
def jfk(shared: Path) -> Clip:
    return Clip.of(shared / "data" / "speech" / "jfk.flac")


async def test_the_main_job(node: Client, jfk: Clip) -> None:
    ada, bob = await node.person(), await node.person()
    meeting = await node.post("/meetings", ada, {"title": "Monday"})
    started = await node.post(f"/meetings/{meeting['id']}/start", ada)
    assert (meeting["status"], started["status"]) == ("scheduled", "active")
    admission = await node.post(f"/meetings/{meeting['id']}/join", bob)
    assert admission["room_id"] == meeting["room_id"]
    async with signaling(node.base, ada) as first, signaling(node.base, bob) as second:
        await negotiate(first, second, ada, bob, meeting["room_id"])
        heard = jfk.heard_in(await node.recognise(ada, meeting["id"], jfk, language="en"))
        assert heard["speech"] is True
        assert heard["duration_ms"] == pytest.approx(11_000, abs=100)
        assert "moonshine-tiny-en" in heard["model"]
        await check_analysis(node, bob, meeting["id"], heard)
        await check_transcript(node, bob, meeting["id"], heard, ada)
        ended = await node.post(f"/meetings/{meeting['id']}/end", ada)
        assert ended["status"] == "ended"
        for line in (first, second):
            assert (await line.expect("meeting_ended"))["meeting_id"] == meeting["id"]
            assert await line.closed() == 4000
    # What came of it stays, and nobody comes in any more.
    assert len(await node.analyses(bob, meeting["id"])) == 1
    (await node.ask("POST", f"/meetings/{meeting['id']}/join", bob, {})).refused(409)
    (await node.recognise(ada, meeting["id"], jfk)).refused(409)


async def negotiate(first: Signaling, second: Signaling, ada: Person, bob: Person, room: str) -> None:
    assert (await first.join(room))["participants"] == []
    there = (await second.join(room))["participants"]
    assert [(one["user_id"], one["username"]) for one in there] == [(ada.id, ada.name)]
    came = (await first.expect("user_joined"))["participant"]
    assert (came["user_id"], came["username"]) == (bob.id, bob.name)
    assert {came["polite"], there[0]["polite"]} == {True, False}
    await first.send(type="offer", room_id=room, to_user_id=bob.id, sdp=OFFER)
    for number in range(100):
        candidate: Any = {"candidate": f"candidate:{number} 1 udp 2113937151 ::1 {number} typ host", "sdpMid": "0"}
        await first.send(type="ice_candidate", room_id=room, to_user_id=bob.id, candidate=candidate)
    await first.send(type="ice_candidate", room_id=room, to_user_id=bob.id, candidate=None)
    offer = await second.expect("offer")
    assert offer["sdp"] == OFFER
    assert (offer["from_user_id"], offer["to_user_id"]) == (ada.id, bob.id)
    for number in range(100):
        received = await second.expect("ice_candidate")
        assert received["candidate"]["candidate"] == f"candidate:{number} 1 udp 2113937151 ::1 {number} typ host"
    assert (await second.expect("ice_candidate"))["candidate"] is None
    await second.send(type="answer", room_id=room, to_user_id=ada.id, sdp=OFFER[::-1], from_user_id=bob.id)
    assert (await first.expect("answer"))["sdp"] == OFFER[::-1]


async def check_analysis(node: Client, who: Person, meeting_id: int, heard: Json) -> None:
    (found,) = await until(lambda: node.analyses(who, meeting_id), "the analysis")
    assert found["task_id"] == heard["task_id"]
    assert found["result_type"] == "speech_recognition"
    assert found["result"]["text"] == heard["text"]
    assert found["confidence"] == pytest.approx(heard["confidence"])


async def check_transcript(node: Client, who: Person, meeting_id: int, heard: Json, speaker: Person) -> None:
    lines = await until(lambda: node.transcript(who, meeting_id), "the transcript")
    assert " ".join(line["text"] for line in lines) == heard["text"]
    assert {(line["task_id"], line["user_id"], line["username"]) for line in lines} == {
        (heard["task_id"], speaker.id, speaker.name)
    }
    path = f"/meetings/{meeting_id}/transcript"
    vtt = (await node.ask("GET", f"{path}?format=vtt", who)).wanted(200)
    assert vtt.headers["Content-Type"].startswith("text/vtt")
    assert vtt.text.startswith("WEBVTT\n")
    assert re.search(r"^00:00:\d\d\.\d{3} --> 00:00:\d\d\.\d{3}$", vtt.text, re.MULTILINE)
    srt = (await node.ask("GET", path, who, headers={"Accept": "application/x-subrip"})).wanted(200)
    assert srt.headers["Content-Type"].startswith("application/x-subrip")
    assert re.match(r"1\n00:00:\d\d,\d{3} --> 00:00:\d\d,\d{3}\n", srt.text)
    for text in (vtt.text, srt.text):
        assert all(line["text"] in text for line in lines)


async def test_an_outsider_is_refused_everywhere(node: Client, jfk: Clip) -> None:
    host, guest, outsider = await node.person(), await node.person(), await node.person()
    meeting = await node.started_meeting(host, guest, password="open sesame")
    number, room = meeting["id"], meeting["room_id"]
    for body in ({}, {"password": ""}, {"password": "open sesame "}):
        assert "password" in (await node.ask("POST", f"/meetings/{number}/join", outsider, body)).refused(403)
    for path in ("participants", "transcript", "transcript?format=vtt"):
        (await node.ask("GET", f"/meetings/{number}/{path}", outsider)).refused(403)
    (await node.ask("GET", f"/ai/analysis/{number}", outsider)).refused(403)
    (await node.ask("GET", f"/signaling/rooms/{room}", outsider)).refused(403)
    for action in ("start", "end"):
        for other in (guest, outsider):
            (await node.ask("POST", f"/meetings/{number}/{action}", other)).refused(403)
    (await node.recognise(outsider, number, jfk)).refused(403)
    assert "user_id" in (await node.recognise(guest, number, jfk, user_id=host.id)).refused(403)
    async with signaling(node.base, host) as inside, signaling(node.base, outsider) as outside:
        await inside.join(room)
        await outside.send(type="join", room_id=room, id="1")
        assert (await outside.expect("error"))["code"] == "PERMISSION_DENIED"
        await outside.send(type="join", room_id=room, user_id=host.id, username=host.name, id="2")
        assert (await outside.expect("error"))["code"] == "PERMISSION_DENIED"
        await outside.send(type="offer", room_id=room, to_user_id=host.id, sdp="v=0", id="3")
        assert (await outside.expect("error"))["id"] == "3"
        await inside.send(type="ping", id="nothing came")
        assert (await inside.expect("pong"))["id"] == "nothing came"
    assert await node.analyses(host, number) == []


async def test_an_outsider_does_not_read_a_meeting(node: Client) -> None:
    host, outsider = await node.person(), await node.person()
    meeting = await node.started_meeting(host, description="the price we offer", password="open sesame")
    assert (await node.get(f"/meetings/{meeting['id']}", host))["description"] == "the price we offer"
    (await node.ask("GET", f"/meetings/{meeting['id']}", outsider)).refused(403)


async def test_without_a_token_nothing_is_told(node: Client, jfk: Clip) -> None:
    host = await node.person()
    meeting = await node.started_meeting(host)
    number = meeting["id"]
    forged = Person(host.id, host.name, host.token[:-4] + "AAAA", "")
    for who in (None, forged):
        for path in (f"/meetings/{number}", f"/meetings/{number}/transcript", f"/ai/analysis/{number}", "/meetings"):
            reply = await node.ask("GET", path, who)
            reply.refused(401)
            assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    (await node.recognise(forged, number, jfk)).refused(401)
    admission = await node.post(f"/meetings/{number}/join", host)
    joiner = Person(host.id, host.name, admission["join_token"], "")
    (await node.ask("GET", f"/meetings/{number}", joiner)).refused(401)
    async with signaling(node.base, joiner) as line:
        await line.join(meeting["room_id"])


async def test_the_further_ports_serve_everything_too(server: Server, node: Client) -> None:
    ada, bob = await node.person(), await node.person()
    meeting = await node.started_meeting(ada, bob)
    signaling_port, ai_port = (f"http://127.0.0.1:{server.ports[name]}" for name in ("signaling", "ai"))
    async with signaling(signaling_port, ada) as first, signaling(ai_port, bob) as second:
        await first.join(meeting["room_id"])
        assert len((await second.join(meeting["room_id"]))["participants"]) == 1
        await first.expect("user_joined")
        await second.send(type="offer", room_id=meeting["room_id"], to_user_id=ada.id, sdp="v=0")
        assert (await first.expect("offer"))["sdp"] == "v=0"
    for base in (signaling_port, ai_port):
        async with client(base) as other:
            silence = Clip(wav(bytes(32_000)), "wav")
            assert (await other.recognise(ada, meeting["id"], silence)).wanted(200).json["speech"] is False
            assert (await other.get("//readyz"))["status"] == "ready"


async def test_silence_is_an_empty_text_and_no_line(node: Client) -> None:
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    heard = (await node.recognise(ada, meeting["id"], Clip(wav(bytes(96_000)), "wav"))).wanted(200).json
    assert (heard["text"], heard["speech"], heard["segments"], heard["duration_ms"]) == ("", False, [], 3000)
    found = await until(lambda: node.analyses(ada, meeting["id"]), "the analysis of the silence")
    assert [one["task_id"] for one in found] == [heard["task_id"]]
    assert await node.transcript(ada, meeting["id"]) == []
    assert (await node.ask("GET", f"/meetings/{meeting['id']}/transcript?format=vtt", ada)).text == "WEBVTT\n"


@pytest.mark.parametrize(
    ("audio", "format", "says"),
    [
        (b"\x00garbage" * 500, "wav", "wav"),
        (b"garbage" * 500, "flac", "flac"),
        (b"RIFF\x24\x00\x00\x00WAVE", "wav", "wav"),
        (b"\x01", "pcm", "pcm|16.bit|sample"),
        (bytes(3200), "klingon", "klingon"),
    ],
)
async def test_garbage_is_refused_by_its_name(node: Client, audio: bytes, format: str, says: str) -> None:
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    reply = await node.recognise(ada, meeting["id"], Clip(audio, format), sample_rate=16_000)
    assert re.search(says, reply.refused(400), re.IGNORECASE), reply.text
    assert await node.analyses(ada, meeting["id"]) == []


async def test_a_body_that_is_no_clip_is_refused_by_its_fields(node: Client) -> None:
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    bodies: list[tuple[Json, str]] = [
        ({"meeting_id": meeting["id"], "format": "wav"}, "audio_data"),
        ({"meeting_id": meeting["id"], "format": "wav", "audio_data": "no base64!"}, "audio_data"),
        ({"meeting_id": "one", "format": "wav", "audio_data": "AAAA"}, "meeting_id"),
        ({"meeting_id": meeting["id"], "audio_data": "AAAA"}, "sample_rate"),
    ]
    for body, field in bodies:
        reply = await node.ask("POST", "/ai/speech-recognition", ada, body)
        reply.refused(400)
        assert [fault["field"] for fault in reply.json["errors"]] == [field], reply.text
    (await node.recognise(ada, 4_000_000_000, Clip(wav(bytes(3200)), "wav"))).refused(404)


@pytest.mark.parametrize("task", ["emotion-detection", "deepfake-detection"])
async def test_what_the_node_cannot_do_is_501(node: Client, task: str) -> None:
    ada = await node.person()
    meeting = await node.started_meeting(ada)
    body = {"video_frame": PICTURE, "meeting_id": meeting["id"], "format": "jpeg"}
    assert "speech_recognition" in (await node.ask("POST", f"/ai/{task}", ada, body)).refused(501)


async def test_many_speak_at_once(node: Client, jfk: Clip) -> None:
    people = [await node.person() for _ in range(3)]
    meeting = await node.started_meeting(*people)
    replies = await asyncio.gather(*(node.recognise(who, meeting["id"], jfk) for who in people for _ in range(2)))
    tasks = sorted(jfk.heard_in(reply)["task_id"] for reply in replies)

    async def stored() -> bool:
        return sorted(one["task_id"] for one in await node.analyses(people[0], meeting["id"])) == tasks

    await until(stored, "all analyses")


async def test_a_node_without_models_says_what_to_do_and_finds_them_when_they_come(models_dir: Path, jfk: Clip) -> None:
    async with parley_node(model_dir="{folder}/models") as bare, client(bare.url) as node:
        ada, bob = await node.person(), await node.person()
        meeting = await node.started_meeting(ada, bob)
        detail = (await node.recognise(ada, meeting["id"], jfk)).refused(501)
        assert "python -m inference.repository pull moonshine-tiny-en" in detail
        checks = {check["name"]: check for check in (await node.get("//readyz"))["checks"]}
        assert checks["database"]["ok"]
        assert not checks["speech_recognition"]["ok"]
        assert "pull" in checks["speech_recognition"]["detail"]
        async with signaling(node.base, ada) as first, signaling(node.base, bob) as second:
            await negotiate(first, second, ada, bob, meeting["room_id"])
        assert await node.transcript(ada, meeting["id"]) == []

        shutil.copytree(models_dir, bare.folder / "on their way")
        (bare.folder / "on their way").rename(bare.folder / "models")
        heard = jfk.heard_in(await node.recognise(ada, meeting["id"], jfk))
        await check_analysis(node, bob, meeting["id"], heard)

        async def ready() -> bool:
            return all(check["ok"] for check in (await node.get("//readyz"))["checks"])

        await until(ready, "readiness")
