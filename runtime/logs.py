"""Logs: one line an event, as JSON or as text for people, in UTC, with the request and the actor that it belongs to.

Whatever logs through the standard library takes the same way out. No secret is written: values under names such as
`password` or `token` are masked, and so are bearer tokens, JWTs and credentials in addresses wherever they stand.
Objects are named by their type, not spelt out, as a message may hold what is nobody's business.
"""

from __future__ import annotations

import datetime
import enum
import json
import logging
import re
import sys
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import PurePath
from typing import Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK: Final = "***"

_SECRET_WORDS: Final = frozenset(
    {
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "jwt",
        "passphrase",
        "passwd",
        "password",
        "secret",
        "token",
    }
)
_SECRET_PAIRS: Final = (["api", "key"], ["private", "key"], ["signing", "key"])
_ABOUT_WORDS: Final = frozenset({"bytes", "count", "id", "kind", "limit", "ms", "s", "type"})
"""A name that ends so says something about a secret (`access_token_ttl_s`, `token_type`), and is none itself."""

_WORD: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_IN_TEXT: Final = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/@]+@"), rf"\1:{MASK}@"),
    (
        re.compile(
            r"""(?i)\b(password|secret|token|credential)("?\s*=\s*|["']\s*:\s*)("[^"]*"|'[^']*'|[^\s,;&"')}\]]+)"""
        ),
        rf"\1\2{MASK}",
    ),
)
_DEEPEST: Final = 6
_QUIET: Final = {"asyncio": logging.WARNING, "aiohttp.access": logging.WARNING}


def is_secret_name(name: str) -> bool:
    """Whether a value under this name is masked: a word of it says so, and it does not end as a figure about one."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _ABOUT_WORDS:
        return False
    return not _SECRET_WORDS.isdisjoint(words) or words[-2:] in _SECRET_PAIRS


def clean(value: object, depth: int = 0) -> object:
    """The value as plain data that may be written: secrets masked, other objects by their type's name."""
    match value:
        case None | bool() | int() | float() if not isinstance(value, enum.Enum):
            return value
        case enum.Enum():
            return clean(value.value, depth)
        case str():
            return clean_text(value)
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case datetime.date():
            return value.isoformat()
        case uuid.UUID() | PurePath():
            return clean_text(str(value))
        case BaseException():
            return clean_text(f"{type(value).__name__}: {value}")
        case type():
            return value.__qualname__
    if depth >= _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {
            str(name): MASK if is_secret_name(str(name)) else clean(item, depth + 1) for name, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item, depth + 1) for item in value]
    return f"<{type(value).__name__}>"


def clean_text(text: str) -> str:
    """The text without tokens and credentials."""
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _cleaned(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {name: MASK if is_secret_name(name) else clean(value) for name, value in event.items()}


def _as_json(event: object, **options: object) -> str:
    try:
        return orjson.dumps(event).decode()
    except TypeError:  # a lone surrogate, or a number beyond 64 bits
        return json.dumps(event)


class LogHandler(logging.StreamHandler[TextIO]):
    """The one handler of the process; its own class, so that a second `configure` finds and replaces it."""


def resolved(log_format: str, stream: TextIO | None = None) -> str:
    """`json` or `console`: what the setting means for this stream (default stderr). `auto`: text on a terminal."""
    if log_format == "auto":
        return "console" if (stream or sys.stderr).isatty() else "json"
    return log_format


def configure(log_format: str, level: str, *, node: str, stream: TextIO | None = None) -> None:
    """Set up the logs of this process. `log_format` and `level` as in the settings; `stream` defaults to stderr."""
    stream = stream or sys.stderr
    as_text = resolved(log_format, stream) == "console"
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    if not as_text:

        def named(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
            event["node"] = node
            return event

        shared.append(named)
    renderer: Processor = structlog.processors.JSONRenderer(serializer=_as_json)
    if as_text:
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), timestamp_key="time", exception_formatter=structlog.dev.plain_traceback
        )

    handler = LogHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _cleaned, renderer],
        )
    )
    root = logging.getLogger()
    for earlier in [one for one in root.handlers if isinstance(one, LogHandler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def within(**names: str | int) -> AbstractContextManager[None]:
    """Put names such as `request_id` or `actor` on every line that is logged inside, tasks started there included."""
    return structlog.contextvars.bound_contextvars(**names)
