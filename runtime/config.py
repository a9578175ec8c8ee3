"""The node's settings: one flat table, read once at the start and passed on as a frozen value.

Precedence: defaults < configuration file (TOML) < environment (`PARLEY_` + name) < command line. Everything that is
wrong is found at once, each in one line with the setting, its value (never a secret's), its origin and what is allowed.
"""

from __future__ import annotations

import argparse
import difflib
import os
import socket
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from runtime.setting_words import allowed, is_list, is_secret

PREFIX: Final = "PARLEY_"

ListenPort = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Threads = Annotated[int, Field(ge=1, le=64)]
ByteCount = Annotated[int, Field(ge=1024, le=1 << 30)]


class IceServer(BaseModel):
    """A STUN or TURN server that clients are told of (https://www.w3.org/TR/webrtc/#rtciceserver-dictionary)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: tuple[Annotated[str, Field(pattern=r"^(stun|stuns|turn|turns):\S+$")], ...] = Field(min_length=1)
    username: str | None = None
    credential: SecretStr | None = None


def _items(value: object) -> object:
    """A list given as text: JSON where it begins like JSON, else split at commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith(("[", "{")):
        return orjson.loads(value)
    return tuple(part.strip() for part in value.split(",") if part.strip())


Listed = BeforeValidator(_items)


def _host_name() -> str:
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in socket.gethostname())
    return name.strip("-_.")[:63] or "parley"


def _half_of_the_cores() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(4, cores // 2))


def _beside_the_data(known: dict[str, Any]) -> Path:
    return Path(known["data_dir"]) / "models"


class Settings(BaseSettings):
    """All settings. `Settings(...)` takes what it is given and reads nothing; `load` reads the node's surroundings."""

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    node_name: str = Field(
        default_factory=_host_name,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="Name of this node, in logs and in what it publishes.",
        json_schema_extra={
            "default": "the host's name",
            "allowed": "1 to 63 letters, digits, dots, dashes, underscores",
        },
    )
    data_dir: Path = Field(default=Path("var"), description="Folder of the database and of the generated secret.")
    model_dir: Path = Field(
        default_factory=_beside_the_data,
        description="The model repository.",
        json_schema_extra={"default": "`models` in `data_dir`"},
    )

    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to listen on; `0.0.0.0` opens it to the network."
    )
    http_port: ListenPort = Field(
        default=8080, description="Port of the gateway: every route, and `/ws`. 0: any free one."
    )
    signaling_port: ListenPort = Field(default=8083, description="Further port of the gateway, for signaling clients.")
    ai_port: ListenPort = Field(default=8085, description="Further port of the gateway, for clients of the AI service.")

    log_format: Literal["auto", "json", "console"] = Field(
        default="auto", description="JSON lines, or text for people; `auto`: text on a terminal, else JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged."
    )

    token_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Key that signs tokens. Not set: made at the first start, and kept in `data_dir`.",
        json_schema_extra={"allowed": "text of 32 characters or more"},
    )
    access_token_ttl_s: int = Field(default=900, ge=1, le=86_400, description="How long an access token is good.")
    refresh_token_ttl_s: int = Field(
        default=2_592_000, ge=60, le=31_536_000, description="How long a refresh token is good."
    )
    hash_threads: Threads = Field(default=2, description="Threads that hash passwords; more logins at once wait.")

    speech_workers: Threads = Field(
        default_factory=_half_of_the_cores,
        description="Processes that recognise speech, one thread each.",
        json_schema_extra={"default": "half of the cores, 1 to 4"},
    )
    inference_queue_limit: Count = Field(
        default=64, description="Requests that wait for a model; more are refused at once."
    )
    recognition_timeout_s: Seconds = Field(
        default=60.0, description="How long a recognition may take, the wait for a worker included."
    )
    ask_timeout_s: Seconds = Field(default=5.0, description="How long one part of the node waits for another's answer.")
    drain_timeout_s: Seconds = Field(default=20.0, description="How long a stopping node lets running requests end.")

    redis_url: SecretStr | None = Field(
        default=None,
        description="Redis or Valkey that carries the topics and keeps the tasks. Not set: `data_dir` does.",
        json_schema_extra={"allowed": "`redis://`, `rediss://`, `unix://`, or the Sentinel and Cluster forms"},
    )
    redis_prefix: str = Field(
        default="",
        pattern=r"^[\w.:{}-]{0,64}$",
        description="Before every name in Redis, for several systems on one server; in braces: a cluster's hash tag.",
        json_schema_extra={"allowed": "up to 64 letters, digits and `_ . : - { }`"},
    )
    queue_concurrency: Count = Field(default=256, description="Tasks that a node does at once, of all types.")
    queue_max_message_bytes: ByteCount = Field(default=2 << 20, description="Largest task, its payload included.")
    queue_waiting_limit: int = Field(
        default=1_000_000, ge=1, le=100_000_000, description="Tasks of one priority that may wait; more are refused."
    )
    queue_dead_limit: int = Field(default=100_000, ge=1, le=100_000_000, description="Dead letters that are kept.")

    max_body_bytes: ByteCount = Field(default=16 << 20, description="Largest HTTP body.")
    ws_max_frame_bytes: ByteCount = Field(default=256 << 10, description="Largest WebSocket frame from a client.")
    ws_heartbeat_s: Seconds = Field(default=20.0, description="How often a quiet WebSocket client is pinged.")
    ws_idle_timeout_s: Seconds = Field(default=60.0, description="A WebSocket client silent for so long is cut.")
    ws_outbox_limit: Count = Field(
        default=256, description="Frames that wait for a slow WebSocket client before it is cut."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, Listed] = Field(
        default=(), description="Origins whose pages may call the API, such as `https://meet.example`; `*`: all."
    )
    ice_servers: Annotated[tuple[IceServer, ...], NoDecode, Listed] = Field(
        default=(),
        description="STUN and TURN servers for clients: `urls`, and `username` and `credential` where needed.",
        json_schema_extra={"allowed": 'a JSON list such as [{"urls": ["stun:stun.example:3478"]}]'},
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        taken: dict[int, str] = {}
        for name in ("http_port", "signaling_port", "ai_port"):
            port = getattr(self, name)
            if port and port in taken:
                raise ValueError(f"{taken[port]} and {name} are both {port}: allowed are different ports, or 0")
            taken[port] = name
        if self.ws_heartbeat_s >= self.ws_idle_timeout_s:
            raise ValueError(
                f"ws_heartbeat_s is {self.ws_heartbeat_s:g} and ws_idle_timeout_s is {self.ws_idle_timeout_s:g}: "
                "the heartbeat must be the shorter one, or every quiet client is cut"
            )
        return self


class ConfigError(Exception):
    """The settings cannot be used. `lines` has one sentence for each thing that is wrong."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def load(config_file: Path | None = None, command_line: Mapping[str, object] | None = None) -> Settings:
    """The settings of this process. Raises ConfigError, with every fault that was found, not only the first."""
    sources: tuple[tuple[Mapping[str, object], Callable[[str], str]], ...] = (
        (_from_file(config_file) if config_file else {}, lambda name: str(config_file)),
        (EnvSettingsSource(Settings)(), lambda name: PREFIX + name.upper()),
        (command_line or {}, option),
    )
    given = {name: (where(name), value) for values, where in sources for name, value in values.items()}
    try:
        return Settings(**{name: value for name, (_, value) in given.items()})  # type: ignore[arg-type]
    except ValidationError as error:
        first: dict[tuple[int | str, ...], str] = {}
        for fault in error.errors():
            if fault["type"] != "default_factory_not_called":  # only says that the setting it derives from is at fault
                first.setdefault(fault["loc"][:1], _line(fault["loc"], fault["msg"], given))
        raise ConfigError(list(first.values())) from None


def _from_file(path: Path) -> dict[str, object]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from None
    unknown = [name for name in values if name not in Settings.model_fields]
    if unknown:
        raise ConfigError([f"{path}: there is no setting {name!r}{_nearest(name)}" for name in unknown])
    return values


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), Settings.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def misspelt_environment(environ: Mapping[str, str]) -> list[str]:
    """One line for each `PARLEY_` variable that is almost a setting. Others may use the prefix, so it is no error."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    lines = []
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in known:
            close = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
            if close:
                lines.append(f"{variable} is set, but there is no such setting; did you mean {close[0]}?")
    return lines


def _line(place: tuple[int | str, ...], message: str, given: Mapping[str, tuple[str, object]]) -> str:
    if not place:
        return message.removeprefix("Value error, ")
    name = str(place[0])
    if name not in Settings.model_fields:
        return f"there is no setting {name!r}{_nearest(name)}"
    where, value = given.get(name, ("default", None))
    field = Settings.model_fields[name]
    inner = ".".join(str(part) for part in place[1:])
    detail = f" ({inner}: {message})" if inner and is_list(field) else ""
    shown = "the value given" if is_secret(field) or is_list(field) else repr(value)
    return f"{name}: {shown} from {where} is not allowed{detail}: it must be {allowed(field)}"


def option(name: str) -> str:
    """The command line's option for a setting."""
    return "--" + name.replace("_", "-")


def add_options(parser: argparse.ArgumentParser) -> None:
    """An option for every setting but lists and secrets (all users see a command line); absent ones leave no trace."""
    group = parser.add_argument_group(
        "settings", "each may also be PARLEY_NAME in the environment, or in the --config file"
    )
    for name, field in Settings.model_fields.items():
        if not is_secret(field) and not is_list(field):
            text = (field.description or "").replace("`", "").replace("%", "%%")
            group.add_argument(option(name), dest=name, metavar="VALUE", default=argparse.SUPPRESS, help=text)


def given_options(arguments: argparse.Namespace) -> dict[str, object]:
    """The settings among the parsed arguments of a parser that `add_options` prepared."""
    return {name: value for name, value in vars(arguments).items() if name in Settings.model_fields}
