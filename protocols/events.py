"""The five topics, their typed events, and the envelope in which an event travels.

An envelope is one JSON object {message_id, type, payload, timestamp, source}; times are RFC 3339 UTC, and one without a
zone is refused. What `envelope` takes, `decode` gives back: a payload that nobody could read again (a NaN, a wrong
type) is refused before it is published. A subscriber that must not act twice remembers `message_id`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, dataclass_transform

import msgspec

from protocols.ai_results import SpeechSegment
from protocols.errors import InvalidArgument

T = TypeVar("T")
UtcTime = Annotated[datetime, msgspec.Meta(tz=True)]


class Topic(StrEnum):
    """Where an event is published."""

    USER = "user_events"
    MEETING = "meeting_events"
    SIGNALING = "signaling_events"
    MEDIA = "media_events"
    AI = "ai_events"


class MalformedEvent(InvalidArgument):
    """An envelope is no envelope, names an unknown type, or its payload does not fit that type."""


_NOT_READABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError)
"""What input may raise: RecursionError for JSON a thousand deep, OverflowError for a time before year 1 in UTC."""

_by_type: Final[dict[type, tuple[str, Topic]]] = {}
_by_name: Final[dict[str, tuple[type, Topic]]] = {}


@dataclass_transform(frozen_default=True)
def event(name: str, topic: Topic) -> Callable[[type[T]], type[T]]:
    """Make a class an event: a frozen, slotted dataclass, published on `topic` as `name`."""

    def register(cls: type[T]) -> type[T]:
        if name in _by_name:
            raise ValueError(f"event type {name!r} is taken")
        made = dataclass(frozen=True, slots=True)(cls)
        _by_name[name] = (made, topic)
        _by_type[made] = (name, topic)
        return made

    return register


@event("user.registered", Topic.USER)
class UserRegistered:
    user_id: int
    username: str
    email: str
    registered_at: UtcTime


@event("user.logged_in", Topic.USER)
class UserLoggedIn:
    user_id: int
    username: str
    login_time: UtcTime
    ip_address: str


@event("user.status_changed", Topic.USER)
class UserStatusChanged:
    user_id: int
    old_status: str
    new_status: str


@event("meeting.created", Topic.MEETING)
class MeetingCreated:
    meeting_id: int
    title: str
    creator_id: int
    start_time: UtcTime


@event("meeting.started", Topic.MEETING)
class MeetingStarted:
    meeting_id: int
    actual_start_time: UtcTime


@event("meeting.ended", Topic.MEETING)
class MeetingEnded:
    """`duration` in seconds."""

    meeting_id: int
    end_time: UtcTime
    duration: float


@event("meeting.user_joined", Topic.MEETING)
class MeetingUserJoined:
    meeting_id: int
    user_id: int
    username: str
    joined_at: UtcTime


@event("meeting.user_left", Topic.MEETING)
class MeetingUserLeft:
    meeting_id: int
    user_id: int
    left_at: UtcTime


@event("webrtc.connection_established", Topic.SIGNALING)
class ConnectionEstablished:
    room_id: str
    user_id: int
    peer_connection_id: str


@event("webrtc.connection_closed", Topic.SIGNALING)
class ConnectionClosed:
    room_id: str
    user_id: int
    reason: str


@event("recording.started", Topic.MEDIA)
class RecordingStarted:
    recording_id: str
    meeting_id: int
    room_id: str
    started_at: UtcTime


@event("recording.stopped", Topic.MEDIA)
class RecordingStopped:
    """`file_size` in bytes, `duration` in seconds."""

    recording_id: str
    meeting_id: int
    stopped_at: UtcTime
    file_path: str
    file_size: int
    duration: float


@event("recording.processed", Topic.MEDIA)
class RecordingProcessed:
    recording_id: str
    meeting_id: int
    output_path: str
    thumbnail_path: str
    minio_url: str


@event("speech_recognition.completed", Topic.AI)
class SpeechRecognitionCompleted:
    """`duration` and `latency` in milliseconds, `confidence` from 0 to 1; `timestamp`: when the speech came in."""

    task_id: str
    meeting_id: int
    user_id: int
    text: str
    confidence: float
    language: str
    duration: int
    latency: float
    timestamp: UtcTime
    segments: tuple[SpeechSegment, ...] = ()


@event("emotion_detection.completed", Topic.AI)
class EmotionDetectionCompleted:
    task_id: str
    meeting_id: int
    user_id: int
    emotion: str
    confidence: float
    timestamp: UtcTime


@event("deepfake_detection.completed", Topic.AI)
class DeepfakeDetectionCompleted:
    task_id: str
    meeting_id: int
    user_id: int
    is_deepfake: bool
    confidence: float
    timestamp: UtcTime


class Envelope(msgspec.Struct, frozen=True):
    """An event on its way. `message_id` is unique; `source` names the node that published it."""

    message_id: str
    type: str
    payload: Any
    timestamp: UtcTime
    source: str

    @property
    def topic(self) -> Topic:
        """Where an event of this type belongs."""
        return topic_of(type(self.payload))


class _RawEnvelope(msgspec.Struct, frozen=True):
    message_id: str
    type: str
    payload: msgspec.Raw
    timestamp: UtcTime
    source: str


_encode: Final = msgspec.json.Encoder().encode
_split: Final = msgspec.json.Decoder(_RawEnvelope).decode


def topic_of(kind: type) -> Topic:
    """The topic of an event class. Raises TypeError for a class that is no event."""
    return _entry(kind)[1]


def type_of(kind: type) -> str:
    """The wire name of an event class. Raises TypeError for a class that is no event."""
    return _entry(kind)[0]


def registered() -> dict[str, tuple[type, Topic]]:
    """Every event type by its wire name."""
    return dict(_by_name)


def envelope(payload: object, *, message_id: str, timestamp: datetime, source: str) -> Envelope:
    """Put an event into its envelope. Raises TypeError for what is no event, MalformedEvent for what is unreadable."""
    name = type_of(type(payload))
    if timestamp.tzinfo is None:
        raise MalformedEvent(f"event {name!r}: its timestamp has no time zone")
    try:
        written = _encode(payload)
    except (UnicodeError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedEvent(f"event {name!r} cannot be written: {error}") from error
    return Envelope(message_id, name, _payload(name, written), timestamp.astimezone(UTC), source)


def encode(value: Envelope) -> bytes:
    """The JSON of an envelope."""
    return _encode(value)


def decode(data: bytes | str) -> Envelope:
    """The envelope of a JSON text, its payload typed and its times in UTC. Raises MalformedEvent."""
    try:
        raw = _split(data)
        timestamp = raw.timestamp.astimezone(UTC)
    except _NOT_READABLE as error:
        raise MalformedEvent(f"not an event envelope: {error}") from error
    return Envelope(raw.message_id, raw.type, _payload(raw.type, raw.payload), timestamp, raw.source)


def _payload(name: str, written: bytes | msgspec.Raw) -> object:
    known = _by_name.get(name)
    if known is None:
        raise MalformedEvent(f"no event type is called {name!r}")
    try:
        return _in_utc(msgspec.json.decode(written, type=known[0]))
    except _NOT_READABLE as error:
        raise MalformedEvent(f"event {name!r}: {error}") from error


def _in_utc(payload: Any) -> object:
    values = {field.name: getattr(payload, field.name) for field in fields(payload)}
    elsewhere = {name: at for name, at in values.items() if isinstance(at, datetime) and at.tzinfo is not UTC}
    return replace(payload, **{name: at.astimezone(UTC) for name, at in elsewhere.items()}) if elsewhere else payload


def _entry(kind: type) -> tuple[str, Topic]:
    try:
        return _by_type[kind]
    except KeyError:
        raise TypeError(f"{kind.__qualname__} is no event: register it with @event(name, topic)") from None
