"""Parley's own node as a server of the tests: real process, real sockets, a data folder of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.servers import ROOT, Server, answers


def parley_node(folder: Path | None = None, **settings: object) -> Server:
    """Parley's own node on free ports: a data folder of its own, over the clone's model repository.

    `settings` by their names, as in the table of settings.
    """
    given: dict[str, object] = {
        "data_dir": "{folder}/data",
        "model_dir": os.environ.get("PARLEY_MODEL_DIR", ROOT / "var" / "models"),
        "http_port": "{http}",
        "signaling_port": "{signaling}",
        "ai_port": "{ai}",
        "log_format": "json",
        **settings,
    }
    return Server(
        "node",
        [sys.executable, "-m", "runtime.node"],
        ready=answers("/readyz"),
        ports=("http", "signaling", "ai"),
        environment={f"PARLEY_{name.upper()}": str(value) for name, value in given.items()},
        folder=folder,
    )
