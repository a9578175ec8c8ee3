"""The checks that every test carries: a task or a process left behind fails it, one that ends in time does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

CASES = """
import asyncio, subprocess, sys
import hypothesis, hypothesis.strategies as st
import pytest, uvloop

async def forever():
    await asyncio.Event().wait()

async def test_task_left():
    asyncio.get_running_loop().kept = asyncio.create_task(forever(), name="the-forgotten")

async def test_task_that_ends_soon():
    asyncio.get_running_loop().kept = asyncio.create_task(asyncio.sleep(0.05))

@pytest.fixture
async def background():
    task = asyncio.create_task(forever())
    yield task
    task.cancel()

async def test_task_of_a_fixture(background):
    assert not background.done()

@pytest.fixture(scope="module")
def wide():
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield child
    child.kill()
    child.wait()

def test_process_of_a_wider_fixture(wide):
    assert wide.poll() is None

def test_process_left():
    subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])

def test_process_that_ends_soon():
    subprocess.Popen([sys.executable, "-c", "pass"])

@hypothesis.settings(max_examples=5)
@hypothesis.given(st.integers())
async def test_property(number):
    await asyncio.sleep(0)
    assert number == number

async def test_loop():
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)

@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_plain_loop():
    assert not isinstance(asyncio.get_running_loop(), uvloop.Loop)
"""

ORPHAN = '''
import subprocess, sys

def test_orphan():
    code = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
'''


def run_cases(tmp_path: Path, cases: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_cases.py").write_text(cases, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(ROOT / "setup.cfg")]
    return subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-p", "no:cacheprovider", "-v", "--color=no", str(tmp_path)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_left_fails_its_test(tmp_path: Path) -> None:
    run = run_cases(tmp_path, CASES)
    faults = sorted(line.split("::")[1].split()[0] for line in run.stdout.splitlines() if line.startswith("ERROR "))
    assert faults == ["test_process_left", "test_task_left"], run.stdout
    assert "the-forgotten" in run.stdout
    assert "9 passed" in run.stdout
    assert "2 errors" in run.stdout


def test_an_orphan_fails_the_run(tmp_path: Path) -> None:
    run = run_cases(tmp_path, ORPHAN)
    assert "1 passed" in run.stdout
    assert "processes left behind by the run" in run.stdout
    assert run.returncode == 1
