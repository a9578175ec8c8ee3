"""Servers for tests: start one on free ports, wait until it answers, stop it with its signal, leave nothing behind.

`Server` is one idea for all of them, Parley's own node included. Its output goes to a log file, of which a failed test
shows the end. It runs in a session of its own, so that whatever it starts is found and ended with it.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NoReturn, Self

import pytest

from tests.processes import Process, kill, processes, settles

ROOT: Final = Path(__file__).resolve().parent.parent
_POLL_S: Final = 0.02
_LEAVE_WITHIN_S: Final = 2.0
_START_ATTEMPTS: Final = 3
_LOG_TAIL_LINES: Final = 60

running: Final[set[Server]] = set()
"""The servers that run now: a failed test shows their logs, and the end of the process ends them."""

Ready = Callable[["Server"], bool]
"""Whether a server serves. May raise OSError, which counts as: not yet."""


def missing(what: str, how: str) -> NoReturn:
    """End a test that lacks something: skipped with the reason, or failed where `PARLEY_REQUIRE_ALL=1`."""
    reason = f"{what} is missing: {how}"
    if os.environ.get("PARLEY_REQUIRE_ALL") == "1":
        pytest.fail(f"{reason} (PARLEY_REQUIRE_ALL=1 lets nothing be skipped)", pytrace=False)
    pytest.skip(reason, allow_module_level=True)


class ServerFailed(Exception):
    """The server did not start, ended by itself, or had to be killed. Ends with the last lines of its log."""


class Server:
    """A server process. `with server:` and `async with server:` start it, wait until `ready`, and stop it.

    In `command` and in the values of `environment`, `{NAME}` stands for the port of that name and `{folder}` for the
    server's folder. `folder` None: a temporary one, removed at the end unless something failed. An exit that needs
    a kill after `stop_within_s` raises ServerFailed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: Ready,
        ports: Sequence[str] = ("port",),
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        start_within_s: float = 30.0,
        stop_within_s: float = 20.0,
    ) -> None:
        self.name = name
        self.stop_signal = stop_signal
        self.start_within_s = start_within_s
        self.stop_within_s = stop_within_s
        self.ports: dict[str, int] = {}
        self._command = tuple(command)
        self._environment = dict(environment or {})
        self._port_names = tuple(ports)
        self._ready = ready
        self._temporary = folder is None
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Where the server may write; its log is in it."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix=f"parley-{self.name}-"))
        return self._folder

    @property
    def log_file(self) -> Path:
        """All that the server printed, over all starts."""
        return self.folder / f"{self.name}.log"

    @property
    def log(self) -> str:
        """All that the server printed."""
        return self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""

    @property
    def log_tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.splitlines()[-_LOG_TAIL_LINES:])

    @property
    def port(self) -> int:
        """The first of the ports."""
        return self.ports[self._port_names[0]]

    @property
    def pid(self) -> int:
        """Process id, for tests that send a signal of their own."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def url(self) -> str:
        """Where HTTP would be served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def exit_status(self) -> int | None:
        """What the process ended with, negative for a signal; None while it runs."""
        return self._process.poll() if self._process else None

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until ready. Raises ServerFailed. A port that was taken meanwhile is replaced by another."""
        for attempt in range(1, _START_ATTEMPTS + 1):
            self.ports = dict(zip(self._port_names, free_ports(len(self._port_names)), strict=True))
            before = len(self.log)
            self._spawn()
            try:
                self._await_ready()
            except ServerFailed:
                taken = not self.alive() and "in use" in self.log[before:].lower()
                self.kill()
                if not taken or attempt == _START_ATTEMPTS:
                    raise
            except BaseException:
                self.kill()
                raise
            else:
                return

    def stop(self) -> int:
        """Send the stop signal and wait; return the exit status. Raises ServerFailed where only a kill ended it."""
        assert self._process is not None, "not started"
        if self.alive():
            self._process.send_signal(self.stop_signal)
        return self.wait_stopped()

    def wait_stopped(self) -> int:
        """Wait until the process has ended, for `stop_within_s`. Returns its exit status, or raises ServerFailed."""
        assert self._process is not None, "not started"
        try:
            self._process.wait(self.stop_within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self._failed(f"still ran {self.stop_within_s:g} s after {self.stop_signal.name}") from None
        clean = settles(lambda: not self._members(), _LEAVE_WITHIN_S)
        left = [one.command for one in self._members()]
        self.kill()
        if not clean:
            raise self._failed(f"ended and left processes behind: {left}")
        return self._process.returncode

    def kill(self) -> None:
        """End the process and all that it started, now. Safe to call at any time."""
        if self._process is None:
            return
        for one in self._members():
            kill(one.pid)
        if self.alive():
            self._process.kill()
        self._process.wait()
        running.discard(self)

    def _members(self) -> list[Process]:
        """The process and all that it started, as long as they run and made no session of their own."""
        return [one for one in processes().values() if self._process and one.session == self._process.pid]

    def _spawn(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **{name: self._filled(value) for name, value in self._environment.items()}}
        log: IO[bytes]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [self._filled(word) for word in self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=ROOT,
                start_new_session=True,
            )
        running.add(self)

    def _filled(self, text: str) -> str:
        for name, value in {**self.ports, "folder": self.folder}.items():
            text = text.replace("{" + name + "}", str(value))
        return text

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self.start_within_s
        reason = ""
        while time.monotonic() < deadline:
            if not self.alive():
                raise self._failed("ended before it was ready")
            try:
                if self._ready(self) and self.alive():
                    return
            except OSError as error:
                reason = str(error)
            else:
                reason = "it does not answer yet"
            time.sleep(_POLL_S)
        raise self._failed(f"was not ready within {self.start_within_s:g} s ({reason})")

    def _failed(self, what: str) -> ServerFailed:
        ended = "" if self.exit_status is None else f", exit status {self.exit_status}"
        return ServerFailed(f"{self.name} {what}{ended}; its log {self.log_file} ends:\n{self.log_tail}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
            print(f"log of {self.name}, {self.log_file}, ends:\n{self.log_tail}", file=sys.stderr)
            return
        if self in running:
            self.stop()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)


def free_ports(count: int) -> list[int]:
    """Different TCP ports of 127.0.0.1 that were free a moment ago."""
    holders = [socket.socket() for _ in range(count)]
    try:
        for holder in holders:
            holder.bind(("127.0.0.1", 0))
        return [holder.getsockname()[1] for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def listens(server: Server) -> bool:
    """Ready when the first port takes a connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=1):
        return True


def answers(path: str) -> Ready:
    """Ready when a GET of this path is answered with a status below 400."""

    def ready(server: Server) -> bool:
        try:
            with urllib.request.urlopen(server.url + path, timeout=1):
                return True
        except urllib.error.HTTPError:
            return False

    return ready


def logged(text: str) -> Ready:
    """Ready when the log holds this text."""
    return lambda server: text in server.log


@atexit.register
def _end_all() -> None:
    for server in tuple(running):
        server.kill()
