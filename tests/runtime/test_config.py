"""Settings: their sources and precedence, every fault in one clear line, and a documented table that is up to date."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.config import ConfigError, Settings, add_options, given_options, load, misspelt_environment
from runtime.settings_page import BEGIN, END, main, replaced, table
from runtime.token_secret import FILE_NAME, token_secret
from tests.servers import ROOT

NAME = "1 to 63 letters, digits, dots, dashes, underscores"
SECRET = "a-secret-of-more-than-32-characters!"


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"PARLEY_{name.upper()}", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "parley.toml"


def lines_of(file: Path | None = None, **command_line: object) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(file, command_line)
    return caught.value.lines


def test_defaults_open_nothing_to_others() -> None:
    settings = load()
    assert settings.host == "127.0.0.1"
    assert (settings.http_port, settings.signaling_port, settings.ai_port) == (8080, 8083, 8085)
    assert settings.ice_servers == ()
    assert settings.cors_origins == ()
    assert settings.token_secret is None
    assert settings.model_dir == Path("var/models")
    assert settings.speech_workers >= 1


def test_each_source_wins_over_the_one_before(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("http_port = 1001\nai_port = 1002\nsignaling_port = 1003\n", encoding="utf-8")
    monkeypatch.setenv("PARLEY_AI_PORT", "2002")
    monkeypatch.setenv("PARLEY_SIGNALING_PORT", "2003")
    settings = load(file, {"signaling_port": "3003"})
    assert (settings.http_port, settings.ai_port, settings.signaling_port) == (1001, 2002, 3003)
    assert settings.host == "127.0.0.1"


def test_the_class_alone_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_HTTP_PORT", "2001")
    assert Settings().http_port == 8080


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().http_port = 1


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_HTTP_PORT", "")
    assert load().http_port == 8080


def test_the_model_folder_follows_the_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DATA_DIR", "/srv/parley")
    assert load().model_dir == Path("/srv/parley/models")


def test_an_unknown_name_in_the_file_is_named_with_its_neighbour(file: Path) -> None:
    file.write_text("htp_port = 1\nlog-level = 'info'\nzzz = 1\n", encoding="utf-8")
    assert lines_of(file) == (
        f"{file}: there is no setting 'htp_port'; did you mean 'http_port'?",
        f"{file}: there is no setting 'log-level'; did you mean 'log_level'?",
        f"{file}: there is no setting 'zzz'",
    )


def test_a_file_that_cannot_be_read_or_parsed_is_one_line(file: Path) -> None:
    assert lines_of(file) == (f"{file}: cannot be read: No such file or directory",)
    file.write_text("http_port = \n", encoding="utf-8")
    (line,) = lines_of(file)
    assert line.startswith(f"{file}: is not TOML: ")
    assert "line 1" in line


def test_every_fault_has_a_line_with_its_origin_and_what_is_allowed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("http_port = 70000\nlog_format = 'xml'\n", encoding="utf-8")
    monkeypatch.setenv("PARLEY_ASK_TIMEOUT_S", "soon")
    monkeypatch.setenv("PARLEY_NODE_NAME", "no spaces please")
    assert lines_of(file, ws_outbox_limit="0") == (
        f"node_name: 'no spaces please' from PARLEY_NODE_NAME is not allowed: it must be {NAME}",
        f"http_port: 70000 from {file} is not allowed: it must be a whole number from 0 to 65535",
        f"log_format: 'xml' from {file} is not allowed: it must be one of auto, json, console",
        "ask_timeout_s: 'soon' from PARLEY_ASK_TIMEOUT_S is not allowed: it must be a number above 0, at most 86400",
        "ws_outbox_limit: '0' from --ws-outbox-limit is not allowed: it must be a whole number from 1 to 1000000",
    )


def test_a_bad_data_folder_is_the_only_fault(file: Path) -> None:
    file.write_text("data_dir = 7\n", encoding="utf-8")
    assert lines_of(file) == (f"data_dir: 7 from {file} is not allowed: it must be a path",)


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_TOKEN_SECRET", "too-short")
    (line,) = lines_of()
    assert line.startswith("token_secret: the value given from PARLEY_TOKEN_SECRET is not allowed")
    assert line.endswith("it must be text of 32 characters or more")
    monkeypatch.setenv("PARLEY_TOKEN_SECRET", SECRET)
    settings = load()
    assert settings.token_secret is not None
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.model_dump())


def test_the_credential_of_an_ice_server_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_ICE_SERVERS", '[{"urls": ["http://turn"], "credential": "hush-hush"}]')
    (line,) = lines_of()
    assert "hush-hush" not in line
    assert "0.urls.0" in line


def test_values_that_do_not_fit_together() -> None:
    assert lines_of(http_port=9000, ai_port=9000) == (
        "http_port and ai_port are both 9000: allowed are different ports, or 0",
    )
    (line,) = lines_of(ws_heartbeat_s=60)
    assert line.startswith("ws_heartbeat_s is 60 and ws_idle_timeout_s is 60:")
    assert load(None, {"http_port": 0, "ai_port": 0, "signaling_port": 0}).ai_port == 0


@pytest.mark.parametrize("text", ["https://a.example, https://b.example", '["https://a.example", "https://b.example"]'])
def test_lists_in_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CORS_ORIGINS", text)
    assert load().cors_origins == ("https://a.example", "https://b.example")


def test_a_broken_list_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_ICE_SERVERS", "[{")
    (line,) = lines_of()
    assert line.startswith("ice_servers: the value given from PARLEY_ICE_SERVERS is not allowed")


def test_ice_servers_in_the_file(file: Path) -> None:
    file.write_text("[[ice_servers]]\nurls = ['turn:turn.example:3478']\ncredential = 'x'\n", encoding="utf-8")
    (server,) = load(file).ice_servers
    assert server.urls == ("turn:turn.example:3478",)
    assert server.credential is not None
    assert server.credential.get_secret_value() == "x"


def test_options_of_the_command_line() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    add_options(parser)
    arguments = parser.parse_args(["--config", "x", "--http-port", "9000", "--log-level=debug"])
    assert given_options(arguments) == {"http_port": "9000", "log_level": "debug"}
    assert load(None, given_options(arguments)).http_port == 9000
    assert "--token-secret" not in parser.format_help()


def test_a_variable_that_is_almost_a_setting_is_named() -> None:
    around = {"PARLEY_HTPP_PORT": "1", "PARLEY_HTTP_PORT": "1", "PARLEY_SERVICE_HOST": "10.0.0.1", "HOME": "/"}
    assert misspelt_environment(around) == [
        "PARLEY_HTPP_PORT is set, but there is no such setting; did you mean PARLEY_HTTP_PORT?"
    ]


def test_units_are_part_of_the_name() -> None:
    for name, field in Settings.model_fields.items():
        if "_timeout" in name or "_ttl" in name:
            assert name.endswith(("_s", "_ms")), name
        assert field.description, name


def test_the_documented_table_is_up_to_date(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == replaced(page), "run `make settings`"
    assert main([]) == 0
    assert capsys.readouterr().out.strip() == table()
    copy = tmp_path / "page.md"
    copy.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert main([str(copy)]) == 0
    assert copy.read_text(encoding="utf-8") == f"before\n{BEGIN}\n{table()}\n{END}\nafter\n"
    with pytest.raises(ValueError, match="lacks"):
        replaced("no marks")


def test_the_page_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "runtime.settings_page"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert run.stdout.count("\n") == len(Settings.model_fields) + 2


def test_the_token_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first = token_secret(settings)
    assert len(first) >= 32
    assert token_secret(settings) == first
    path = settings.data_dir / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(settings.data_dir) == [FILE_NAME]
    assert token_secret(Settings(data_dir=tmp_path / "other")) != first


def test_a_configured_token_secret_needs_no_file(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path / "data", "token_secret": SECRET})
    assert token_secret(settings) == SECRET
    assert not settings.data_dir.exists()


def test_a_token_secret_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    settings = Settings(data_dir=tmp_path)
    token_secret(settings)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="is open to other users"):
        token_secret(settings)
    path.write_text("short", encoding="ascii")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="does not hold a key"):
        token_secret(settings)
    (tmp_path / "a-file").touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        token_secret(Settings(data_dir=tmp_path / "a-file" / "below"))
