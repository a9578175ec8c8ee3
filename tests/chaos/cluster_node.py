"""A node whose counters keep their totals in files: `python -m tests.chaos.cluster_node URL NAME FOLDER`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from protocols.errors import Aborted
from protocols.messages import message
from runtime.cluster import Cluster, RedisStore, RedisTransport
from runtime.engine import Actor, ActorSystem, on
from runtime.redis import RedisClients

KINDS = ("saved",)


@message("test.chaos_add")
class Add:
    """Answer: (total, node, fencing token), once the total is on the disk."""

    amount: int


class Saved(Actor):
    """A counter in a file, whose first line is the token under which it was written."""

    def __init__(self, counter: str, folder: Path) -> None:
        self._file = folder / counter
        self.total = 0

    def started(self) -> None:
        self.total = self._read()[1]

    @on(Add)
    def add(self, message: Add) -> tuple[int, str, int]:
        if self._read()[0] > self.fence:
            raise Aborted("a newer activation has written")
        self.total += message.amount
        draft = self._file.with_suffix(f".{os.getpid()}")
        draft.write_text(f"{self.fence}\n{self.total}\n")
        draft.replace(self._file)
        return self.total, self.system.name, self.fence

    def _read(self) -> tuple[int, int]:
        if not self._file.exists():
            return 0, 0
        fence, total = self._file.read_text().split()
        return int(fence), int(total)


async def node(
    url: str, name: str, folder: Path, carries: tuple[str, ...]
) -> tuple[ActorSystem, Cluster, RedisClients]:
    """A node that has joined."""
    clients = RedisClients(url)
    system = ActorSystem(name)
    system.entities.define("saved", lambda counter: Saved(counter, folder))
    cluster = Cluster(system, RedisStore(clients), RedisTransport(clients), name=name, placed=KINDS, carries=carries)
    await cluster.start()
    return system, cluster, clients


async def main(url: str, name: str, folder: Path) -> None:
    """Run until SIGTERM, then drain and leave."""
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    system, cluster, clients = await node(url, name, folder, KINDS)
    print("in the cluster", flush=True)
    await told.wait()
    print("drained" if await cluster.drain(10.0) else "not drained", flush=True)
    await cluster.stop()
    await system.stop()
    await clients.aclose()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
