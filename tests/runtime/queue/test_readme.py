"""Every promise of the README names a test that exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.servers import ROOT

README = ROOT / "runtime" / "queue" / "README.md"


def test_every_promise_has_its_test() -> None:
    promises = [line for line in README.read_text().splitlines() if re.match(r"\| [^-|]+ \| `test_", line)]
    folders = [ROOT / "tests" / name for name in ("runtime/queue", "runtime/redis", "chaos", "protocols")]
    texts = [path.read_text() for folder in folders for path in sorted(Path(folder).glob("*.py"))]
    known = {name for text in texts for name in re.findall(r"def (test_\w+)", text)}
    named = {name for line in promises for name in re.findall(r"`(test_\w+)`", line)}
    assert len(promises) > 20
    assert named <= known, named - known


def test_the_example_runs(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", example]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "welcome, ada - attempt 1\n" in run.stdout, run.stderr
