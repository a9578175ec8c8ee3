"""How a worker process is started: its command line and its environment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.broker_settings import BrokerSettings

_SECRET: Final = re.compile("SECRET|TOKEN|PASSW|CREDENTIAL|KEY|AUTH|DSN|URL", re.IGNORECASE)
"""Names under which secrets are passed; an address may hold a password."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One process to start."""

    command: Sequence[str]
    environment: dict[str, str]


def worker_launch(settings: BrokerSettings, endpoint: str, identity: str) -> Launch:
    """How to start the worker that calls itself `identity` and connects to `endpoint`.

    The worker takes this very package, wherever the parent found it, and from any current folder (`-P`).
    """
    command = list(settings.command) or [sys.executable, "-P", "-m", "inference.worker"]
    command += ["--endpoint", endpoint, "--identity", identity, "--parent-pid", str(os.getpid())]
    command += ["--models-dir", str(settings.models_dir), "--models", ",".join(settings.models)]
    command += ["--threads", str(settings.threads)]
    command += ["--max-audio-s", str(settings.max_audio_s), "--max-audio-bytes", str(settings.max_audio_bytes)]
    command += ["--log-level", settings.log_level, "--log-format", settings.log_format]
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return Launch(
        command, {**_harmless(os.environ), "PYTHONPATH": os.pathsep.join(paths), "ORT_DISABLE_TELEMETRY": "1"}
    )


def _harmless(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment less what may hold a secret: a worker decodes what strangers send, and needs none."""
    return {name: value for name, value in environ.items() if not _SECRET.search(name)}
