"""The peers, each in a folder of its own under `var/bench-peers`, since they want different versions of redis-py.

`python -m tests.bench.benches.queue.peers` puts them there. A peer that is not there is left out, with a note.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.rounds import ROOT, System

FOLDER: Final = ROOT / "var" / "bench-peers"
REQUIREMENTS: Final = {
    "arq": ("arq==0.28.0", "redis==5.3.1", "hiredis==3.5.0"),
    "saq": ("saq==0.26.4", "redis==7.4.1", "hiredis==3.5.0"),
    "taskiq": ("taskiq==0.13.0", "taskiq-redis==1.2.4", "redis==8.1.0", "hiredis==3.5.0"),
    "dramatiq": ("dramatiq==2.2.1", "redis==8.1.0", "hiredis==3.5.0"),
}


def folder(name: str) -> Path:
    """Where a peer and what it needs are."""
    return FOLDER / name


@dataclass(frozen=True, slots=True)
class Peer(System):
    """A peer in its folder."""

    @property
    def installed(self) -> bool:
        """Whether it is there."""
        return self.needs is not None and (folder(self.needs) / self.needs).is_dir()


def use(name: str) -> None:
    """Let this process import a peer, and its redis-py in place of ours."""
    sys.path.insert(0, str(folder(name)))


def main() -> int:
    """Install every peer. Returns the exit status."""
    for name, requirements in REQUIREMENTS.items():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(folder(name))]
        if subprocess.run([*command, *requirements], check=False).returncode:
            print(f"{name} could not be installed; the bench leaves it out", file=sys.stderr)
            return 1
        print(f"{name} is in {folder(name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
