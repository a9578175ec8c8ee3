"""The queue message, and the registry of the task types whose payloads travel in it.

A message is one JSON object, its fields as in `TaskMessage`; times are RFC 3339 UTC, durations seconds, bytes base64.
Messages of others may give the fields in any order and leave out all but id, type, payload and timestamp: the rest
comes from the type. Ours are written in the order of `TaskMessage`, which a Redis script may rely on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, dataclass_transform

import msgspec
from msgspec import UNSET, Meta, UnsetType

from protocols.errors import InvalidArgument

T = TypeVar("T")

Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.:-]{1,128}\Z")]
Name = Annotated[str, Meta(pattern=r"\A[a-z0-9_.]{1,64}\Z")]
Seconds = Annotated[float, Meta(ge=0.01, le=604_800)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class Priority(StrEnum):
    """Which list a task waits in; higher ones are taken first. In falling order."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def queue(self) -> str:
        """The name of the list."""
        return f"{self.value}_queue"


PROCESSING_QUEUE: Final = "processing_queue"
DEAD_LETTER_QUEUE: Final = "dead_letter_queue"


class MalformedTask(InvalidArgument):
    """A message is no queue message, or its payload does not fit its type."""


class UnknownTask(InvalidArgument):
    """No task type of this name is registered in this process."""


@dataclass(frozen=True, slots=True)
class TaskType:
    """What all tasks of one type share. Times in seconds.

    `timeout_s`: how long one attempt may run. `visibility_timeout_s`: how long after its worker's last sign of life
    a task comes back. `result_ttl_s`: how long a result can be read; 0: results are not kept.
    """

    name: str
    payload: type
    priority: Priority
    timeout_s: float
    visibility_timeout_s: float
    max_retries: int
    result_ttl_s: float
    aliases: tuple[str, ...]
    decoder: msgspec.json.Decoder[Any]


class TaskMessage(msgspec.Struct, frozen=True):
    """A task on its way. `payload` is typed. `retry_count` attempts have failed so far; durations in seconds."""

    id: str
    type: str
    priority: Priority
    timestamp: datetime
    retry_count: int
    max_retries: int
    timeout: float
    visibility_timeout: float
    source: str
    payload: Any


class _Raw(msgspec.Struct, frozen=True):
    id: Id
    type: Name
    payload: msgspec.Raw
    timestamp: Annotated[datetime, Meta(tz=True)]
    priority: Priority | UnsetType = UNSET
    retry_count: Count = 0
    max_retries: Count | UnsetType = UNSET
    timeout: Seconds | UnsetType = UNSET
    visibility_timeout: Seconds | UnsetType = UNSET
    source: str = ""


_UNKNOWN: Final = TaskType("", object, Priority.NORMAL, 60.0, 30.0, 3, 0.0, (), msgspec.json.Decoder())
_by_name: Final[dict[str, TaskType]] = {}
_by_payload: Final[dict[type, TaskType]] = {}
_encode: Final = msgspec.json.Encoder().encode
_split: Final = msgspec.json.Decoder(_Raw).decode
_check_id: Final = msgspec.json.Decoder(Id).decode


@dataclass_transform(frozen_default=True, kw_only_default=True)
def task(
    name: str,
    priority: Priority = Priority.NORMAL,
    *,
    timeout_s: float = 60.0,
    visibility_timeout_s: float = 30.0,
    max_retries: int = 3,
    result_ttl_s: float = 0.0,
    aliases: tuple[str, ...] = (),
) -> Callable[[type[T]], type[T]]:
    """Make a class a task's payload: a frozen, slotted dataclass, registered as `name`. Raises ValueError if taken."""

    def register(cls: type[T]) -> type[T]:
        for one in (name, *aliases):
            if one in _by_name:
                raise ValueError(f"task type {one!r} is taken")
        made = dataclass(frozen=True, slots=True, kw_only=True)(cls)
        decoder = msgspec.json.Decoder(made)
        entry = TaskType(
            name, made, priority, timeout_s, visibility_timeout_s, max_retries, result_ttl_s, aliases, decoder
        )
        _by_payload[made] = entry
        _by_name.update(dict.fromkeys((name, *aliases), entry))
        return made

    return register


def type_of(payload: type) -> TaskType:
    """The registered type of a payload class. Raises TypeError for a class that is no task."""
    try:
        return _by_payload[payload]
    except KeyError:
        raise TypeError(f"{payload.__qualname__} is no task: register it with @task(name, priority)") from None


def named(name: str) -> TaskType:
    """The registered type of a name or an alias. Raises UnknownTask."""
    try:
        return _by_name[name]
    except KeyError:
        raise UnknownTask(f"no task type is called {name!r}") from None


def registered() -> dict[str, TaskType]:
    """Every task type by its name, aliases left out."""
    return {entry.name: entry for entry in _by_payload.values()}


def aliases() -> dict[str, str]:
    """The name that each alias stands for."""
    return {alias: entry.name for entry in _by_payload.values() for alias in entry.aliases}


def message(
    payload: object,
    *,
    id: str,
    timestamp: datetime,
    source: str,
    priority: Priority | None = None,
    max_retries: int | None = None,
    timeout_s: float | None = None,
    visibility_timeout_s: float | None = None,
) -> TaskMessage:
    """Put a payload into its message; what is not given comes from the type. Raises InvalidArgument."""
    kind = type_of(type(payload))
    try:
        _check_id(_encode(id))
    except msgspec.ValidationError:
        raise InvalidArgument(f"a task's id is 1 to 128 letters, digits and _ . : -, not {id[:200]!r}") from None
    for seconds in (timeout_s, visibility_timeout_s):
        if seconds is not None and not 0.01 <= seconds <= 604_800:
            raise InvalidArgument(f"a task's timeouts are 0.01 s to a week, not {seconds:g} s")
    if max_retries is not None and not 0 <= max_retries <= 1_000_000:
        raise InvalidArgument(f"a task is retried 0 to 1000000 times, not {max_retries}")
    return TaskMessage(
        id,
        kind.name,
        priority or kind.priority,
        timestamp.astimezone(UTC),
        0,
        kind.max_retries if max_retries is None else max_retries,
        kind.timeout_s if timeout_s is None else timeout_s,
        kind.visibility_timeout_s if visibility_timeout_s is None else visibility_timeout_s,
        source,
        payload,
    )


def encode(value: TaskMessage) -> bytes:
    """The JSON of a message, in the order of fields that `TaskMessage` has."""
    return _encode(value)


def decode(data: bytes | str) -> TaskMessage:
    """The message of a JSON text, typed and complete. Raises MalformedTask or UnknownTask, saying what is wrong."""
    raw = _read(data)
    kind = named(raw.type)
    try:
        return _complete(raw, kind, kind.decoder.decode(raw.payload))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedTask(f"task {raw.type!r}: {error}") from error


def canonical(data: bytes | str) -> bytes:
    """A message of others in our form. Of an unknown type the payload stays as it is. Raises MalformedTask."""
    raw = _read(data)
    return _encode(decode(data) if raw.type in _by_name else _complete(raw, _UNKNOWN, raw.payload))


def _read(data: bytes | str) -> _Raw:
    try:
        return _split(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedTask(f"not a queue message: {error}") from error


def _complete(raw: _Raw, kind: TaskType, payload: object) -> TaskMessage:
    try:
        timestamp = raw.timestamp.astimezone(UTC)
    except OverflowError as error:
        raise MalformedTask(f"task {raw.type!r}: timestamp: {error}") from error
    return TaskMessage(
        raw.id,
        kind.name or raw.type,
        kind.priority if raw.priority is UNSET else raw.priority,
        timestamp,
        raw.retry_count,
        kind.max_retries if raw.max_retries is UNSET else raw.max_retries,
        kind.timeout_s if raw.timeout is UNSET else raw.timeout,
        kind.visibility_timeout_s if raw.visibility_timeout is UNSET else raw.visibility_timeout,
        raw.source,
        payload,
    )
