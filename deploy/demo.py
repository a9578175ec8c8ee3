"""A meeting from beginning to end against a running node, with real speech, told step by step.

Two people register, meet over WebSocket, exchange an offer, an answer and candidates; one of them says something, the
AI hears it, and the words come back from the meeting's analysis and transcript. It is a client like any other: HTTP
and WebSocket, nothing of the node's own code. Exit status 0: everything happened; 1: something did not, and the last
line says what.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

import aiohttp

API: Final = "/api/v1"
SETTLE_S: Final = 20.0
"""How long the demo waits for what follows from an answer: a stored result, a frame."""

NO_NODE: Final = "what answers is no Parley node"

Json = dict[str, Any]


class DemoFailed(Exception):
    """A step did not happen; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the demo: their id, name and access token."""

    user_id: int
    name: str
    token: str


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording to speak with, as it lies in its file."""

    name: str
    format: str
    audio: bytes


class Client:
    """Speaks to the node and turns every failure into one sentence."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def call(self, method: str, path: str, token: str = "", body: Json | None = None) -> Any:
        """One request; the JSON of its answer. Raises DemoFailed with the node's own words."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._session.request(method, self._base + API + path, json=body, headers=headers) as response:
            answer = await response.read()
            if response.status >= 400:
                raise DemoFailed(f"{method} {API}{path}: {response.status} {_reason(response.content_type, answer)}")
            try:
                return json.loads(answer) if answer else None
            except ValueError:
                raise DemoFailed(f"{method} {API}{path}: {NO_NODE}") from None

    async def person(self, name: str) -> Person:
        """Register somebody and log them in."""
        username = f"{name}-{secrets.token_hex(3)}"
        password = secrets.token_urlsafe(12)
        email = f"{username}@example.org"
        await self.call("POST", "/auth/register", body={"username": username, "email": email, "password": password})
        session = await self.call("POST", "/auth/login", body={"username": username, "password": password})
        return Person(session["user"]["id"], username, session["access_token"])

    async def connect(self, token: str) -> Signaling:
        """Open a signaling connection."""
        socket = await self._session.ws_connect(self._base + "/ws", protocols=("parley.v1", f"parley.token.{token}"))
        return Signaling(socket)


class Signaling:
    """One signaling connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, **frame: Any) -> None:
        """Send a frame."""
        await self._socket.send_json(frame)

    async def expect(self, kind: str) -> Json:
        """The next frame of this type; others that come first are passed over, an `error` is not."""
        async with asyncio.timeout(SETTLE_S):
            while True:
                frame = await self._socket.receive()
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    raise DemoFailed(f"the connection closed ({self._socket.close_code}) before `{kind}` came")
                content: Json = frame.json()
                if content["type"] == kind:
                    return content
                if content["type"] == "error":
                    raise DemoFailed(f"{content['code']}: {content['message']}")

    async def close(self) -> None:
        """Close it."""
        await self._socket.close()


def step(text: str) -> None:
    """Tell what happened."""
    print(f"  ✓ {text}", flush=True)


def sdp(kind: str, name: str) -> str:
    """A small session description (RFC 8866) as a browser might send for one audio track."""
    return (
        f"v=0\r\no={name} {secrets.randbelow(1 << 31)} 2 IN IP4 127.0.0.1\r\ns={kind}\r\nt=0 0\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\n"
    )


async def negotiate(first: Signaling, second: Signaling, a: Person, b: Person, room: str) -> None:
    """Both join; offer, answer and a candidate each way."""
    await first.expect("welcome")
    await second.expect("welcome")
    await first.send(type="join", id="1", room_id=room)
    await first.expect("joined")
    await second.send(type="join", id="1", room_id=room)
    others = (await second.expect("joined"))["participants"]
    await first.expect("user_joined")
    step(f"both joined {room} over WebSocket; {b.name} found {others[0]['username']} there")
    began = time.perf_counter()
    await first.send(type="offer", room_id=room, to_user_id=b.user_id, sdp=sdp("offer", a.name))
    offer = await second.expect("offer")
    step(f"offer of {len(offer['sdp'])} bytes from {a.name} reached {b.name} in {_ms(began)}")
    await second.send(type="answer", room_id=room, to_user_id=a.user_id, sdp=sdp("answer", b.name))
    await first.expect("answer")
    candidate = {"candidate": "candidate:1 1 udp 2113937151 127.0.0.1 50000 typ host", "sdpMLineIndex": 0}
    await first.send(type="ice_candidate", room_id=room, to_user_id=b.user_id, candidate=candidate)
    await second.send(type="ice_candidate", room_id=room, to_user_id=a.user_id, candidate=candidate)
    await second.expect("ice_candidate")
    await first.expect("ice_candidate")
    step("answer and candidates went both ways")


async def until(check: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Ask again and again until the answer is not empty."""
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        found = await check()
        if found:
            return found
        await asyncio.sleep(0.1)
    raise DemoFailed(f"{what} did not appear within {SETTLE_S:g} s")


async def speak(client: Client, person: Person, meeting_id: int, clip: Clip) -> Json:
    """Post a clip and print what the AI heard."""
    audio = base64.b64encode(clip.audio).decode()
    body = {"audio_data": audio, "format": clip.format, "meeting_id": meeting_id, "language": "en"}
    step(f"{person.name} says something ({clip.name}, {len(clip.audio) / 1e6:.1f} MB)")
    began = time.perf_counter()
    heard: Json = await client.call("POST", "/ai/speech-recognition", person.token, body)
    step(f"the AI heard, in {_ms(began)}, with confidence {heard['confidence']:.2f}:")
    print(f"\n      “{heard['text']}”\n", flush=True)
    return heard


async def aftermath(client: Client, person: Person, meeting_id: int, task_id: str) -> None:
    """The result travels as an event, is stored by the meeting side, and comes back."""

    async def stored() -> list[Json]:
        page = await client.call("GET", f"/ai/analysis/{meeting_id}", person.token)
        return [item for item in page["items"] if item["task_id"] == task_id]

    async def lines() -> list[Json]:
        page = await client.call("GET", f"/meetings/{meeting_id}/transcript", person.token)
        return [item for item in page["items"] if item["task_id"] == task_id]

    found = await until(stored, "the analysis")
    step(f"the result came back from {API}/ai/analysis/{meeting_id}: {found[0]['result_type']}")
    transcript = await until(lines, "the transcript")
    step(f"the transcript has {len(transcript)} lines; the first: “{transcript[0]['text'][:60]}…”")


async def run(base: str, clip: Clip) -> None:
    """The whole story."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        client = Client(session, base)
        ada, bob = await client.person("ada"), await client.person("bob")
        step(f"registered and logged in {ada.name} (user {ada.user_id}) and {bob.name} (user {bob.user_id})")
        meeting = await client.call("POST", "/meetings", ada.token, {"title": "Parley demo"})
        meeting_id = meeting["id"]
        await client.call("POST", f"/meetings/{meeting_id}/start", ada.token)
        step(f"{ada.name} created meeting {meeting_id} and started it")
        for person in (ada, bob):
            await client.call("POST", f"/meetings/{meeting_id}/join", person.token, {})
        first, second = await client.connect(ada.token), await client.connect(bob.token)
        try:
            await negotiate(first, second, ada, bob, meeting["room_id"])
            heard = await speak(client, ada, meeting_id, clip)
            await aftermath(client, bob, meeting_id, heard["task_id"])
            await client.call("POST", f"/meetings/{meeting_id}/end", ada.token)
            await second.expect("meeting_ended")
            step("the meeting has ended, and everybody in the room was told")
        finally:
            await first.close()
            await second.close()


def _reason(content_type: str, answer: bytes) -> str:
    """A problem's own words (RFC 9457), with the fields that are wrong."""
    if content_type != "application/problem+json":
        return NO_NODE
    problem: Json = json.loads(answer)
    return " ".join([problem["detail"], *(f"{fault['field']}: {fault['detail']}" for fault in problem["errors"])])


def _ms(began: float) -> str:
    return f"{(time.perf_counter() - began) * 1000:.1f} ms"


def _default_clip() -> Path:
    models = Path(os.environ.get("PARLEY_MODEL_DIR") or Path(os.environ.get("PARLEY_DATA_DIR") or "var") / "models")
    clips = sorted(models.glob("moonshine-tiny-en/*/clips/two_cities.wav"))
    return clips[-1] if clips else models / "moonshine-tiny-en" / "two_cities.wav"


def _fail(reason: object) -> NoReturn:
    print(f"  ✗ {reason}", file=sys.stderr)
    sys.exit(1)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="address of the node (default: %(default)s)")
    parser.add_argument("--clip", type=Path, help="a file with speech (default: the one that came with the model)")
    arguments = parser.parse_args()
    path: Path = arguments.clip or _default_clip()
    try:
        clip = Clip(path.name, path.suffix.lstrip("."), path.read_bytes())
    except OSError as error:
        _fail(f"the clip {path} cannot be read ({error.strerror}): run `make models`, or name one with --clip")
    print(f"Parley demo against {arguments.url}", flush=True)
    try:
        asyncio.run(run(arguments.url.rstrip("/"), clip))
    except aiohttp.ClientConnectionError as error:
        _fail(f"no node answers at {arguments.url} ({error}): start one with `make run`")
    except aiohttp.InvalidURL:
        _fail(f"{arguments.url} is no address: it looks like http://127.0.0.1:8080")
    except aiohttp.ClientError as error:
        _fail(f"{arguments.url}: {NO_NODE} ({error})")
    except TimeoutError:
        _fail("the node did not answer in time")
    except DemoFailed as error:
        _fail(error)
    print("Everything happened as it should.")


if __name__ == "__main__":
    main()
