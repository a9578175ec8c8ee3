"""The server fixture, tried on small children: start, readiness, ports, stop, failures, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

from tests.processes import children, processes, settles
from tests.servers import Ready, Server, ServerFailed, answers, free_ports, listens, logged, missing, running

HTTP = [sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1", "--directory", "{folder}"]

PRINTED = logged("\n")
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("child", child.pid, flush=True)
signal.pause()
"""


def python(code: str, folder: Path, *, ready: Ready = PRINTED, limit_s: float = 10.0) -> Server:
    """A child that runs this code; `limit_s` for its start and for its end."""
    command = [sys.executable, "-c", code]
    return Server("child", command, ready=ready, folder=folder, start_within_s=limit_s, stop_within_s=limit_s)


def test_serves_on_a_free_port_and_is_gone_after() -> None:
    with Server("web", HTTP, ready=answers("/")) as server:
        pid, folder = server.pid, server.folder
        with urllib.request.urlopen(server.url) as response:
            assert response.status == 200
        assert server.alive()
        assert server in running
    assert pid not in processes()
    assert not folder.exists()
    assert server not in running


async def test_in_a_coroutine(tmp_path: Path) -> None:
    async with Server("web", HTTP, ready=listens, folder=tmp_path) as server:
        assert server.alive()
    assert not server.alive()
    assert server.exit_status == -signal.SIGTERM
    assert tmp_path.exists(), "a folder that was given stays"


def test_environment_and_command_name_ports_and_folder(tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['WHERE'], sys.argv[1], flush=True); import signal; signal.pause()"
    server = Server(
        "child",
        [sys.executable, "-c", code, "{second}"],
        environment={"WHERE": "{folder}/x:{first}"},
        ports=("first", "second"),
        ready=logged("\n"),
        folder=tmp_path,
    )
    with server:
        assert server.log.split() == [f"{tmp_path}/x:{server.ports['first']}", str(server.ports["second"])]
        assert server.port == server.ports["first"]


def test_stop_signal_and_exit_status() -> None:
    code = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(7))
print("up", flush=True)
signal.pause()
"""
    server = Server("child", [sys.executable, "-c", code], ready=logged("up"), stop_signal=signal.SIGINT)
    with server:
        assert server.stop() == 7


def test_one_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    server = python("import sys; sys.exit('no such thing')", tmp_path, ready=listens)
    with pytest.raises(ServerFailed, match=r"(?s)ended before it was ready, exit status 1.*no such thing"):
        server.start()
    assert not server.alive()


def test_one_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    server = python("import time; time.sleep(600)", tmp_path, ready=listens, limit_s=0.3)
    with pytest.raises(ServerFailed, match="was not ready within"):
        server.start()
    assert not server.alive()


def test_one_that_ignores_its_signal_is_killed_and_reported(tmp_path: Path) -> None:
    server = python(STUBBORN, tmp_path)
    server.start()
    server.stop_within_s = 0.3
    with pytest.raises(ServerFailed, match="still ran"):
        server.stop()
    assert not server.alive()


def test_grandchildren_left_behind_are_killed_and_reported(tmp_path: Path) -> None:
    server = python(PARENT, tmp_path)
    server.start()
    grandchild = int(server.log.split()[1])
    with pytest.raises(ServerFailed, match="left processes behind"):
        server.stop()
    assert settles(lambda: grandchild not in processes(), 5)


def test_a_failure_inside_keeps_the_folder_and_shows_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = "import signal; print('the last words', flush=True); signal.pause()"
    server = Server("child", [sys.executable, "-c", code], ready=logged("\n"))

    def fail_inside() -> None:
        with server:
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail_inside()
    assert "the last words" in capsys.readouterr().err
    assert server.log_file.exists()
    assert not server.alive()


def test_a_taken_port_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        offers = [[taken], free_ports(1)]
        monkeypatch.setattr("tests.servers.free_ports", lambda count: offers.pop(0))
        with Server("web", HTTP, ready=answers("/")) as server:
            assert server.port != taken
            assert server.alive()
    assert offers == []


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


@pytest.mark.parametrize(("required", "outcome"), [("0", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_missing_skips_or_fails(required: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_REQUIRE_ALL", required)
    with pytest.raises(outcome, match="a server is missing: install it"):
        missing("a server", "install it")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="the process table is read from /proc")
def test_the_process_table_knows_this_process_and_its_child(tmp_path: Path) -> None:
    server = python("import signal; print('up', flush=True); signal.pause()", tmp_path)
    with server:
        assert os.getpid() in processes()
        assert server.pid in children()
