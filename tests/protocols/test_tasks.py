"""Tasks and the queue message: the contract's table, messages of others, and texts that are none."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import task_message, tasks
from protocols.errors import InvalidArgument, ParleyError
from protocols.task_message import MalformedTask, Priority, TaskMessage, UnknownTask

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

CONTRACT = {
    "user.register": ("normal", "user_id, username, email"),
    "user.login": ("low", "user_id, username, ip_address, login_time"),
    "user.profile_update": ("normal", "user_id, updates"),
    "user.status_change": ("normal", "user_id, status"),
    "meeting.create": ("high", "meeting_id, title, creator_id, start_time"),
    "meeting.end": ("high", "meeting_id, end_time, duration"),
    "meeting.user_join": ("normal", "meeting_id, user_id"),
    "meeting.user_leave": ("normal", "meeting_id, user_id"),
    "meeting.recording_process": ("normal", "meeting_id, room_id, recording_id, file_path"),
    "media.recording_process": ("normal", "meeting_id, room_id, recording_id, file_path"),
    "media.transcode": ("normal", "recording_id, video_id, source_path, target_format, quality"),
    "media.upload_to_minio": ("normal", "recording_id, file_path, bucket, object_key"),
    "ai.speech_recognition": ("high", "task_id, audio_data, meeting_id, room_id, user_id, duration, model"),
    "ai.emotion_detection": ("normal", "task_id, video_frame, meeting_id, room_id, user_id, model"),
    "ai.deepfake_detection": ("high", "task_id, video_frame, meeting_id, room_id, user_id, model"),
}

MINIMAL: dict[str, Any] = {
    "id": "a",
    "type": "user.status_change",
    "timestamp": "2026-01-01T12:00:00Z",
    "payload": {"user_id": 1, "status": "away"},
}


def message_of(payload: object, **given: Any) -> TaskMessage:
    return task_message.message(payload, id="t-1", timestamp=NOON, source="node-1", **given)


def test_the_types_are_the_contract_s() -> None:
    found = {
        name: (kind.priority.value, {field.name for field in fields(kind.payload)})
        for name, kind in task_message.registered().items()
        if not name.startswith("test.")
    }
    assert found == {name: (priority, set(names.split(", "))) for name, (priority, names) in CONTRACT.items()}
    assert task_message.aliases() == {"media.upload": "media.upload_to_minio"}
    assert task_message.named("media.upload").payload is tasks.MediaUploadToMinio


def test_the_lists_are_the_contract_s() -> None:
    lists = [*(priority.queue for priority in Priority), task_message.PROCESSING_QUEUE, task_message.DEAD_LETTER_QUEUE]
    assert lists == [
        *("critical_queue", "high_queue", "normal_queue", "low_queue"),
        *("processing_queue", "dead_letter_queue"),
    ]


def test_a_message_on_the_wire() -> None:
    payload = tasks.AiSpeechRecognition(
        task_id="s", audio_data=b"\x00\xff", user_id=7, duration=20, model="tiny", room_id="room_1"
    )
    assert msgspec.json.decode(task_message.encode(message_of(payload))) == {
        "id": "t-1",
        "type": "ai.speech_recognition",
        "priority": "high",
        "timestamp": "2026-01-01T12:00:00Z",
        "retry_count": 0,
        "max_retries": 3,
        "timeout": 60,
        "visibility_timeout": 30,
        "source": "node-1",
        "payload": {
            "task_id": "s",
            "audio_data": "AP8=",
            "user_id": 7,
            "duration": 20,
            "model": "tiny",
            "room_id": "room_1",
            "meeting_id": None,
        },
    }


@st.composite
def payloads(draw: st.DrawFn) -> object:
    kind = draw(st.sampled_from([kind.payload for kind in task_message.registered().values()]))
    given = {
        **{field.name: draw(_values(str(field.type))) for field in fields(kind)},
        **({"meeting_id": 1} if "room_id" in {field.name for field in fields(kind)} else {}),
        **({"video_id": "v"} if kind is tasks.MediaTranscode else {}),
    }
    return kind(**given)


def _values(annotation: str) -> st.SearchStrategy[Any]:
    return {
        "int": st.integers(0, 2**32 - 1),
        "str": st.text(),
        "float": st.floats(0, 1e9),
        "bytes": st.binary(max_size=50),
        "datetime": st.datetimes(timezones=st.just(UTC)),
        "dict[str, Any]": st.dictionaries(st.text(), st.text() | st.none() | st.booleans() | st.integers(-99, 99)),
        "int | None": st.none() | st.integers(0, 2**32 - 1),
        "str | None": st.none() | st.text(),
    }[annotation]


@given(payload=payloads(), retries=st.integers(0, 9), timeout=st.floats(0.01, 604_800), source=st.text())
def test_what_is_encoded_is_decoded(payload: object, retries: int, timeout: float, source: str) -> None:
    given = task_message.message(payload, id="t", timestamp=NOON, source=source, max_retries=retries, timeout_s=timeout)
    text = task_message.encode(given)
    assert task_message.decode(text) == given
    assert task_message.canonical(text) == text


def test_messages_of_others_may_leave_out_what_the_type_says() -> None:
    message = task_message.decode(msgspec.json.encode(MINIMAL))
    assert (message.priority, message.retry_count, message.max_retries) == (Priority.NORMAL, 0, 3)
    assert (message.timeout, message.visibility_timeout, message.source) == (60.0, 30.0, "")
    assert list(msgspec.json.decode(task_message.canonical(msgspec.json.encode(MINIMAL)))) == [
        field.name for field in msgspec.structs.fields(TaskMessage)
    ]


def test_any_offset_becomes_utc() -> None:
    text = msgspec.json.encode({**MINIMAL, "timestamp": "2026-01-01T20:00:00+08:00"})
    assert task_message.decode(text).timestamp == NOON
    assert b'"2026-01-01T12:00:00Z"' in task_message.canonical(text)
    east = NOON.astimezone(timezone(timedelta(hours=8)))
    given = task_message.message(tasks.MeetingUserJoin(meeting_id=1, user_id=2), id="a", timestamp=east, source="")
    assert b'"2026-01-01T12:00:00Z"' in task_message.encode(given)


def test_the_payload_of_an_unknown_type_is_kept_as_it_is() -> None:
    text = msgspec.json.encode({**MINIMAL, "type": "user.invented", "payload": {"b": [1, None]}})
    assert msgspec.json.decode(task_message.canonical(text))["payload"] == {"b": [1, None]}
    with pytest.raises(UnknownTask, match=r"user\.invented"):
        task_message.decode(text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "a\n"}, "id"),
        ({"id": "x" * 129}, "id"),
        ({"id": 7}, "id"),
        ({"type": "User.Register"}, "type"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-01-01T12:00:00"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+10:00"}, "timestamp"),
        ({"priority": "urgent"}, "priority"),
        ({"retry_count": -1}, "retry_count"),
        ({"visibility_timeout": 0}, "visibility_timeout"),
        ({"timeout": 1e9}, "timeout"),
        ({"payload": {"user_id": "one", "status": ""}}, "user_id"),
        ({"payload": {"user_id": 1}}, "status"),
        ({"payload": None}, "user.status_change"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(MalformedTask, match=says):
        task_message.decode(msgspec.json.encode({**MINIMAL, **change}))


def test_a_task_of_a_meeting_or_a_room_names_one() -> None:
    with pytest.raises(ValueError, match="meeting_id or room_id"):
        tasks.AiEmotionDetection(task_id="e", video_frame=b"", user_id=1, model="m")
    with pytest.raises(ValueError, match="recording_id or video_id"):
        tasks.MediaTranscode(source_path="a", target_format="mp4", quality="high")
    payload = {"recording_id": "r", "file_path": "f"}
    text = msgspec.json.encode({**MINIMAL, "type": "media.recording_process", "payload": payload})
    with pytest.raises(MalformedTask, match="meeting_id or room_id"):
        task_message.decode(text)


@given(st.binary() | st.text().map(str.encode))
def test_no_text_breaks_the_decoder(text: bytes) -> None:
    for read in (task_message.decode, task_message.canonical):
        with pytest.raises(ParleyError):
            read(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*MINIMAL, "priority", "retry_count", "timeout", "source"]), JSON))
def test_any_field_may_be_anything_and_breaks_nothing(change: dict[str, Any]) -> None:
    text = msgspec.json.encode({**MINIMAL, **change})
    for read in (task_message.decode, task_message.canonical):
        try:
            read(text)
        except ParleyError as error:
            assert error.detail


@pytest.mark.parametrize(
    "given", [{"timeout_s": 0}, {"visibility_timeout_s": 1e9}, {"max_retries": -1}, {"timeout_s": float("nan")}]
)
def test_a_message_is_made_within_its_bounds(given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        message_of(tasks.UserStatusChange(user_id=1, status="x"), **given)


def test_a_payload_is_frozen_and_registered_once() -> None:
    payload = tasks.UserStatusChange(user_id=1, status="x")
    with pytest.raises(FrozenInstanceError):
        payload.status = "y"  # type: ignore[misc]
    for name, aliases in (("user.register", ()), ("test.fresh", ("media.upload",))):
        with pytest.raises(ValueError, match="taken"):
            task_message.task(name, aliases=aliases)(type("Other", (), {}))
    with pytest.raises(TypeError, match="no task"):
        message_of(7)
