"""A client of Parley that shares no code with it: HTTP by aiohttp, signaling by the `websockets` library.

For tests of a running node. Every wait has a limit, and says what it waited for.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.inference.measures import word_errors

T = TypeVar("T")
Json = dict[str, Any]

API: Final = "/api/v1"
WAIT_S: Final = 20.0
PASSWORD: Final = "correct horse battery"

_numbers: Final = itertools.count(1)
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.text)

    def wanted(self, *statuses: int) -> Self:
        """This reply, if its status is one of those; else the test fails with all that came."""
        assert self.status in statuses, f"{self.status} and not {statuses}: {self.text}"
        return self

    def refused(self, status: int) -> str:
        """The detail of a problem document, whose form is checked."""
        self.wanted(status)
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.headers
        assert self.json["status"] == status
        assert self.json["request_id"] == self.headers["X-Request-ID"]
        return str(self.json["detail"])


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is logged in."""

    id: int
    name: str
    token: str
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording as its file holds it, and what is said in it."""

    audio: bytes
    format: str
    text: str = ""

    @classmethod
    def of(cls, path: Path) -> Clip:
        """The clip in a file; its text from the `truth.json` beside it, if there is one."""
        truth = path.with_name("truth.json")
        known = json.loads(truth.read_text(encoding="utf-8")) if truth.exists() else {}
        return cls(path.read_bytes(), path.suffix.lstrip("."), known.get(path.name, {}).get("text", ""))

    def heard_in(self, reply: Reply) -> Json:
        """The recognition that came back, whose words are this clip's to the last one."""
        recognition: Json = reply.wanted(200).json
        assert word_errors(self.text, recognition["text"])[0] == 0, recognition["text"]
        return recognition


class Client:
    """Speaks to one node."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self.base = base

    async def ask(
        self,
        method: str,
        path: str,
        who: Person | None = None,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request; `path` is below the API's prefix, unless it begins with `//`."""
        url = self.base + (path[1:] if path.startswith("//") else API + path)
        sent = {**({"Authorization": f"Bearer {who.token}"} if who else {}), **(headers or {})}
        async with self._session.request(method, url, json=body, headers=sent) as response:
            return Reply(response.status, response.headers, await response.text())

    async def get(self, path: str, who: Person | None = None) -> Any:
        """The JSON that is there."""
        return (await self.ask("GET", path, who)).wanted(200).json

    async def post(self, path: str, who: Person | None = None, body: Json | None = None) -> Any:
        """The JSON that comes back."""
        return (await self.ask("POST", path, who, {} if body is None else body)).wanted(200, 201).json

    async def register(self, name: str = "", password: str = PASSWORD) -> str:
        """A new account; returns its name."""
        name = name or f"someone-{next(_numbers)}"
        await self.post("/auth/register", body={"username": name, "email": f"{name}@example.org", "password": password})
        return name

    async def log_in(self, name: str, password: str = PASSWORD) -> Person:
        """A session of somebody who is registered."""
        session = await self.post("/auth/login", body={"username": name, "password": password})
        return Person(session["user"]["id"], name, session["access_token"], session["refresh_token"])

    async def person(self) -> Person:
        """Somebody new, logged in."""
        return await self.log_in(await self.register())

    async def started_meeting(self, host: Person, *guests: Person, **draft: Any) -> Json:
        """A meeting that goes on, with these people in it."""
        meeting: Json = await self.post("/meetings", host, {"title": "A meeting", **draft})
        await self.post(f"/meetings/{meeting['id']}/start", host)
        for guest in guests:
            await self.post(f"/meetings/{meeting['id']}/join", guest, {"password": draft.get("password", "")})
        return meeting

    async def recognise(self, who: Person, meeting_id: int, clip: Clip, **more: Any) -> Reply:
        """Post a clip to the AI."""
        audio = base64.b64encode(clip.audio).decode()
        body = {"audio_data": audio, "meeting_id": meeting_id, "format": clip.format, **more}
        return await self.ask("POST", "/ai/speech-recognition", who, body)

    async def analyses(self, who: Person, meeting_id: int) -> list[Json]:
        """Everything that the AI found in a meeting."""
        return await self._pages(f"/ai/analysis/{meeting_id}", who)

    async def transcript(self, who: Person, meeting_id: int) -> list[Json]:
        """Every line of a meeting's transcript."""
        return await self._pages(f"/meetings/{meeting_id}/transcript", who)

    async def figure(self, name: str) -> float:
        """One figure of `/metrics` that has no labels."""
        page = (await self.ask("GET", "//metrics")).wanted(200).text
        return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} "))

    async def _pages(self, path: str, who: Person) -> list[Json]:
        items: list[Json] = []
        cursor = ""
        while True:
            page = await self.get(f"{path}?cursor={cursor}", who)
            items += page["items"]
            cursor = page["next_cursor"]
            if not cursor:
                return items


class Signaling:
    """One signaling connection. `welcome` is the server's first frame."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.welcome: Json = {}

    async def send(self, **frame: Any) -> None:
        """Send a frame."""
        await self._socket.send(json.dumps(frame))

    async def receive(self) -> Json:
        """The next frame, whatever it is."""
        async with asyncio.timeout(WAIT_S):
            frame: Json = json.loads(await self._socket.recv())
        return frame

    async def expect(self, kind: str) -> Json:
        """The next frame, which is of this type."""
        frame = await self.receive()
        assert frame["type"] == kind, frame
        return frame

    async def join(self, room_id: str) -> Json:
        """Enter a room, right after the welcome or a leave."""
        await self.send(type="join", room_id=room_id, id="join")
        joined = await self.expect("joined")
        assert joined["id"] == "join"
        return joined

    async def closed(self) -> int:
        """The code with which the server closed, nothing else being sent before it."""
        try:
            frame = await self.receive()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
        raise AssertionError(f"a frame in place of a close: {frame}")


@asynccontextmanager
async def client(base: str) -> AsyncIterator[Client]:
    """A client of the node at this address."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=50)) as session:
        yield Client(session, base)


@asynccontextmanager
async def signaling(base: str, who: Person) -> AsyncIterator[Signaling]:
    """A signaling connection of somebody, past its welcome."""
    async with connect(base.replace("http", "ws", 1) + "/ws", proxy=None, ping_interval=None) as socket:
        line = Signaling(socket)
        await line.send(type="auth", token=who.token)
        line.welcome = await line.expect("welcome")
        assert (line.welcome["user_id"], line.welcome["username"]) == (who.id, who.name)
        yield line


async def until(check: Callable[[], Awaitable[T]], what: str, within_s: float = WAIT_S) -> T:
    """Ask again and again until the answer is true; that answer."""
    end = time.monotonic() + within_s
    while True:
        found = await check()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: not within {within_s:g} s"
        await asyncio.sleep(_POLL_S)
