"""A real worker process over a real socket: start, models, answers, and every way to leave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import zmq

from inference.repository import ModelRepository
from protocols.ai_results import SpeechResult
from protocols.errors import Code
from protocols.inference import (
    AudioParams,
    Blob,
    Cancel,
    Failure,
    FromWorker,
    Ready,
    Request,
    Result,
    Stop,
    ToWorker,
    decode_from_worker,
    encode,
)
from tests.inference.conftest import Clip
from tests.inference.measures import words
from tests.processes import processes, settles
from tests.servers import ROOT

WITHIN_MS = 20_000
ECHO = ("-m", "tests.inference.echo_worker")
REAL = ("-m", "inference.worker")


class Shard:
    """The other end of one worker's wire, blocking."""

    def __init__(self, folder: Path) -> None:
        self.endpoint = f"ipc://{folder}/shard"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, WITHIN_MS)
        self._socket.bind(self.endpoint)

    def send(self, message: ToWorker, payload: Sequence[bytes] = ()) -> None:
        self._socket.send_multipart([b"one", *encode(message, payload)])

    def send_frames(self, *frames: bytes) -> None:
        self._socket.send_multipart([b"one", *frames])

    def receive(self) -> FromWorker:
        return decode_from_worker(self._socket.recv_multipart()[1:])

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def shard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shard]:
    made = Shard(tmp_path_factory.mktemp("s"))
    yield made
    made.close()


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(shard: Shard, tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def begin(program: Sequence[str] = ECHO, models: str = "well", folder: Path = tmp_path) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(command(shard, program, models, folder, os.getpid()), cwd=ROOT))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def command(shard: Shard, program: Sequence[str], models: str, folder: Path, parent: int) -> list[str]:
    options = ["--endpoint", shard.endpoint, "--identity", "one", "--models", models, "--models-dir", str(folder)]
    return [sys.executable, *program, *options, "--parent-pid", str(parent)]


@pytest.mark.models
def test_a_worker_loads_its_models_and_recognises(
    shard: Shard, start: Start, repository: ModelRepository, jfk: Clip
) -> None:
    start(REAL, "moonshine-tiny-en,silero-vad", repository.folder)
    ready = shard.receive()
    assert isinstance(ready, Ready)
    assert ready.tasks == ("speech_recognition",)
    assert [state.name for state in ready.models if not state.error] == ["moonshine-tiny-en", "silero-vad"]
    shard.send(Request(1, "speech_recognition", "", 30_000, AudioParams("flac")), [jfk.data])
    result = shard.receive()
    assert isinstance(result, Result)
    assert isinstance(result.value, SpeechResult)
    assert words(result.value.text) == words(jfk.text)
    assert result.compute_ms > 0
    for bad in (b"", b"x", b"fLaC" + b"\xff" * 1000):
        shard.send(Request(2, "speech_recognition", "", 30_000, AudioParams("flac")), [bad])
        refused = shard.receive()
        assert isinstance(refused, Failure)
        assert refused.code is Code.INVALID_ARGUMENT


@pytest.mark.models
def test_a_model_that_is_pulled_later_is_found_by_the_next_request(
    shard: Shard, start: Start, repository: ModelRepository, tmp_path: Path, jfk: Clip
) -> None:
    start(REAL, "moonshine-tiny-en,silero-vad", tmp_path / "models")
    ready = shard.receive()
    assert isinstance(ready, Ready)
    assert ready.tasks == ()
    assert all("inference.repository pull" in state.error for state in ready.models)
    request = Request(1, "speech_recognition", "", 30_000, AudioParams("flac"))
    shard.send(request, [jfk.data])
    refused = shard.receive()
    assert isinstance(refused, Failure)
    assert refused.code is Code.UNIMPLEMENTED
    assert "python -m inference.repository pull moonshine-tiny-en" in refused.detail
    (tmp_path / "models").symlink_to(repository.folder.resolve())
    shard.send(request, [jfk.data])
    assert isinstance(shard.receive(), Result)
    again = shard.receive()
    assert isinstance(again, Ready)
    assert again.tasks == ("speech_recognition",)


def test_what_has_expired_is_not_run(shard: Shard, start: Start, tmp_path: Path) -> None:
    start()
    assert isinstance(shard.receive(), Ready)
    for remaining_ms in (0.0, -5.0, float("nan")):
        shard.send(Request(1, "crash", "", remaining_ms))
        answer = shard.receive()
        assert isinstance(answer, Failure)
        assert answer.code is Code.DEADLINE_EXCEEDED


def test_a_cancel_ends_what_runs_and_skips_what_waits(shard: Shard, start: Start, tmp_path: Path) -> None:
    start()
    assert isinstance(shard.receive(), Ready)
    shard.send(Request(1, "gate", "", 60_000), [str(tmp_path / "never").encode()])
    shard.send(Request(2, "crash", "", 60_000))
    shard.send(Cancel(2))
    shard.send(Cancel(1))
    for number in (1, 2):
        answer = shard.receive()
        assert isinstance(answer, Failure)
        assert (answer.id, answer.code) == (number, Code.CANCELLED)


def test_malformed_messages_are_survived(shard: Shard, start: Start) -> None:
    start()
    assert isinstance(shard.receive(), Ready)
    for frames in ([b""], [b"\x01"], [b"\x09abc"], [b"\x01\xff"], [b"\x01" + os.urandom(50), b"more"]):
        shard.send_frames(*frames)
    shard.send(Request(1, "echo", "", 60_000), [b"still here"])
    answer = shard.receive()
    assert isinstance(answer, Result)
    assert answer.value == Blob(b"still here")


@pytest.mark.parametrize("how", ["SIGTERM", "Stop"])
def test_a_stop_finishes_the_item_in_hand_and_no_other(shard: Shard, start: Start, tmp_path: Path, how: str) -> None:
    process = start()
    assert isinstance(shard.receive(), Ready)
    gate = tmp_path / "gate"
    shard.send(Request(1, "gate", "", 60_000), [str(gate).encode()])
    shard.send(Request(2, "crash", "", 60_000))
    assert settles(lambda: any(tmp_path.glob("*.begun")), 20.0)
    if how == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        shard.send(Stop())
    gate.touch()
    answer = shard.receive()
    assert isinstance(answer, Result)
    assert answer.id == 1
    assert process.wait(20) == 0


def test_an_idle_worker_leaves_at_once_on_sigterm_and_ignores_sigint(shard: Shard, start: Start) -> None:
    process = start()
    assert isinstance(shard.receive(), Ready)
    process.send_signal(signal.SIGINT)
    shard.send(Request(1, "echo", "", 60_000), [b"x"])
    assert isinstance(shard.receive(), Result)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_worker_does_not_outlive_its_parent(shard: Shard, tmp_path: Path) -> None:
    """The parent is a process of its own, killed while its worker is in the middle of a request that never ends."""
    starter = (
        "import os, subprocess, sys, signal;"
        "print(subprocess.Popen([*sys.argv[1:], str(os.getpid())]).pid, flush=True); signal.pause()"
    )
    line = command(shard, ECHO, "well", tmp_path, 0)[:-1]
    parent = subprocess.Popen([sys.executable, "-c", starter, *line], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        worker = int(parent.stdout.readline())
        assert isinstance(shard.receive(), Ready)
        shard.send(Request(1, "hang", "", 600_000))
        parent.kill()
        parent.wait()
    assert settles(lambda: worker not in processes(), 20.0)


def test_an_orphan_does_not_start(shard: Shard, start: Start, tmp_path: Path) -> None:
    process = subprocess.Popen(command(shard, REAL, "x", tmp_path, 2**22), cwd=ROOT)
    assert process.wait(20) == 3
