"""The node's command line: what it says, where its settings come from, and how it refuses to start."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from protocols.tokens import TokenSigner
from runtime import __version__
from runtime.config import Settings, option
from runtime.node import main
from runtime.setting_words import is_list, is_secret
from tests.client import Client, client, signaling
from tests.node import parley_node
from tests.processes import RUN_VARIABLE, of_run
from tests.servers import ROOT, Server, answers

pytestmark = pytest.mark.servers

ENDS_WITHIN_S: Final = 30
PORTS: Final = ("http_port", "signaling_port", "ai_port")


def run(*arguments: str, **environment: object) -> subprocess.CompletedProcess[str]:
    """One run of the command that ends by itself."""
    given = {f"PARLEY_{name.upper()}": str(value) for name, value in environment.items()}
    return subprocess.run(
        [sys.executable, "-m", "runtime.node", *arguments],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
        timeout=ENDS_WITHIN_S,
    )


def one_line(ended: subprocess.CompletedProcess[str], *, status: int = 2) -> str:
    """What a refused start says: one line on stderr, nothing else anywhere."""
    assert ended.returncode == status, ended
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("parley: ")
    return line


def test_help_names_every_setting_that_an_option_can_set() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    for name, field in Settings.model_fields.items():
        assert (f"{option(name)} VALUE" in ended.stdout) is not (is_secret(field) or is_list(field)), name
    assert {"--config", "--check-config", "--version"} <= set(re.findall(r"--[a-z-]+", ended.stdout))


def test_version() -> None:
    ended = run("--version")
    assert (ended.returncode, ended.stdout) == (0, f"Parley {__version__}\n")


def test_check_config_of_good_settings_touches_nothing(tmp_path: Path) -> None:
    file = tmp_path / "parley.toml"
    file.write_text('cors_origins = ["https://meet.example"]\n[[ice_servers]]\nurls = ["stun:stun.example:3478"]\n')
    ended = run("--check-config", "--config", str(file), data_dir=tmp_path / "data")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "The settings are good.\n", "")
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("file", "environment", "options", "says"),
    [
        ("http_port = \n", {}, [], r"parley\.toml: is not TOML: .*line 1"),
        ("http_prt = 1\n", {}, [], r"parley\.toml: there is no setting 'http_prt'; did you mean 'http_port'\?"),
        ("http_port = 99999\n", {}, [], r"http_port: 99999 from .*parley\.toml is not allowed: .* 0 to 65535"),
        ("", {"http_port": "http"}, [], r"http_port: 'http' from PARLEY_HTTP_PORT is not allowed"),
        ("", {"log_level": "loud"}, [], r"log_level: 'loud' from PARLEY_LOG_LEVEL .*debug, info, warning, error"),
        ("", {"token_secret": "marked-secret"}, [], r"token_secret: the value given from PARLEY_TOKEN_SECRET is not"),
        ("", {"ice_servers": "[{"}, [], r"ice_servers: .*JSON"),
        ("", {}, ["--ai-port", "-1"], r"ai_port: '-1' from --ai-port is not allowed"),
        ("", {}, ["--ai-port", "8080"], r"http_port and ai_port are both 8080"),
    ],
)
def test_check_config_names_what_is_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    environment: Mapping[str, str],
    options: list[str],
    says: str,
) -> None:
    path = tmp_path / "parley.toml"
    path.write_text(file)
    for name, value in environment.items():
        monkeypatch.setenv(f"PARLEY_{name.upper()}", value)
    assert main(["--check-config", "--config", str(path), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert re.search(says, line), line
    assert "marked-secret" not in line


def test_every_fault_has_its_line() -> None:
    ended = run("--http-port", "a", "--ai-port", "b", log_level="c")
    assert ended.returncode == 2
    assert sorted(line.split()[1] for line in ended.stderr.splitlines()) == ["ai_port:", "http_port:", "log_level:"]


def test_a_file_that_is_not_there_and_an_option_that_is_none(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in one_line(run("--config", str(tmp_path / "none.toml")))
    ended = run("--http-prt", "1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1].endswith("unrecognized arguments: --http-prt 1")


async def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "parley.toml"
    file.write_text('node_name = "of-file"\nws_heartbeat_s = 3\naccess_token_ttl_s = 111\n')
    places = "--http-port {http} --ai-port 0 --signaling-port 0 --model-dir {folder}/none"
    server = Server(
        "node",
        [sys.executable, "-m", "runtime.node", *f"--config {file} --node-name of-option {places}".split()],
        ready=answers("/livez"),
        ports=("http",),
        environment={
            "PARLEY_DATA_DIR": "{folder}/data",
            "PARLEY_NODE_NAME": "of-environment",
            "PARLEY_WS_HEARTBEAT_S": "7",
            "PARLEY_HTTP_PORT": "1",
        },
        folder=tmp_path / "node",
    )
    async with server, client(server.url) as node:
        assert (await node.get("/status"))["node"] == "of-option"
        name = await node.register()
        session = await node.post("/auth/login", body={"username": name, "password": "correct horse battery"})
        assert session["expires_in"] == 111
        async with signaling(node.base, await node.log_in(name)) as line:
            assert line.welcome["heartbeat_s"] == 7
    assert "Parley" in server.log


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_logs_have_the_form_asked_for(tmp_path: Path, log_format: str) -> None:
    with parley_node(tmp_path, log_format=log_format, node_name="here", model_dir=tmp_path / "none") as server:
        ready = f"Parley {__version__} is ready: {server.url}"
    lines = server.log.splitlines()
    assert lines.count(ready) == 1
    lines.remove(ready)
    assert "\x1b" not in server.log
    if log_format == "console":
        assert all(re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S* ", line) for line in lines), server.log
        return
    events = [json.loads(line) for line in lines]
    assert all(event.keys() >= {"time", "level", "event", "logger"} for event in events)
    assert all(event["node"] == "here" for event in events if "worker" not in event)
    said = [event["event"] for event in events if event["logger"] == "parley.node"]
    assert said == ["ready", "stopping", "stopped"]


MARK: Final = "MARKEDsecret"


async def secrets_of_a_session(node: Client, credential: str) -> list[str]:
    """Use every secret that a client can have, rightly and wrongly; returns them all."""
    name = await node.register(password=f"{MARK}-password")
    body = {"username": name, "password": f"{MARK}-wrong"}
    (await node.ask("POST", "/auth/login", None, body)).refused(401)
    (await node.ask("POST", "/auth/login", None, {"username": 1, "password": f"{MARK}-misfit"})).refused(400)
    person = await node.log_in(name, f"{MARK}-password")
    meeting = await node.started_meeting(person, password=f"{MARK}-door")
    joined = await node.post(f"/meetings/{meeting['id']}/join", person, {"password": f"{MARK}-door"})
    forged = {"Authorization": f"Bearer {MARK}.forged.token"}
    (await node.ask("GET", "/meetings", None, headers=forged)).refused(401)
    await node.ask("GET", f"/meetings?token={MARK}-query&access_token={person.token}", person)
    refresh = {"refresh_token": person.refresh_token}
    renewed = await node.post("/auth/refresh", None, refresh)
    (await node.ask("POST", "/auth/refresh", None, refresh)).refused(401)
    async with signaling(node.base, person) as line:
        # The client itself is told what it needs.
        assert joined["ice_servers"] == line.welcome["ice_servers"]
        assert [one["credential"] for one in joined["ice_servers"]] == [credential]
        await line.send(type="auth", token=f"{MARK}-again", id=1)
        await line.expect("error")
        await line.join(meeting["room_id"])
    tokens = [person.token, person.refresh_token, joined["join_token"]]
    return [MARK, *tokens, renewed["access_token"], renewed["refresh_token"]]


async def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    ice = f'[{{"urls": ["turn:turn.example"], "username": "parley", "credential": "{MARK}-turn"}}]'
    server = parley_node(
        tmp_path, log_level="debug", token_secret=f"{MARK}-{'x' * 32}", ice_servers=ice, model_dir=tmp_path / "none"
    )
    async with server, client(server.url) as node:
        secrets = await secrets_of_a_session(node, f"{MARK}-turn")
        pages = [await node.ask("GET", path) for path in ("//readyz", "//metrics", "//livez", "//openapi.json")]
        written = "".join([*(page.wanted(200).text for page in pages), await node_status(node)])
    written += server.log + "".join(one.command for one in of_run(os.environ[RUN_VARIABLE]).values())
    assert "request" in server.log, "nothing was logged that could hold a secret"
    kept = {path.name: path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert "token_secret" not in kept
    for secret in secrets:
        assert secret not in written
        assert [name for name, data in kept.items() if secret.encode() in data] == []
    modes = {path.name: path.stat().st_mode & 0o077 for path in (tmp_path / "data").iterdir()}
    assert set(modes.values()) == {0}, modes


def test_workers_get_no_secret_and_tell_nobody(tmp_path: Path) -> None:
    with parley_node(tmp_path, token_secret=f"{MARK}-{'x' * 32}", model_dir=tmp_path / "none") as server:
        (worker,) = [one for one in of_run(os.environ[RUN_VARIABLE]).values() if one.parent == server.pid]
        environment = Path(f"/proc/{worker.pid}/environ").read_text().split("\0")
    assert MARK not in "".join(environment)
    assert "ORT_DISABLE_TELEMETRY=1" in environment


def test_a_setting_that_is_almost_one_is_named(tmp_path: Path) -> None:
    ended = run("--check-config", http_prot=1)
    assert (ended.returncode, ended.stdout) == (0, "The settings are good.\n")
    assert (
        ended.stderr
        == "parley: PARLEY_HTTP_PROT is set, but there is no such setting; did you mean PARLEY_HTTP_PORT?\n"
    )
    with parley_node(tmp_path, http_prot=1, model_dir=tmp_path / "none") as server:
        said = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
    assert "did you mean PARLEY_HTTP_PORT?" in next(one["detail"] for one in said if one["level"] == "warning")


async def node_status(node: Client) -> str:
    return json.dumps(await node.get("/status"))


def test_the_key_made_at_the_first_start_is_kept_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    keys = set()
    server = parley_node(tmp_path, model_dir=tmp_path / "none")
    for _ in range(2):
        with server:
            keys.add((tmp_path / "data" / "token_secret").read_text())
    (key,) = keys
    TokenSigner(key.encode())
    assert key not in server.log
    assert (tmp_path / "data" / "token_secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("setting", PORTS)
def test_a_taken_port_is_one_line_and_leaves_nothing(tmp_path: Path, setting: str) -> None:
    others = {name: 0 for name in PORTS if name != setting}
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = holder.getsockname()[1]
        line = one_line(run(**others, **{setting: taken}, data_dir=tmp_path / "data"))
    assert f"127.0.0.1 port {taken}" in line
    assert "taken" in line
    assert setting in line
    assert f"PARLEY_{setting.upper()}" in line
    assert of_run(os.environ[RUN_VARIABLE]) == {}
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("data_dir", ["file", "file/below", "/proc/none", "/proc"])
def test_a_data_folder_that_cannot_be_is_one_line(tmp_path: Path, data_dir: str) -> None:
    """Not even root writes below /proc."""
    (tmp_path / "file").touch()
    path = tmp_path / data_dir
    line = one_line(run(http_port=0, signaling_port=0, ai_port=0, data_dir=path))
    assert line.startswith("parley: data_dir: ")
    assert str(path) in line


def test_a_second_node_on_a_data_folder_is_refused(tmp_path: Path) -> None:
    with parley_node(tmp_path, model_dir=tmp_path / "none") as server:
        line = one_line(run(http_port=0, signaling_port=0, ai_port=0, data_dir=tmp_path / "data"))
        assert line.startswith("parley: data_dir: ")
        assert str(tmp_path / "data") in line
        assert "one node" in line
        assert answers("/readyz")(server)
