"""Telling the topics what happened.

A change is stored first and announced after it. A crash between the two leaves a change that nobody heard of, until an
outbox ties them together; so nothing that must be right may depend on an announcement having arrived.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol

import structlog

from protocols.errors import ParleyError
from runtime.engine import Actor

log: Final = structlog.get_logger("parley.news")


class Topics(Protocol):
    """Where events are published."""

    def publish(self, event: object) -> Awaitable[object]:
        """Publish an event: when this returns, it is kept for each durable group. Raises ParleyErrors."""
        ...


async def announce(topics: Topics, event: object) -> bool:
    """Publish what has been stored already. Where that fails the change stands all the same: False, and a log entry."""
    try:
        await topics.publish(event)
    except ParleyError as error:
        log.error("event lost", event_type=type(event).__name__, reason=error.detail)
        return False
    return True


class Herald(Actor):
    """Publishes what it is told, in that order, for an actor that must not wait for it."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics

    async def receive(self, message: object) -> bool:
        """Publish an event."""
        return await announce(self._topics, message)
