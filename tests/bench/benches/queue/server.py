"""The server of a run, and its address for the measuring processes."""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.runtime.redis.valkey import DURABLE, binary
from tests.servers import Server, listens

ADDRESS: Final = "PARLEY_BENCH_REDIS"
"""The variable that holds the URL."""


def url() -> str:
    """Where the server of this run is."""
    return os.environ[ADDRESS]


def server() -> Server | None:
    """A server on a TCP port, as most are used; None where there is no program for it."""
    try:
        program = str(binary())
    except (pytest.skip.Exception, pytest.fail.Exception):
        return None
    command = [program, "--port", "{port}", "--bind", "127.0.0.1", "--dir", "{folder}", "--save", "", *DURABLE]
    return Server("valkey", command, ready=listens)
