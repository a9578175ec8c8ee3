"""The key that signs tokens where none is configured: made once, kept in the data folder for its owner alone."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from runtime.config import ConfigError, Settings

FILE_NAME: Final = "token_secret"
_BYTES: Final = 48


def token_secret(settings: Settings) -> str:
    """The configured key, or the one kept in `data_dir`, which the first call makes. Raises ConfigError."""
    if settings.token_secret is not None:
        return settings.token_secret.get_secret_value()
    path = settings.data_dir / FILE_NAME
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        return _read(path)
    except OSError as error:
        raise ConfigError([f"token_secret: {path} cannot be used: {error.strerror}"]) from None


def _make(path: Path) -> None:
    """Write beside, then link into place: two nodes that start at once end with the same whole file."""
    draft = path.with_name(f"{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _read(path: Path) -> str:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError([f"token_secret: {path} is open to other users: make it `chmod 600`, or remove it"])
    value = path.read_text(encoding="ascii").strip()
    if len(value) < 32:
        raise ConfigError([f"token_secret: {path} does not hold a key of 32 characters: remove it to get a new one"])
    return value
