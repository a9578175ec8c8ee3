"""One inference worker process: `python -m inference.worker --endpoint ipc://... --identity ...`.

It loads its models, warms them up, says so, and then serves one item after the other. SIGTERM lets the item in hand
finish. It does not outlive the process that started it. Exit status: 0 told to stop, 3 it could not start.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket as sockets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import zmq

from inference.pipeline import Pipelines
from inference.process import die_with_parent, orphaned
from inference.worker_loop import WorkerLoop
from protocols.inference import NotReady, encode

if TYPE_CHECKING:
    from inference.pipelines import ModelPipelines

log = logging.getLogger(__name__)

CANNOT_START: Final = 3
_SEND_TIMEOUT_MS: Final = 5000
_LINGER_MS: Final = 1000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one worker until it is told to stop; returns the exit status."""
    arguments = parser().parse_args(argv)
    parent = arguments.parent_pid or os.getppid()
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the parent too, and that one decides
    if orphaned(parent):
        return CANNOT_START
    _log_to_stderr(arguments.log_level, arguments.log_format, arguments.identity)
    with zmq.Context() as context, connect(context, arguments.endpoint, arguments.identity) as socket:
        started = time.monotonic()
        try:
            pipelines = _load(arguments)
        except Exception as error:
            log.exception("the worker cannot start")
            socket.send_multipart(encode(NotReady(f"{type(error).__name__}: {error}")))
            return CANNOT_START
        serve(socket, pipelines, parent, (time.monotonic() - started) * 1000)
    return 0


def connect(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, identity: str) -> zmq.Socket[bytes]:
    """The worker's DEALER socket. A message that cannot leave within 5 s is given up: the other side is gone."""
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, identity.encode())
    socket.setsockopt(zmq.SNDTIMEO, _SEND_TIMEOUT_MS)
    socket.setsockopt(zmq.LINGER, _LINGER_MS)
    socket.connect(endpoint)
    return socket


def serve(socket: zmq.Socket[bytes], pipelines: Pipelines, parent: int, load_ms: float) -> None:
    """Serve until Stop, SIGTERM or the parent's end."""
    ours, wake = sockets.socketpair()
    with ours, wake:
        ours.setblocking(False)
        wake.setblocking(False)
        loop = WorkerLoop(socket, pipelines, time.monotonic, wake, lambda: orphaned(parent))
        signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda _number, _frame: loop.stop())
        try:
            loop.run(os.getpid(), load_ms)
        finally:
            signal.set_wakeup_fd(-1)


def _load(arguments: argparse.Namespace) -> ModelPipelines:
    """Load the models. The heavy packages are imported here, so that one that is broken is reported over the wire."""
    from inference.audio import AudioLimits
    from inference.pipelines import ModelPipelines
    from inference.repository import ModelRepository
    from inference.speech import SpeechSettings

    limits = AudioLimits(max_bytes=arguments.max_audio_bytes, max_s=arguments.max_audio_s)
    names = [name for name in arguments.models.split(",") if name]
    pipelines = ModelPipelines(
        ModelRepository(arguments.models_dir), names, SpeechSettings(limits=limits), arguments.threads
    )
    pipelines.load()
    return pipelines


def parser() -> argparse.ArgumentParser:
    """The worker's command line, as `inference.launch` writes it."""
    options = argparse.ArgumentParser(prog="python -m inference.worker", description="One inference worker process.")
    options.add_argument("--endpoint", required=True, help="the shard's ZeroMQ endpoint")
    options.add_argument("--identity", required=True, help="the name under which the shard knows this worker")
    options.add_argument("--models-dir", type=Path, required=True, help="the model repository")
    options.add_argument("--models", required=True, help="the models to serve, separated by commas")
    options.add_argument("--threads", type=int, default=1, help="onnxruntime threads per model (default 1)")
    options.add_argument("--max-audio-s", type=float, default=600.0, help="the longest audio taken, in seconds")
    options.add_argument("--max-audio-bytes", type=int, default=64 * 1024 * 1024, help="the largest audio, in bytes")
    options.add_argument("--parent-pid", type=int, default=0, help="end when this is no longer the parent process")
    options.add_argument("--log-level", default="INFO", help="DEBUG, INFO, WARNING or ERROR")
    options.add_argument("--log-format", choices=("console", "json"), default="console", help="how the log looks")
    return options


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, identity: str) -> None:
        super().__init__()
        self._identity = identity

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            "worker": self._identity,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def _log_to_stderr(level: str, style: str, identity: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(_JsonLines(identity))
    else:
        name = identity.replace("%", "%%")
        handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s worker={name} %(message)s"))
    logging.basicConfig(handlers=[handler], level=level.upper())


if __name__ == "__main__":
    sys.exit(main())
