from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given

from models.records import (
    Analysis,
    AnalysisResult,
    MeetingStatus,
    ParticipantRole,
    SpeechResult,
    decode_result,
    encode_result,
    folded,
)
from models.records.meetings import Meeting, NewMeeting
from protocols.errors import InvalidArgument
from tests.models import samples
from tests.models.samples import NOON, later


def faults_of(make: Callable[[], object]) -> list[str]:
    with pytest.raises(InvalidArgument) as caught:
        make()
    return [fault.field for fault in caught.value.faults]


def test_all_faults_of_a_record_are_told_at_once() -> None:
    make = lambda: NewMeeting("", 0, NOON, later(-1), max_participants=1001)  # noqa: E731
    assert faults_of(make) == ["title", "creator_id", "max_participants"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "x" * 101),
        ("title", "  "),
        ("title", "two\nlines"),
        ("title", "lone \ud800"),
        ("description", "x" * 2001),
        ("description", "a\0b"),
        ("max_participants", 0),
        ("creator_id", 2**32),
        ("end_time", later(-1)),
        ("start_time", datetime(2026, 3, 1)),  # noqa: DTZ001
        ("start_time", NOON.astimezone(timezone(timedelta(hours=8)))),
        ("password_hash", ""),
    ],
)
def test_a_meeting_has_bounds(field: str, value: object) -> None:
    whole = samples.new_meeting()
    assert faults_of(lambda: replace(whole, **{field: value})) == [field]  # type: ignore[arg-type]


@pytest.mark.parametrize("username", ["a", "x" * 33, "ada lovelace", "ada@home", "\nada"])
def test_a_username_has_bounds(username: str) -> None:
    assert faults_of(lambda: samples.new_user(username, "ada@example.org")) == ["username"]


@pytest.mark.parametrize("email", ["ada", "@x", "a@b@c", "a b@c", "a@" + "x" * 253])
def test_an_address_has_bounds(email: str) -> None:
    assert faults_of(lambda: samples.new_user(email=email)) == ["email"]


@pytest.mark.parametrize("confidence", [-0.1, 1.1, math.nan, math.inf])
def test_confidence_is_a_fraction(confidence: float) -> None:
    assert faults_of(lambda: replace(samples.analysis(), confidence=confidence)) == ["confidence"]


def test_a_segment_ends_after_its_start() -> None:
    assert faults_of(lambda: replace(samples.segment(), start_ms=5, end_ms=4)) == ["end_ms"]


def test_a_session_is_known_by_a_sha256_alone() -> None:
    assert faults_of(lambda: replace(samples.session(1), token_hash=b"secret")) == ["token_hash"]


def test_secrets_are_not_shown() -> None:
    shown = repr([samples.new_user(password_hash="hidden"), samples.session(1)])
    assert "hidden" not in shown
    assert repr(samples.token_hash("first")) not in shown


def test_a_meeting_names_its_room() -> None:
    plan = samples.new_meeting()
    fields = {field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)}
    meeting = Meeting(
        id=12,
        status=MeetingStatus.SCHEDULED,
        actual_start_time=None,
        actual_end_time=None,
        created_at=NOON,
        **fields,
    )
    assert meeting.room_id == "room_12"
    assert faults_of(lambda: replace(meeting, actual_start_time=later(2), actual_end_time=later(1))) == [
        "actual_end_time"
    ]


def test_the_wire_names_of_roles() -> None:
    assert list(ParticipantRole) == ["host", "co_host", "participant"]


@pytest.mark.parametrize("written", ["Ada", "ADA", " ada ", "\uff21\uff44\uff41"])  # the last one in full width
def test_one_name_however_it_is_written(written: str) -> None:
    assert folded(written) == "ada"


@given(result=samples.results)
def test_results_round_trip_as_json(result: AnalysisResult) -> None:
    found = Analysis("task", 1, 1, result, 0.5, NOON)
    assert decode_result(found.result_type, encode_result(result)) == result


@pytest.mark.parametrize(
    ("result_type", "text", "field"),
    [
        ("speech_recognition", "{}", "result"),
        ("speech_recognition", '{"text":"a","language":"en","duration_ms":-1}', "duration_ms"),
        ("emotion_detection", "not json", "result"),
        ("deepfake_detection", '{"is_deepfake":"yes"}', "result"),
        ("mind_reading", "{}", "result_type"),
    ],
)
def test_a_result_that_does_not_fit_is_refused(result_type: str, text: str, field: str) -> None:
    assert faults_of(lambda: decode_result(result_type, text)) == [field]


def test_a_result_may_come_with_more_than_we_know() -> None:
    text = '{"text":"hi","language":"en","duration_ms":3,"speaker":"unknown here"}'
    assert decode_result("speech_recognition", text) == SpeechResult("hi", "en", 3)
