"""Starts the process at the other end of a measurement: a module of this package that lives until its input ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine
from typing import Any

from tests.bench.rounds import ROOT


def start(module: str) -> subprocess.Popen[bytes]:
    """Run a module until it says that it is ready."""
    process = subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == b"ready\n", line
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Let it end."""
    assert process.stdin is not None
    process.stdin.close()
    process.wait(10)


async def until_input_ends(work: Coroutine[Any, Any, None]) -> None:
    """Say ready, and do the work until whoever started this process ends, or says so."""
    task = asyncio.create_task(work)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    task.cancel()
    await asyncio.wait({task})
