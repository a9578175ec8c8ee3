"""Logs: their two forms, the context of a request, the standard library's way in, and no secret on the way out."""

from __future__ import annotations

import enum
import io
import json
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
import structlog
from hypothesis import given
from pydantic import SecretStr

from runtime import logs
from runtime.logs import MASK, clean, clean_text, is_secret_name

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJlLW9mLXRva2Vu"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    config, handlers, level = structlog.get_config(), list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in ("asyncio", "aiohttp.access")}
    yield
    structlog.configure(**config)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)
    logging.captureWarnings(False)


class Lines:
    """What was logged so far, as JSON."""

    def __init__(self, level: str = "info") -> None:
        self.stream = io.StringIO()
        logs.configure("json", level, node="north", stream=self.stream)

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().split("\n") if line]

    def last(self) -> dict[str, Any]:
        return self.all()[-1]


def test_a_line_is_json_with_time_level_node_and_fields() -> None:
    lines = Lines()
    structlog.get_logger("parley.room").info("joined", room_id="room_1", count=3)
    line = lines.last()
    assert datetime.fromisoformat(line.pop("time")).tzinfo is not None
    assert line == {
        "event": "joined",
        "level": "info",
        "logger": "parley.room",
        "node": "north",
        "room_id": "room_1",
        "count": 3,
    }


def test_console_is_text_for_people() -> None:
    stream = io.StringIO()
    logs.configure("console", "info", node="north", stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger("parley").exception("it broke", password="hush")
    text = stream.getvalue()
    assert "it broke" in text
    assert "ValueError: broken" in text
    assert "hush" not in text
    assert "\x1b" not in text


def test_auto_is_json_where_nobody_looks() -> None:
    stream = io.StringIO()
    logs.configure("auto", "info", node="north", stream=stream)
    structlog.get_logger("parley").info("up")
    assert json.loads(stream.getvalue())["event"] == "up"


def test_the_level_counts_for_both_ways_in() -> None:
    lines = Lines("warning")
    structlog.get_logger("parley").info("quiet")
    logging.getLogger("other").info("quiet")
    structlog.get_logger("parley").warning("loud")
    logging.getLogger("other").warning("loud %d", 2)
    assert [line["event"] for line in lines.all()] == ["loud", "loud 2"]


def test_configuring_again_replaces() -> None:
    first = Lines()
    second = Lines()
    structlog.get_logger("parley").info("once")
    assert first.all() == []
    assert len(second.all()) == 1


def test_context_follows_into_lines_and_ends() -> None:
    lines = Lines()
    with logs.within(request_id="r-1", actor="room/room_1"):
        structlog.get_logger("parley").info("inside")
        logging.getLogger("library").info("inside too")
    structlog.get_logger("parley").info("outside")
    inside, library, outside = lines.all()
    assert (inside["request_id"], inside["actor"]) == ("r-1", "room/room_1")
    assert library["request_id"] == "r-1"
    assert "request_id" not in outside


def test_an_exception_shows_its_trace_but_no_variables_and_no_token() -> None:
    lines = Lines()
    password = "correct horse"  # a variable that a trace with locals would show
    try:
        raise RuntimeError(f"rejected Bearer {JWT}")
    except RuntimeError:
        structlog.get_logger("parley").exception("failed", size=len(password))
    line = lines.last()
    assert "RuntimeError" in line["exception"]
    assert JWT not in line["exception"]
    assert "correct horse" not in lines.stream.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        *("password", "new_password", "token", "accessToken", "refresh_token", "Authorization", "set-cookie"),
        *("token_secret", "TURN_CREDENTIAL", "api_key", "private-key", "credentials"),
    ],
)
def test_names_that_are_masked(name: str) -> None:
    assert is_secret_name(name)
    assert clean({name: "hush"}) == {name: MASK}


@pytest.mark.parametrize(
    "name", ["access_token_ttl_s", "token_type", "token_id", "tokens", "user_id", "key", "event", "secretary", "", "_"]
)
def test_names_that_are_not_masked(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_in_any_depth() -> None:
    lines = Lines()
    structlog.get_logger("parley").info(
        "got", body={"user": {"password": "hush", "name": "ada"}, "all": [{"token": 1}]}
    )
    assert lines.last()["body"] == {"user": {"password": MASK, "name": "ada"}, "all": [{"token": MASK}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Authorization: Bearer {JWT}", f"Authorization: Bearer {MASK}"),
        (f"the token {JWT} is old", f"the token {MASK} is old"),
        ("redis://:hush@host:6379/0", f"redis://:{MASK}@host:6379/0"),
        ("mysql://parley:hush@db/parley", f"mysql://parley:{MASK}@db/parley"),
        ("/join?room=1&token=abc&x=1", f"/join?room=1&token={MASK}&x=1"),
        ('{"password": "hush hush", "a": 1}', f'{{"password": {MASK}, "a": 1}}'),
        ("http://host:8080/path", "http://host:8080/path"),
        ("password: at least 8 characters", "password: at least 8 characters"),
    ],
)
def test_secrets_inside_text(text: str, shown: str) -> None:
    assert clean_text(text) == shown
    lines = Lines()
    logging.getLogger("library").warning("%s", text)
    assert lines.last()["event"] == shown


class Colour(enum.Enum):
    RED = "red"


@dataclass(frozen=True)
class Login:
    name: str
    password: str


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Login("ada", "hush"), "<Login>"),
        (Login, "Login"),
        (SecretStr("hush"), "<SecretStr>"),
        (Colour.RED, "red"),
        (b"\x00\x01", "<2 bytes>"),
        (Path("/srv/x"), "/srv/x"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime(2030, 1, 2, tzinfo=UTC), "2030-01-02T00:00:00+00:00"),
        (ValueError("no"), "ValueError: no"),
        ((1, 2.5, None, True), [1, 2.5, None, True]),
    ],
)
def test_objects_are_named_not_spelt_out(value: object, shown: object) -> None:
    assert clean(value) == shown


def test_a_structure_without_end_is_cut() -> None:
    endless: list[object] = []
    endless.append(endless)
    lines = Lines()
    structlog.get_logger("parley").info("loop", value=endless)
    assert "..." in json.dumps(lines.last()["value"])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))  # fmt: skip
def test_whatever_is_logged_is_one_line_of_json(value: object) -> None:
    lines = Lines()
    structlog.get_logger("parley").info("any", value=value)
    assert lines.stream.getvalue().count("\n") == 1
    assert lines.last()["event"] == "any"


@pytest.mark.parametrize("value", ["\ud800", 1 << 80, "a\nb"])
def test_what_json_cannot_hold_is_still_one_line(value: object) -> None:
    lines = Lines()
    structlog.get_logger("parley").info("any", value=value)
    assert lines.last()["value"] == value
