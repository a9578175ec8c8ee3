from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

import protocols
from protocols import messages
from protocols.messages import MalformedMessage, Registration, UnknownMessage, message
from protocols.signaling import Detach
from tests.protocols.values import of_type

for module in pkgutil.iter_modules(protocols.__path__):
    importlib.import_module(f"protocols.{module.name}")

REGISTERED = {
    name: entry for name, entry in messages.registered().items() if entry.type.__module__.startswith("protocols.")
}


def frame(name: object, version: object, fields: object) -> bytes:
    return msgspec.msgpack.encode([name, version, fields])


@message("test.greeting", 3, upgrades={1: lambda old: {"text": old["hello"]}, 2: lambda old: {**old, "loud": True}})
class Greeting:
    text: str
    loud: bool
    at: datetime = datetime(2030, 1, 1, tzinfo=UTC)


def test_every_domain_has_registered_its_messages() -> None:
    assert {name.split(".")[0] for name in REGISTERED} >= {"account", "user", "meeting", "peer", "room", "ai"}


@pytest.mark.parametrize("entry", REGISTERED.values(), ids=lambda entry: entry.name)
def test_messages_are_frozen_and_slotted(entry: Registration) -> None:
    assert dataclasses.is_dataclass(entry.type)
    assert entry.type.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(entry.type)


@pytest.mark.parametrize("entry", REGISTERED.values(), ids=lambda entry: entry.name)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_registered_message_comes_back_as_it_was(entry: Registration, data: st.DataObject) -> None:
    value = data.draw(of_type(entry.type))
    again = messages.decode(messages.encode(value))
    assert type(again) is entry.type
    assert again == value


def test_a_field_with_a_default_may_be_missing_and_an_unknown_one_is_passed_over() -> None:
    known = messages.decode(frame("test.greeting", 3, {"text": "hi", "loud": False}))
    assert known == Greeting("hi", loud=False)
    later = messages.decode(frame("test.greeting", 3, {"text": "hi", "loud": False, "of_tomorrow": [1, {}]}))
    assert later == known


@pytest.mark.parametrize(("version", "fields"), [(1, {"hello": "hi"}), (2, {"text": "hi"})])
def test_older_versions_come_up_step_by_step(version: int, fields: dict[str, Any]) -> None:
    assert messages.decode(frame("test.greeting", version, fields)) == Greeting("hi", loud=True)


def test_an_upgrade_keeps_times_and_bytes() -> None:
    moment = datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    assert messages.decode(frame("test.greeting", 2, {"text": "hi", "at": moment})).at == moment


@pytest.mark.parametrize("fields", [{}, {"hello": None}, {"hello": {}}])
def test_an_upgrade_of_what_was_no_such_message_is_malformed(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage, match=r"test\.greeting"):
        messages.decode(frame("test.greeting", 1, fields))


@pytest.mark.parametrize("version", [0, -1, 4, 2**40])
def test_versions_that_are_not_known_are_said_so(version: int) -> None:
    with pytest.raises(UnknownMessage, match="known up to version 3"):
        messages.decode(frame("test.greeting", version, {"text": "hi", "loud": True}))


def test_a_name_that_is_not_known_is_said_so() -> None:
    with pytest.raises(UnknownMessage, match=r"'test\.nobody'"):
        messages.decode(frame("test.nobody", 1, {}))


GOOD = messages.encode(Detach("away"))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xc1",
        GOOD[:-1],
        GOOD + b"\x00",
        frame(1, 1, {}),
        frame("peer.detach", True, {"reason": ""}),
        frame("peer.detach", 1.0, {"reason": ""}),
        frame("peer.detach", 1, None),
        frame("peer.detach", 1, ["away"]),
        frame("peer.detach", 1, {}),
        frame("peer.detach", 1, {"reason": 1}),
        msgspec.msgpack.encode(["peer.detach", 1]),
        msgspec.msgpack.encode({"name": "peer.detach"}),
        GOOD.replace(b"peer", b"\xff\xfe\xfd\xfc"),
        GOOD.replace(b"away", b"\xff\xfe\xfd\xfc"),
        b"\x93\xabpeer.detach\x01" + b"\x91" * 100_000 + b"\xc0",
        b"\x93\xabpeer.detach\x01\x81\xa1x" + b"\x91" * 100_000 + b"\xc0",
    ],
)
def test_what_is_no_frame_is_malformed(bad: bytes) -> None:
    with pytest.raises(MalformedMessage):
        messages.decode(bad)


@settings(max_examples=300)
@given(
    st.binary(max_size=64)
    | st.builds(lambda at, byte: GOOD[:at] + byte + GOOD[at + 1 :], st.integers(0, 30), st.binary(max_size=2))
)
def test_no_bytes_bring_the_codec_down(data: bytes) -> None:
    try:
        messages.decode(data)
    except (MalformedMessage, UnknownMessage):
        return


@given(
    st.sampled_from(sorted(REGISTERED)),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ),
)
def test_no_fields_bring_the_codec_down(name: str, fields: object) -> None:
    try:
        messages.decode(frame(name, 1, fields))
    except MalformedMessage:
        return


def test_a_view_of_bytes_is_read_as_well() -> None:
    assert messages.decode(memoryview(GOOD)) == Detach("away")


def test_a_name_belongs_to_one_message() -> None:
    with pytest.raises(ValueError, match=r"'peer\.detach' belongs to Detach already"):

        @message("peer.detach")
        class Other:
            pass


@pytest.mark.parametrize(
    ("version", "steps", "why"),
    [(3, {1}, "no upgrade from version 2"), (0, set(), "count from 1"), (1, {1}, "no upgrade starts at 1")],
)
def test_versions_and_upgrades_must_fit(version: int, steps: set[int], why: str) -> None:
    with pytest.raises(ValueError, match=why):

        @message("test.never", version, upgrades={step: lambda old: old for step in steps})
        class Never:
            pass

    assert "test.never" not in messages.registered()


def test_only_messages_are_encoded() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Plain:
        x: int

    for stranger in (Plain(1), "text", None, Detach):
        with pytest.raises(TypeError, match="is no message"):
            messages.encode(stranger)


def test_secrets_are_not_in_a_messages_repr() -> None:
    for entry in REGISTERED.values():
        for field in dataclasses.fields(entry.type):
            if field.type in ("str", "bytes") and any(word in field.name for word in ("password", "token", "audio")):
                assert not field.repr, f"{entry.name}.{field.name}"
