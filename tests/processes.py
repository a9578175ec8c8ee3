"""The process table, as far as tests need it: who is a child of whom, and which processes this test run has started.

Read from /proc; where there is none (macOS), the table is empty and the checks for leftovers find nothing.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RUN_VARIABLE: Final = "PARLEY_TEST_RUN"
"""Set to the id of the test run in the environment of everything that it starts, so that even an orphan is found."""

_POLL_S: Final = 0.02
_ENDED: Final = "ZX"
_SERVANTS: Final = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Python's own: they belong to the process that tests run in, and end with it."""


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    session: int
    command: str


def processes() -> dict[int, Process]:
    """All processes that have not ended, by id. What ends while it is read is left out."""
    found = {}
    for pid in _pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        state, parent, _, session, *_ = stat.rpartition(")")[2].split()
        if state not in _ENDED:
            command = " ".join(word.decode(errors="replace") for word in words).strip()
            found[pid] = Process(pid, int(parent), int(session), command)
    return found


def children() -> dict[int, Process]:
    """The running children of this process, without Python's own servants."""
    mine = os.getpid()
    return {
        pid: one
        for pid, one in processes().items()
        if one.parent == mine and not any(name in one.command for name in _SERVANTS)
    }


def of_run(run_id: str) -> dict[int, Process]:
    """The processes other than this one that carry the id of the test run, children or not."""
    mark = f"{RUN_VARIABLE}={run_id}".encode()
    found = {}
    for pid, one in processes().items():
        try:
            carries = mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if carries and pid != os.getpid() and not any(name in one.command for name in _SERVANTS):
            found[pid] = one
    return found


def kill(pid: int) -> None:
    """Kill one process, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def settles(condition: Callable[[], bool], within_s: float) -> bool:
    """Whether the condition holds within that time; it is asked again and again, and at least once."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:
        return []
