from __future__ import annotations

import dataclasses
import json
import typing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from protocols import events
from protocols.ai_results import SpeechSegment
from protocols.events import (
    EmotionDetectionCompleted,
    Envelope,
    MalformedEvent,
    MeetingEnded,
    MeetingStarted,
    SpeechRecognitionCompleted,
    Topic,
    UserStatusChanged,
)
from tests.protocols.values import MOMENTS, TEXT, of_type

CONTRACT: Final = """
user_events       user.registered                user_id username email registered_at
user_events       user.logged_in                 user_id username login_time ip_address
user_events       user.status_changed            user_id old_status new_status
meeting_events    meeting.created                meeting_id title creator_id start_time
meeting_events    meeting.started                meeting_id actual_start_time
meeting_events    meeting.ended                  meeting_id end_time duration
meeting_events    meeting.user_joined            meeting_id user_id username joined_at
meeting_events    meeting.user_left              meeting_id user_id left_at
signaling_events  webrtc.connection_established  room_id user_id peer_connection_id
signaling_events  webrtc.connection_closed       room_id user_id reason
media_events      recording.started              recording_id meeting_id room_id started_at
media_events      recording.stopped              recording_id meeting_id stopped_at file_path file_size duration
media_events      recording.processed            recording_id meeting_id output_path thumbnail_path minio_url
ai_events         speech_recognition.completed   task_id meeting_id user_id text confidence language duration latency timestamp
ai_events         emotion_detection.completed    task_id meeting_id user_id emotion confidence timestamp
ai_events         deepfake_detection.completed   task_id meeting_id user_id is_deepfake confidence timestamp
"""  # noqa: E501 - a table
ROWS: Final = {
    name: (topic, fields) for topic, name, *fields in (line.split() for line in CONTRACT.split("\n") if line)
}
BEYOND: Final = {"speech_recognition.completed": ["segments"]}
"""Fields that the contract does not name. Each has a default, so that an event of another system is one of ours too."""

TIMES: Final = ("_at", "_time", "timestamp")
IDS: Final = ("user_id", "meeting_id", "creator_id")
NOON: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
EAST: Final = timezone(timedelta(hours=2))


def enveloped(event: object, timestamp: datetime = NOON) -> Envelope:
    return events.envelope(event, message_id="m1", timestamp=timestamp, source="node-1")


def test_the_events_are_those_of_the_contract() -> None:
    assert events.registered().keys() == ROWS.keys()
    assert {topic for topic, _ in ROWS.values()} == set(Topic)


@pytest.mark.parametrize("name", ROWS)
def test_an_event_has_the_contracts_topic_and_fields(name: str) -> None:
    kind, topic = events.registered()[name]
    wanted_topic, wanted = ROWS[name]
    assert (topic, events.topic_of(kind), events.type_of(kind)) == (wanted_topic, wanted_topic, name)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    assert list(fields) == wanted + BEYOND.get(name, [])
    assert all(fields[extra].default is not dataclasses.MISSING for extra in BEYOND.get(name, []))
    hints = typing.get_type_hints(kind)
    for field in wanted:
        assert (hints[field] is datetime) == field.endswith(TIMES), field
        assert (hints[field] is int) or field not in IDS, field


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=15)
@given(data=st.data())
def test_every_event_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    event = data.draw(of_type(events.registered()[name][0]))
    message_id, source, timestamp = data.draw(TEXT), data.draw(TEXT), data.draw(MOMENTS)
    envelope = events.envelope(event, message_id=message_id, timestamp=timestamp, source=source)
    again = events.decode(events.encode(envelope))
    assert again == envelope
    assert (again.payload, again.message_id, again.source, again.timestamp) == (event, message_id, source, timestamp)
    assert again.topic == ROWS[name][0]


def test_an_envelope_is_this_json() -> None:
    speech = SpeechRecognitionCompleted(
        *("t1", 7, 9, "hello", 0.5, "en", 1200, 85.5, NOON), segments=(SpeechSegment(0, 1200, "hello", 0.5),)
    )
    assert json.loads(events.encode(enveloped(speech, NOON + timedelta(microseconds=5)))) == {
        "message_id": "m1",
        "type": "speech_recognition.completed",
        "payload": {
            "task_id": "t1",
            "meeting_id": 7,
            "user_id": 9,
            "text": "hello",
            "confidence": 0.5,
            "language": "en",
            "duration": 1200,
            "latency": 85.5,
            "timestamp": "2030-01-01T12:00:00Z",
            "segments": [{"start_ms": 0, "end_ms": 1200, "text": "hello", "confidence": 0.5}],
        },
        "timestamp": "2030-01-01T12:00:00.000005Z",
        "source": "node-1",
    }


def wire(**changes: object) -> str:
    payload = {"meeting_id": 7, "actual_start_time": "2030-01-01T12:00:00Z"}
    sound = {"message_id": "m", "type": "meeting.started", "payload": payload, "timestamp": "2030-01-01T12:00:00Z"}
    return json.dumps({**sound, "source": "other", **changes})


def test_an_event_of_another_system_is_read_whatever_it_has_besides() -> None:
    payload = {"meeting_id": 7, "actual_start_time": "2030-01-01T14:00:00+02:00", "more": [1]}
    read = events.decode(wire(payload=payload, timestamp="2030-01-01T13:00:00+01:00", version=2))
    assert read.payload == MeetingStarted(7, NOON)
    assert read.timestamp == NOON
    assert b"+0" not in events.encode(read)


@pytest.mark.parametrize("elsewhere", [EAST, timezone(timedelta(0)), timezone(-timedelta(hours=11, minutes=30))])
def test_times_go_out_in_utc(elsewhere: timezone) -> None:
    text = events.encode(enveloped(MeetingStarted(7, NOON.astimezone(elsewhere)), NOON.astimezone(elsewhere))).decode()
    assert text.count('"2030-01-01T12:00:00Z"') == 2


@pytest.mark.parametrize(
    ("event", "timestamp"),
    [
        (MeetingStarted(7, NOON.replace(tzinfo=None)), NOON),
        (MeetingStarted(7, NOON), NOON.replace(tzinfo=None)),
        (MeetingStarted("seven", NOON), NOON),  # type: ignore[arg-type]
        (MeetingEnded(7, NOON, float("inf")), NOON),
        (EmotionDetectionCompleted("t", 1, 2, "joy", float("nan"), NOON), NOON),
        (UserStatusChanged(1, "\ud800", "online"), NOON),
        (UserStatusChanged(1, object(), "online"), NOON),  # type: ignore[arg-type]
        (MeetingStarted(7, datetime(1, 1, 1, tzinfo=EAST)), NOON),
    ],
    ids=["naive field", "naive envelope", "wrong type", "infinite", "nan", "surrogate", "object", "before year 1"],
)
def test_what_nobody_could_read_is_not_published(event: object, timestamp: datetime) -> None:
    with pytest.raises(MalformedEvent):
        enveloped(event, timestamp)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        wire(type="meeting.unheard_of"),
        wire(type=None),
        wire(payload=None),
        wire(payload={"meeting_id": 7}),
        wire(payload={"meeting_id": "7", "actual_start_time": "2030-01-01T12:00:00Z"}),
        wire(payload={"meeting_id": 7, "actual_start_time": "2030-01-01T12:00:00"}),
        wire(payload={"meeting_id": 7, "actual_start_time": 1893499200}),
        wire(timestamp="2030-01-01T12:00:00"),
        wire(timestamp="0001-01-01T00:00:00+14:00"),
        wire() + "x",
        "[" * 100_000,
        wire(payload="@").replace('"@"', "[" * 100_000 + "]" * 100_000),
        wire(source="\x00").encode().replace(b"\\u0000", b"\xff"),
        "\ud800",
    ],
)
def test_what_is_no_event_is_malformed(text: str | bytes) -> None:
    with pytest.raises(MalformedEvent):
        events.decode(text)


@given(st.binary(max_size=60) | st.text(max_size=60), st.integers(0, 170), st.binary(max_size=2))
def test_nothing_brings_the_codec_down(noise: str | bytes, at: int, byte: bytes) -> None:
    whole = wire().encode()
    for data in (noise, whole[:at] + byte + whole[at + 1 :]):
        try:
            events.decode(data)
        except MalformedEvent:
            continue


def test_a_type_belongs_to_one_event_and_strangers_are_none() -> None:
    with pytest.raises(ValueError, match=r"'meeting\.started' is taken"):

        @events.event("meeting.started", Topic.AI)
        class Other:
            pass

    for ask in (events.topic_of, events.type_of):
        with pytest.raises(TypeError, match="str is no event"):
            ask(str)
    stranger: Any = "news"
    with pytest.raises(TypeError, match="str is no event"):
        enveloped(stranger)
