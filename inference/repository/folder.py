"""The model repository: a folder `<dir>/<name>/<version>/` a model, described by its `model.json`.

`python -m inference.repository pull [NAME...]` gets models, `list` shows what is there. A folder without a `model.json`
is no model: the pull writes that file last.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.repository.checksum import sha256_of
from inference.repository.model_config import CONFIG_NAME, ModelBroken, ModelConfig, read_config, version_key
from protocols.errors import ParleyError, Unimplemented


class ModelMissing(Unimplemented):
    """The repository has no such model; `detail` says how to get it."""


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """One usable version of a model: its config, and the folder that its file names are relative to."""

    config: ModelConfig
    folder: Path

    def path(self, role: str) -> Path:
        """Where the file with that role lies. Raises ModelBroken."""
        return self.folder / self.config.file(role).name


@dataclass(frozen=True, slots=True)
class BrokenModel:
    """A folder that should hold a model and does not, and why."""

    name: str
    version: str
    error: ParleyError


def default_model_dir(environ: Mapping[str, str] | None = None) -> Path:
    """PARLEY_MODEL_DIR, else PARLEY_DATA_DIR/models, else var/models under the current folder."""
    values = os.environ if environ is None else environ
    if named := values.get("PARLEY_MODEL_DIR"):
        return Path(named)
    return Path(values.get("PARLEY_DATA_DIR") or "var") / "models"


class ModelRepository:
    """Reads models from a folder. It keeps nothing in memory: what was pulled since is seen at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"ModelRepository({str(self.folder)!r})"

    def find(self, name: str, version: str = "") -> InstalledModel:
        """The newest version of a model, or the one named. File sizes are checked, contents not (see verify).

        Raises ModelMissing where there is none, ModelBroken where its folder is damaged.
        """
        versions = self._versions(name)
        if version:
            versions = [one for one in versions if one == version]
        if not versions:
            wanted = f"{name} {version}".strip()
            raise ModelMissing(
                f"the model {wanted} is not in {self.folder}; get it with `python -m inference.repository pull {name}`"
            )
        return self._open(name, versions[-1])

    def scan(self) -> tuple[InstalledModel | BrokenModel, ...]:
        """Every model and version in the folder, by name and then oldest first."""
        found: list[InstalledModel | BrokenModel] = []
        names = sorted(child.name for child in self._folders(self.folder))
        for name in names:
            for version in self._versions(name):
                try:
                    found.append(self._open(name, version))
                except ParleyError as error:
                    found.append(BrokenModel(name, version, error))
        return tuple(found)

    def clip(self, model: str) -> Path:
        """The real recording that comes with a model, for a demonstration. Raises ModelMissing, ModelBroken."""
        return self.find(model).path("clip")

    def _open(self, name: str, version: str) -> InstalledModel:
        folder = self.folder / name / version
        config = read_config(folder / CONFIG_NAME)
        if (config.name, config.version) != (name, version):
            raise ModelBroken(f"{folder / CONFIG_NAME} describes {config.name} {config.version}, not its own folder")
        for file in config.files:
            check_size(folder / file.name, file.size)
        return InstalledModel(config, folder)

    def _versions(self, name: str) -> list[str]:
        if not name or Path(name).name != name or name.startswith("."):
            return []
        folders = self._folders(self.folder / name)
        return sorted((one.name for one in folders if (one / CONFIG_NAME).exists()), key=version_key)

    @staticmethod
    def _folders(folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        return [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]


def verify(model: InstalledModel) -> None:
    """Read every file and compare its sha256. Raises ModelBroken that names the first that differs."""
    for file in model.config.files:
        path = model.folder / file.name
        check_size(path, file.size)
        if sha256_of(path) != file.sha256:
            raise ModelBroken(f"{path} is not what was published: its sha256 differs; pull the model again")


def check_size(path: Path, size: int) -> None:
    """Raise ModelBroken unless a file of that many bytes is there."""
    try:
        found = path.stat().st_size
    except OSError as error:
        raise ModelBroken(f"{path}: {error.strerror}; pull the model again") from None
    if found != size:
        raise ModelBroken(f"{path} has {found} bytes, it should have {size}; pull the model again")
