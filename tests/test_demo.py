"""The demo, as a newcomer runs it: it tells each step of a meeting, or in one line what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.inference.measures import words
from tests.node import parley_node
from tests.servers import ROOT, Server, answers, free_ports

pytestmark = pytest.mark.servers

STEPS = (
    "registered and logged in",
    "created meeting",
    "both joined room_",
    "offer of",
    "answer and candidates went both ways",
    "says something (",
    "the AI heard, in",
    "the result came back from /api/v1/ai/analysis/",
    "the transcript has",
    "the meeting has ended, and everybody in the room was told",
)


@pytest.fixture(scope="module")
def node(models_dir: Path) -> Iterator[Server]:
    with parley_node(model_dir=models_dir) as server:
        yield server


def demo(url: str, *arguments: object, models: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **({"PARLEY_MODEL_DIR": str(models)} if models else {})}
    return subprocess.run(
        [sys.executable, "-m", "deploy.demo", "--url", url, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def fails_in_one_line(ended: subprocess.CompletedProcess[str]) -> str:
    assert ended.returncode == 1, ended
    (line,) = ended.stderr.splitlines()
    assert line.startswith("  ✗ ")
    return line


def steps(ended: subprocess.CompletedProcess[str]) -> list[str]:
    assert (ended.returncode, ended.stderr) == (0, "")
    told = [line.removeprefix("  ✓ ") for line in ended.stdout.splitlines() if line.startswith("  ✓ ")]
    assert len(told) == len(STEPS)
    assert all(part in line for part, line in zip(STEPS, told, strict=True)), told
    assert ended.stdout.endswith("Everything happened as it should.\n")
    return told


@pytest.mark.models
def test_with_the_clip_that_comes_with_the_model(node: Server, models_dir: Path) -> None:
    ended = demo(node.url, models=models_dir)
    assert "two_cities.wav" in steps(ended)[5]
    heard = next(line for line in ended.stdout.splitlines() if "“" in line)
    assert words(heard)[:12] == words("It was the best of times, it was the worst of times")


@pytest.mark.models
def test_with_a_clip_of_ones_own_and_a_slash_behind_the_address(node: Server, shared: Path) -> None:
    ended = demo(f"{node.url}/", "--clip", shared / "data" / "speech" / "jfk.flac")
    assert "jfk.flac" in steps(ended)[5]
    assert "ask not what your country can do for you" in ended.stdout


@pytest.mark.models
def test_a_clip_that_is_none(node: Server, tmp_path: Path) -> None:
    assert "run `make models`, or name one with --clip" in fails_in_one_line(demo(node.url, models=tmp_path))
    missing = tmp_path / "none.wav"
    assert f"the clip {missing} cannot be read" in fails_in_one_line(demo(node.url, "--clip", missing))
    garbage = tmp_path / "garbage.wav"
    garbage.write_bytes(b"garbage" * 100)
    assert "/ai/speech-recognition: 400 " in fails_in_one_line(demo(node.url, "--clip", garbage))
    nameless = tmp_path / "nameless"
    nameless.write_bytes(b"garbage" * 100)
    assert "format" in fails_in_one_line(demo(node.url, "--clip", nameless))


def test_without_a_node(tmp_path: Path) -> None:
    clip = tmp_path / "clip.wav"
    clip.write_bytes(b"not read before a node answers")
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    line = fails_in_one_line(demo(url, "--clip", clip))
    assert f"no node answers at {url}" in line
    assert "make run" in line


@pytest.mark.parametrize("url", ["127.0.0.1", "nonsense://here", "http://"])
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    clip = tmp_path / "clip.wav"
    clip.touch()
    assert url in fails_in_one_line(demo(url, "--clip", clip))


def test_a_server_that_is_no_node(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1", "--directory", "{folder}"]
    clip = tmp_path / "clip.wav"
    clip.touch()
    with Server("web", command, ready=answers("/")) as server:
        line = fails_in_one_line(demo(server.url, "--clip", clip))
    assert "501" in line
    assert "Parley" in line


def test_a_node_without_models(tmp_path: Path, shared: Path) -> None:
    with parley_node(model_dir=tmp_path) as server:
        ended = demo(server.url, "--clip", shared / "data" / "speech" / "jfk.flac")
    line = fails_in_one_line(ended)
    assert "501" in line
    assert "python -m inference.repository pull" in line
    assert ended.stdout.count("  ✓ ") == 6
