"""Mailbox queues: an idle actor has none, it takes one from a pool with its first message."""

from __future__ import annotations

from collections import deque
from typing import Final

IDLE: Final[deque[object]] = deque(maxlen=0)
"""The queue of every idle actor: empty for ever."""

POOL_SIZE: Final = 256

_pool: Final[list[deque[object]]] = []


def fresh() -> deque[object]:
    """An empty queue to fill."""
    return _pool.pop() if _pool else deque()


def give_back(queue: deque[object]) -> None:
    """Return an empty queue that nobody refers to any more."""
    if len(_pool) < POOL_SIZE:
        _pool.append(queue)
