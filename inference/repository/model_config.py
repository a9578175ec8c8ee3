"""`model.json`: what the repository knows of one model. It is read with checks: a bad file is named, not guessed at."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

import msgspec

from protocols.errors import FailedPrecondition

CONFIG_NAME: Final = "model.json"

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
Version = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z][0-9A-Za-z._+-]{0,31}$")]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class ModelBroken(FailedPrecondition):
    """A model's folder is there, but what is in it cannot be used; `detail` names the file and the fault."""


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a model, by its path inside the model's folder. `role` is how the pipeline finds it."""

    role: Name
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    sha256: Sha256
    size: Annotated[int, msgspec.Meta(ge=0)]


class ModelInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input of the graph as the pipeline feeds it: name, element type, and shape with symbols for free axes."""

    graph: Name
    name: str
    dtype: str
    shape: tuple[str | int, ...]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one run may be asked to take. `chunk_s` is the longest stretch of audio fed at once (0: no such limit)."""

    batch: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    chunk_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class WarmUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is run once after loading, so that the first request does not pay for it: seconds of silence, each a run."""

    audio_s: tuple[Positive, ...] = ()


class ModelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One version of one model."""

    format: Literal[1]
    name: Name
    version: Version
    task: Name
    family: Name
    licence: str
    source: str
    files: Annotated[tuple[ModelFile, ...], msgspec.Meta(min_length=1)]
    inputs: tuple[ModelInput, ...] = ()
    sample_rate: Annotated[int, msgspec.Meta(ge=0, le=192_000)] = 0
    languages: tuple[str, ...] = ()
    needs: tuple[Name, ...] = ()
    without: str = ""
    limits: Limits = Limits()
    warm_up: WarmUp = WarmUp()

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    def file(self, role: str) -> ModelFile:
        """The file with that role. Raises ModelBroken."""
        for file in self.files:
            if file.role == role:
                return file
        raise ModelBroken(f"{self.name} {self.version}: {CONFIG_NAME} lists no file with the role {role!r}")


def encode_config(config: ModelConfig) -> bytes:
    """The text of `model.json`, indented for people."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def read_config(path: Path) -> ModelConfig:
    """Read and check one `model.json`. Raises ModelBroken that names the file, the field and the fault."""
    try:
        config = msgspec.json.decode(path.read_bytes(), type=ModelConfig)
    except OSError as error:
        raise ModelBroken(f"{path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelBroken(f"{path}: {error}") from None
    for file in config.files:
        if not _stays_inside(file.name):
            raise ModelBroken(f"{path}: the file name {file.name!r} leaves the model's folder")
    if len({file.role for file in config.files}) < len(config.files):
        raise ModelBroken(f"{path}: two files have the same role")
    return config


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Orders versions by their numbers: 0.10 after 0.9; a part that is no number comes before any that is."""
    parts = re.split(r"[._+-]", version)
    return tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts)


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name
