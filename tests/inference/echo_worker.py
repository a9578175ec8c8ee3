"""A worker without models that speaks the real wire through the real loop, and misbehaves in every way on request.

Started like the real one (`python -m tests.inference.echo_worker`). `--models` chooses how it starts: `well`, `exits`,
`never-ready`, `not-ready` or `garbage`.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import zmq

from inference.pipeline import KeepGoing, Pipeline
from inference.process import die_with_parent
from inference.worker import connect, parser, serve
from protocols.errors import InvalidArgument, Unimplemented
from protocols.inference import Blob, ModelState, NotReady, Params, Payload, encode

_POLL_S: Final = 0.002


class Task:
    """One of the things that it does."""

    def __init__(self, task: str) -> None:
        self.task = task

    def run(self, payload: Sequence[Payload], params: Params, keep_going: KeepGoing) -> Blob:
        data = b"".join(bytes(frame) for frame in payload)
        match self.task:
            case "pid":
                return Blob(str(os.getpid()).encode())
            case "length":
                return Blob(str(len(data)).encode() + b" " + hashlib.sha256(data).digest())
            case "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            case "crash_once":
                self._crash_once(Path(data.decode()))
            case "hang":
                while True:
                    time.sleep(_POLL_S)
            case "gate":
                self._wait_for(Path(data.decode()), keep_going)
            case "fail":
                raise RuntimeError("a defect")
            case "refuse":
                raise InvalidArgument("no such input")
        return Blob(data)

    @staticmethod
    def _crash_once(mark: Path) -> None:
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def _wait_for(gate: Path, keep_going: KeepGoing) -> None:
        """Leave a mark that the work has begun, then be busy until the gate's file is there."""
        Path(f"{gate}.{os.getpid()}.begun").touch()
        while not gate.exists():
            keep_going()
            time.sleep(_POLL_S)


class Tasks:
    """All that it does."""

    tasks = ("echo", "length", "pid", "crash", "crash_once", "hang", "gate", "fail", "refuse")
    states = (ModelState("well", "1", 0.0),)

    def choose(self, task: str, model: str) -> Pipeline:
        if task not in self.tasks:
            raise Unimplemented(f"{task} cannot be done here")
        return Task(task)


def main() -> int:
    arguments = parser().parse_args()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if arguments.models == "exits":
        return 7
    with zmq.Context() as context, connect(context, arguments.endpoint, arguments.identity) as socket:
        match arguments.models:
            case "never-ready":
                signal.pause()
            case "not-ready":
                socket.send_multipart(encode(NotReady("the library is broken")))
                return 3
            case "garbage":
                socket.send_multipart([b"\xff\x00\x01"])
                signal.pause()
            case _:
                serve(socket, Tasks(), arguments.parent_pid, 0.0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
