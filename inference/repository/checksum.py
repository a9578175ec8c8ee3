"""What proves that a file is the one that was meant."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

_READ_BYTES: Final = 1024 * 1024


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hex, read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()
