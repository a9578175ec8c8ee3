"""The README is true: its commands exist, its tables are right, and what it tells to type works as it says."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runtime import __version__
from runtime.config import Settings
from tests import test_demo
from tests.client import Clip, Reply
from tests.node import parley_node
from tests.servers import ROOT, Server, missing

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TALK = next(text for kind, text in BLOCKS if kind == "sh" and "curl" in text)


@pytest.fixture(scope="module")
def node(models_dir: Path) -> Iterator[Server]:
    with parley_node(model_dir=models_dir) as server:
        yield server


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def commands() -> list[str]:
    """Everything that the README sets in code, line by line."""
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL))
    return [*inline, *(line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines())]


def test_every_make_command_is_a_target() -> None:
    named = {match for line in commands() for match in re.findall(r"^make ([a-z]+)", line)}
    assert named >= {"run", "demo", "test", "lint", "types", "bench"}
    assert named <= targets()


def test_every_module_that_is_to_be_run_is_there() -> None:
    named = {match for line in commands() for match in re.findall(r"^python -m ([\w.]+)", line)}
    assert named >= {"runtime.node", "inference.repository", "tests.bench"}
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def test_every_file_and_folder_that_is_named_is_there() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    folders = re.findall(r"^\| `([a-z]+)` \|", README, re.MULTILINE)
    files = [line for line in commands() if re.fullmatch(r"[\w.]+(/[\w.]+)+", line) and "." in line]
    assert len(linked) >= 4
    assert len(folders) == 7
    assert [name for name in (*linked, *folders, *files) if not (ROOT / name).exists()] == []


def test_options_and_settings_that_are_named_exist() -> None:
    text = "\n".join(commands())
    for name in re.findall(r"PARLEY_([A-Z_]+)", text):
        assert name.lower() in Settings.model_fields or name in ("SHARED", "REQUIRE_ALL"), name
    ended = subprocess.run([sys.executable, "-m", "runtime.node", "--help"], capture_output=True, text=True, check=True)
    for line in re.findall(r"^python -m runtime\.node (--\S+)", text, re.MULTILINE):
        assert line in ended.stdout


def test_the_version_shown_is_this_one() -> None:
    assert f"Parley {__version__} is ready: http://127.0.0.1:{Settings().http_port}\n" in README


def test_the_demo_shown_has_the_steps_of_the_demo() -> None:
    shown = next(text for _, text in BLOCKS if "✓" in text)
    steps = [line for line in shown.splitlines() if "✓" in line]
    assert len(steps) == len(test_demo.STEPS)
    assert all(part in line for part, line in zip(test_demo.STEPS, steps, strict=True))


@pytest.mark.servers
def test_the_table_of_ports_is_true(node: Server) -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", README, re.MULTILINE)
    defaults = Settings()
    assert [int(port) for port, _ in rows] == [defaults.http_port, defaults.signaling_port, defaults.ai_port]
    pages = re.findall(r"`(/\w+)`", rows[0][1])
    assert "/livez" in pages
    for port in node.ports.values():
        for page in [*(page for page in pages if page != "/ws"), "/", "/openapi.json"]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}") as answer:
                assert answer.status == 200


@pytest.mark.servers
@pytest.mark.models
def test_talk_to_it_as_it_is_written(node: Server, shared: Path, tmp_path: Path) -> None:
    for program in ("bash", "curl", "base64", "python3"):
        if shutil.which(program) is None:
            missing(program, f"install {program}")
    speech = shared / "data" / "speech" / "leopard_en.wav"
    shutil.copy(speech, tmp_path / "hello.wav")
    assert "http://127.0.0.1:8080/" in TALK
    script = "set -euo pipefail\n" + TALK.replace("http://127.0.0.1:8080/", f"{node.url}/")
    ended = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=50)
    account, meeting, started, joined, heard = objects_in(ended.stdout)
    assert account["username"] == "ada"
    assert (meeting["id"], meeting["title"], started["status"]) == (1, "Monday", "active")
    assert joined.keys() >= {"room_id", "join_token", "ice_servers"}
    recognition = Clip.of(speech).heard_in(Reply(200, {}, json.dumps(heard)))
    subtitles = ended.stdout[ended.stdout.index("WEBVTT") :]
    assert recognition["confidence"] > 0.5
    assert subtitles.startswith("WEBVTT\n")


def objects_in(text: str) -> list[dict[str, Any]]:
    """The JSON objects at the beginning of a text, one after the other."""
    found, at = [], 0
    while text[at : at + 1] == "{":
        item, at = json.JSONDecoder().raw_decode(text, at)
        found.append(item)
    return found
