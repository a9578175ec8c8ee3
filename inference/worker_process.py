"""Keeping one worker process alive: start it, notice its end, start the next one, and wait longer the worse it goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How soon a worker that ended is replaced. One that was ready and lived `stable_s` is replaced at once; each quick
    end in a row doubles the wait from `first_s` up to `longest_s`, spread by up to a quarter.
    """

    start_timeout_s: float = 30.0
    stop_timeout_s: float = 5.0
    stable_s: float = 10.0
    first_s: float = 0.1
    longest_s: float = 30.0

    def delay_s(self, quick_ends: int, rng: random.Random) -> float:
        """The wait before the next start after that many quick ends in a row; the first costs nothing."""
        if quick_ends <= 1:
            return 0.0
        wait = min(self.longest_s, self.first_s * 2.0 ** min(quick_ends - 2, 30))
        return wait * rng.uniform(0.75, 1.25)


class Launch(Protocol):
    """One process to start."""

    @property
    def command(self) -> Sequence[str]: ...

    @property
    def environment(self) -> dict[str, str]: ...


class Owner(Protocol):
    """Who is told when a process is gone."""

    def process_ended(self, slot: Slot, reason: str, *, crashed: bool) -> None:
        """The process of this slot is gone; `crashed` unless it left in good order."""
        ...


class Slot:
    """The place of one worker. Its processes come one after the other, each under an identity of its own."""

    def __init__(
        self,
        number: int,
        launch: Callable[[str], Launch],
        policy: RestartPolicy,
        owner: Owner,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self.number = number
        self.starts = 0
        self.ready = False
        self.ready_ms = 0.0
        self.failed_starts = 0
        self.last_error = ""
        self._launch = launch
        self._policy = policy
        self._owner = owner
        self._clock = clock
        self._rng = rng
        self._quick_ends = 0
        self._started_at = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._reason = ""
        self._stop_asked = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Slot {self.identity} pid={self.pid} ready={self.ready}>"

    @property
    def identity(self) -> str:
        """The name of the present process on the wire."""
        return f"worker-{self.number}.{self.starts}"

    @property
    def pid(self) -> int:
        """The present process, 0 between two."""
        return self._process.pid if self._process else 0

    def mark_ready(self) -> None:
        """The present process has reported that it can serve."""
        self.ready = True
        self.failed_starts = 0
        self.ready_ms = (self._clock() - self._started_at) * 1000

    def kill(self, reason: str) -> None:
        """End the present process at once; `reason` is what will be logged as the cause."""
        self._reason = self._reason or reason
        self._signal(signal.SIGKILL)

    def blame(self, reason: str) -> None:
        """Note why the process is about to end by itself."""
        self._reason = self._reason or reason

    async def keep_alive(self) -> None:
        """Start processes until `stop`."""
        while not self._stop_asked.is_set():
            self.starts += 1
            self._reason = ""
            self._started_at = self._clock()
            status = await self._run_one()
            if not self._stop_asked.is_set():
                self._account(status)
                await self._pause(self._policy.delay_s(self._quick_ends, self._rng))

    async def stop(self) -> None:
        """Let the present process finish its item (SIGTERM), and end it when it takes too long. `keep_alive` returns
        by itself after that.
        """
        self._stop_asked.set()
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self._policy.stop_timeout_s):
                await process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await process.wait()

    async def _run_one(self) -> int | None:
        """Run one process to its end; its exit status, None where it could not be started."""
        try:
            launch = self._launch(self.identity)
            self._process = await asyncio.create_subprocess_exec(*launch.command, env=launch.environment)
        except OSError as error:
            self._reason = f"it could not be started: {error}"
            return None
        if self._stop_asked.is_set():
            self._signal(signal.SIGKILL)
        late = asyncio.get_running_loop().call_later(self._policy.start_timeout_s, self._check_started)
        try:
            return await self._process.wait()
        finally:
            late.cancel()
            if self._process.returncode is None:
                self._signal(signal.SIGKILL)
            self._process = None

    async def _pause(self, delay_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stop_asked.wait()

    def _check_started(self) -> None:
        if not self.ready:
            self.kill(f"it was not ready within {self._policy.start_timeout_s:g} s")

    def _account(self, status: int | None) -> None:
        lived_s = self._clock() - self._started_at
        if self.ready and lived_s >= self._policy.stable_s:
            self._quick_ends = 1
        else:
            self._quick_ends += 1
        if not self.ready:
            self.failed_starts += 1
        self.ready = False
        self.last_error = self._reason or _ending(status)
        log.warning("worker %s ended after %.1f s: %s", self.identity, lived_s, self.last_error)
        self._owner.process_ended(self, self.last_error, crashed=status != 0)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


def _ending(status: int | None) -> str:
    if status is None:
        return "it could not be started"
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    return f"it left with exit status {status}"
