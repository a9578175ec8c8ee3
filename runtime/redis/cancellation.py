"""Cancellations that get lost: the client uses `asyncio.wait_for`, which before Python 3.12 may swallow one that comes
just as the answer does (https://github.com/python/cpython/issues/86296).
"""

from __future__ import annotations

import asyncio


def heed_cancellation() -> None:
    """Raise CancelledError if the running task was cancelled and has not noticed. For after each call of the client."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
