"""What a child process promises its parent: that it does not outlive it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends (Linux, prctl(2); elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def orphaned(parent_pid: int) -> bool:
    """Whether the parent is gone: an orphan is handed to another parent."""
    return os.getppid() != parent_pid
