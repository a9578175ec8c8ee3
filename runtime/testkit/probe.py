"""A probe: an actor in the hands of a test. It keeps what it is sent until the test asks for it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, TypeVar

from runtime.engine import Actor, ActorSystem, Ref, Reply
from runtime.engine.envelope import Envelope

M = TypeVar("M")


class _Inbox(Actor):
    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def receive(self, message: Any) -> None:
        """Hand the message over; who asked waits until the test answers."""
        asked = type(self._cell.current) is Envelope
        self._probe.take(message, self.defer() if asked else None)


class Probe:
    """Receives messages for a test. Waiting is on the system's clock, virtual in a simulation."""

    def __init__(self, system: ActorSystem, name: str | None = None) -> None:
        self._messages: deque[tuple[Any, Reply | None]] = deque()
        self._arrived = asyncio.Event()
        self._reply: Reply | None = None
        self.ref: Ref = system.spawn(_Inbox, self, name=name)

    def take(self, message: Any, reply: Reply | None) -> None:
        """Keep a message. Called by the probe's actor."""
        self._messages.append((message, reply))
        self._arrived.set()

    async def next(self, *, within_s: float = 5.0) -> Any:
        """The next message, whatever it is. AssertionError when none comes within the time."""
        try:
            async with asyncio.timeout(within_s):
                while not self._messages:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"no message came within {within_s:g} s") from None
        message, self._reply = self._messages.popleft()
        return message

    async def expect(self, kind: type[M], *, within_s: float = 5.0) -> M:
        """The next message, which must be of this kind."""
        message = await self.next(within_s=within_s)
        assert isinstance(message, kind), f"expected {kind.__name__}, got {message!r}"
        return message

    async def expect_none(self, *, for_s: float) -> None:
        """AssertionError when a message comes within `for_s` seconds."""
        assert not self._messages, f"expected nothing, got {self._messages[0][0]!r}"
        self._arrived.clear()
        try:
            async with asyncio.timeout(for_s):
                await self._arrived.wait()
        except TimeoutError:
            return
        raise AssertionError(f"expected nothing, got {self._messages[0][0]!r}")

    def answer(self, value: object) -> None:
        """Answer the message taken last, which was asked."""
        assert self._reply is not None, "the message taken last was not asked, so it takes no answer"
        self._reply.send(value)

    def drain(self) -> list[Any]:
        """Every message that is here, now."""
        messages = [message for message, _ in self._messages]
        self._messages.clear()
        return messages
