"""The model repository: what is there is found, what is damaged is named, what is missing says how to get it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from inference.repository import BrokenModel, InstalledModel, ModelMissing, ModelRepository, default_model_dir, verify
from inference.repository.catalog import CATALOG, MOONSHINE_TINY_EN
from inference.repository.command import main
from inference.repository.model_config import CONFIG_NAME, ModelBroken, encode_config, read_config, version_key
from inference.repository.pull import Puller
from protocols.errors import Code
from tests.inference.small_models import write_wheels

NAME = "small-one"


@pytest.fixture
def filled(tmp_path: Path) -> ModelRepository:
    """A repository with one model."""
    catalog = write_wheels(tmp_path / "wheels", {NAME: b"weights"})
    folder = tmp_path / "models"
    Puller(folder, lambda _line: None, source=tmp_path / "wheels").pull(catalog)
    return ModelRepository(folder)


def _rewrite(repository: ModelRepository, **changes: object) -> Path:
    """Change fields of the model's config, checked or not."""
    path = repository.folder / NAME / "1.0" / CONFIG_NAME
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))
    return path


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({}, "var/models"),
        ({"PARLEY_DATA_DIR": "/srv/parley"}, "/srv/parley/models"),
        ({"PARLEY_DATA_DIR": "/srv/parley", "PARLEY_MODEL_DIR": "/models"}, "/models"),
    ],
)
def test_the_default_folder(environ: dict[str, str], folder: str) -> None:
    assert default_model_dir(environ) == Path(folder)


def test_a_model_is_found_with_its_files(filled: ModelRepository) -> None:
    model = filled.find(NAME)
    assert model.path("weights").read_bytes() == b"weights"
    with pytest.raises(ModelBroken, match="no file with the role"):
        model.path("nothing")


@pytest.mark.parametrize("name", ["nothing", "", ".", "..", "../models", "small-one/1.0", ".cache", "a\0b"])
def test_what_is_not_there_says_how_to_get_it(filled: ModelRepository, name: str) -> None:
    with pytest.raises(ModelMissing, match="pull") as missing:
        filled.find(name)
    assert missing.value.code is Code.UNIMPLEMENTED


def test_the_newest_version_is_taken_unless_one_is_named(filled: ModelRepository) -> None:
    first = filled.folder / NAME / "1.0"
    for version in ("0.9", "1.10", "1.2"):
        folder = filled.folder / NAME / version
        (folder / "sub").mkdir(parents=True)
        for name in ("sub/weights.bin", "LICENSE"):
            (folder / name).write_bytes((first / name).read_bytes())
        config = msgspec.structs.replace(read_config(first / CONFIG_NAME), version=version)
        (folder / CONFIG_NAME).write_bytes(encode_config(config))
    assert filled.find(NAME).config.version == "1.10"
    assert filled.find(NAME, "0.9").config.version == "0.9"
    with pytest.raises(ModelMissing, match=r"small-one 2\.0"):
        filled.find(NAME, "2.0")


def test_versions_are_ordered_by_their_numbers() -> None:
    versions = ["1.10", "1.9", "1.9rc", "2", "1.9.1"]
    assert sorted(versions, key=version_key) == ["1.9rc", "1.9", "1.9.1", "1.10", "2"]


def test_a_file_that_is_gone_or_cut_is_named(filled: ModelRepository) -> None:
    path = filled.find(NAME).path("weights")
    path.write_bytes(b"weight")
    with pytest.raises(ModelBroken, match=r"weights\.bin has 6 bytes, it should have 7"):
        filled.find(NAME)
    path.unlink()
    with pytest.raises(ModelBroken, match=r"weights\.bin"):
        filled.find(NAME)
    (found,) = filled.scan()
    assert isinstance(found, BrokenModel)


def test_a_file_that_differs_is_found_by_verify(filled: ModelRepository) -> None:
    filled.find(NAME).path("weights").write_bytes(b"WEIGHTS")
    with pytest.raises(ModelBroken, match="sha256 differs"):
        verify(filled.find(NAME))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": 2}, "format"),
        ({"name": "Not A Name"}, "name"),
        ({"name": "another"}, "not its own folder"),
        ({"files": []}, "files"),
        ({"colour": "green"}, "colour"),
        ({"limits": {"batch": 0}}, "limits.batch"),
        ({"files": [{"role": "weights", "name": "/etc/passwd", "sha256": "0" * 64, "size": 1}]}, "leaves the model's"),
        ({"files": [{"role": "weights", "name": "../x", "sha256": "0" * 64, "size": 1}]}, "leaves the model's"),
        ({"files": [{"role": "w", "name": n, "sha256": "0" * 64, "size": 1} for n in "ab"]}, "same role"),
    ],
)
def test_a_config_with_a_fault_is_named_with_it(filled: ModelRepository, changes: dict[str, object], why: str) -> None:
    path = _rewrite(filled, **changes)
    with pytest.raises(ModelBroken, match=why) as broken:
        filled.find(NAME)
    assert str(path) in broken.value.detail


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_config_that_is_no_config_is_named(filled: ModelRepository, content: bytes) -> None:
    (filled.folder / NAME / "1.0" / CONFIG_NAME).write_bytes(content)
    with pytest.raises(ModelBroken, match=CONFIG_NAME):
        filled.find(NAME)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.config.name)
def test_every_config_of_the_catalog_survives_its_file(entry: object, tmp_path: Path) -> None:
    config = getattr(entry, "config", MOONSHINE_TINY_EN.config)
    (tmp_path / CONFIG_NAME).write_bytes(encode_config(config))
    assert read_config(tmp_path / CONFIG_NAME) == config


def test_list_shows_what_is_there_and_what_could_be(
    filled: ModelRepository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = write_wheels(tmp_path / "wheels", {NAME: b"weights", "small-two": b"more"})
    assert main(["list", "--dir", str(filled.folder), "--verify"], catalog) == 0
    said = capsys.readouterr().out
    assert "ready, verified" in said
    assert "small-two  1.0      testing  0.0 MB  MIT      not here" in said
    filled.find(NAME).path("weights").unlink()
    assert main(["list", "--dir", str(filled.folder)], catalog) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_list_of_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--dir", str(tmp_path / "nothing")]) == 0
    assert "moonshine-tiny-en" in capsys.readouterr().out


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "whisper-giant", "--dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "no model is called whisper-giant; known: moonshine-tiny-en, silero-vad\n"
    assert os.listdir(tmp_path) == []


def test_a_from_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull", "--from", str(tmp_path / "nothing"), "--dir", str(tmp_path)]) == 2
    assert "there is no such folder" in capsys.readouterr().err


def test_a_model_brings_what_it_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalog = write_wheels(tmp_path / "wheels", {NAME: b"weights", "small-two": b"more"})
    arguments = ["pull", "small-two", "--from", str(tmp_path / "wheels"), "--dir", str(tmp_path / "models")]
    assert main(arguments, catalog) == 0
    assert "ready:  small-one 1.0" in capsys.readouterr().out


@pytest.mark.models
def test_the_real_models_are_what_was_pinned(repository: ModelRepository) -> None:
    for entry in CATALOG:
        model = repository.find(entry.config.name)
        assert model == InstalledModel(entry.config, model.folder)
        verify(model)
