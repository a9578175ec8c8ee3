"""The node that has the counter."""

from __future__ import annotations

import asyncio

from runtime.cluster import Cluster
from tests.bench.benches.remote.far_side import until_input_ends
from tests.bench.benches.remote.parley_nodes import KINDS, in_cluster
from tests.bench.pace import on_loop


async def _forever() -> None:
    await asyncio.Event().wait()


async def _serve(_: Cluster) -> float:
    await until_input_ends(_forever())
    return 0.0


if __name__ == "__main__":
    on_loop(in_cluster("far", KINDS, _serve))
