"""Subscribers for the tests of topics, and events that are told apart by a name."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Final

from protocols.events import Topic, UserStatusChanged
from runtime.engine import Actor, Backoff, on
from runtime.topics import GroupSettings, Published, Topics

STEADY: Final = Backoff(min_s=1.0, max_s=60.0, factor=2.0, jitter=0.0)
FEW: Final = GroupSettings(window=4, max_attempts=3, handle_timeout_s=10.0, backoff=STEADY)


def named(name: str) -> UserStatusChanged:
    """An event that carries a name."""
    return UserStatusChanged(user_id=1, old_status="", new_status=name)


def name_of(message: Published) -> str:
    """The name that an event carries."""
    payload = message.envelope.payload
    assert isinstance(payload, UserStatusChanged)
    return payload.new_status


async def publish_all(topics: Topics, names: list[str]) -> None:
    """Publish events one after the other."""
    for name in names:
        await topics.publish(named(name))


class Listener(Actor):
    """Keeps the names of the events that come, then answers with what `answer` does: returns, awaits or raises."""

    def __init__(self, seen: list[str], answer: Callable[[str], Any] = lambda _: None) -> None:
        self.seen = seen
        self.answer = answer

    @on(Published)
    async def hear(self, message: Published) -> None:
        name = name_of(message)
        self.seen.append(name)
        result = self.answer(name)
        if inspect.isawaitable(result):
            await result


async def emptied(topics: Topics, within_s: float = 10.0) -> None:
    """Return when no event waits any more."""
    async with asyncio.timeout(within_s):
        while any(topics.depths.values()):  # noqa: ASYNC110 - the journal has no waiters for this
            await asyncio.sleep(0.005)


async def holds(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Return when the condition holds; it is asked again and again."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is looked at has no waiters
            await asyncio.sleep(0.005)


USERS: Final = Topic.USER
