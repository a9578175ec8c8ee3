"""Hashing passwords without holding the loop: argon2id (RFC 9106) in a few threads, with a bounded queue before them.

Each hash takes its memory for the time it runs, so the threads bound the memory too. Past the queue a caller is refused
at once and told when to come back.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from protocols.errors import ResourceExhausted, Unavailable

T = TypeVar("T")

RETRY_AFTER_S: Final = 1.0
LEAST: Final = 8
MOST: Final = 128
"""Characters of a password."""


@dataclass(frozen=True, slots=True)
class HashCost:
    """What one hash costs. The default is RFC 9106's for bounded memory, on one lane: one thread, 64 MiB."""

    rounds: int = 3
    memory_kib: int = 64 * 1024
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class HasherStatistics:
    """`refused` counts callers turned away since the start."""

    threads: int
    refused: int


class PasswordHasher:
    """Hashes and checks. `threads` work at a time and `max_waiting` more may wait. Close it with `close`."""

    def __init__(self, *, threads: int = 2, max_waiting: int = 64, cost: HashCost | None = None) -> None:
        cost = cost or HashCost()
        self._argon2 = argon2.PasswordHasher(cost.rounds, cost.memory_kib, cost.lanes)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="parley-hash")
        self._threads = threads
        self._places = threading.BoundedSemaphore(threads + max_waiting)
        self._refused = 0
        # Of a password that nobody knows. Checking against it costs what checking a real one does.
        self._of_nobody = self._argon2.hash(secrets.token_bytes(32))

    async def hash(self, password: str) -> str:
        """The hash of a password, with its parameters and salt in it."""
        return await self._run(lambda: self._argon2.hash(_canonical(password)))

    async def verify(self, stored: str, password: str) -> bool:
        """Whether this is the password of that hash. A hash that is none matches nothing."""
        return await self._run(lambda: self._matches(stored, password))

    async def verify_nobody(self, password: str) -> None:
        """Take as long as `verify` does, so that a missing account cannot be told by the time it takes."""
        await self._run(lambda: self._matches(self._of_nobody, password))

    def outdated(self, stored: str) -> bool:
        """Whether a hash was made at another cost than the one set now."""
        return self._argon2.check_needs_rehash(stored)

    def statistics(self) -> HasherStatistics:
        """The figures now."""
        return HasherStatistics(self._threads, self._refused)

    async def close(self) -> None:
        """Refuse more, and return when those under way are done. Those whose callers gave up are not begun."""
        await asyncio.to_thread(self._pool.shutdown)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._argon2.verify(stored, _canonical(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            self._refused += 1
            raise ResourceExhausted("too many passwords are being checked", retry_after_s=RETRY_AFTER_S)
        try:
            job = self._pool.submit(work)
        except RuntimeError:
            self._places.release()
            raise Unavailable("passwords are not checked any more: the node is stopping") from None
        # The place is given back when the job is over, not when its caller gives up: a thread cannot be interrupted.
        job.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(job)


def _canonical(password: str) -> bytes:
    """The bytes of a password: NFC, so that every keyboard types the same one (RFC 8265, OpaqueString)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
