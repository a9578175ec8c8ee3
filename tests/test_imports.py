"""Which package may import which, read from the sources themselves, and words that no file may hold."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.servers import ROOT, missing

ANYTHING: Final = ("actors", "inference", "models", "protocols", "runtime")

MAY_IMPORT: Final[dict[str, tuple[str, ...]]] = {
    "protocols": ("protocols",),
    "models": ("models", "protocols.errors"),
    "inference": ("inference", "protocols"),
    "actors": (
        *("actors", "protocols", "models", "inference.broker"),
        *("runtime.engine", "runtime.topics", "runtime.queue"),
    ),
    "runtime": ("runtime", "protocols"),
    "runtime.engine": ("runtime.engine", "protocols"),
    "runtime.gateway": ("runtime", "protocols", "models.records"),
    "runtime.node": ANYTHING,
    "deploy": (),
}
"""For a module, the line of its longest prefix counts. The engine stands alone within `runtime`."""

OURS: Final = frozenset((*ANYTHING, "deploy", "tests"))

NOWHERE: Final = ("/wo" + "rk/", "py" + "pi.org", "pythonho" + "sted")
"""The project speaks of itself alone: no folder of one machine, no address of a registry."""

ONLY_IN_TESTS: Final = ("../sha" + "red",)


def files() -> list[Path]:
    """Every file of the project: what git tracks, and what it does not ignore."""
    if not (ROOT / ".git").exists():
        missing("the git repository", "run the tests in a clone")
    # Whoever owns the clone: a build may check it out as one user and test it as another.
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """(line, name) of everything that is imported, `from a import b` as `a.b`, relative names made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: None if is_package and node.level == 1 else -node.level + is_package]
                base = ".".join([*parents, base]).rstrip(".")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def faults(module: str, source: str, is_package: bool = False) -> list[str]:
    """What this module imports and may not, as `line: name`."""
    rule = max((prefix for prefix in MAY_IMPORT if within(module, prefix)), key=len)
    found = []
    for line, name in imports(source, module, is_package):
        if name.split(".")[0] not in OURS:
            continue
        allowed = any(within(name, package) for package in MAY_IMPORT[rule])
        if not allowed or (within(name, "runtime.node") and module != "runtime.node"):
            found.append(f"{line}: {name}")
    return found


@pytest.mark.parametrize("package", [*ANYTHING, "deploy"])
def test_packages_import_only_what_the_table_allows(package: str) -> None:
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for fault in faults(module_of(path), path.read_text(encoding="utf-8"), path.name == "__init__.py"):
            found.append(f"{path.relative_to(ROOT)}:{fault}")
    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "count"),
    [
        ("protocols.errors", "import runtime", 1),
        ("protocols.errors", "import msgspec", 0),
        ("protocols.errors", "from . import messages", 0),
        ("models.records", "from protocols.errors import Code", 0),
        ("models.records", "from protocols import tokens", 1),
        ("models.sqlite.users", "from ..records import User", 0),
        ("runtime.engine.cell", "from runtime.config import Settings", 1),
        ("runtime.gateway.app", "from models.records import User", 0),
        ("runtime.gateway.app", "from models import stores", 1),
        ("runtime.topics.memory", "from models.records import User", 1),
        ("runtime.metrics", "from runtime import node", 1),
        ("runtime.node", "from actors.room import Room", 0),
        ("actors.room", "from runtime.gateway import app", 1),
        ("actors.room", "from runtime.engine import Actor", 0),
        ("actors.shard", "from inference.broker import Broker", 0),
        ("actors.shard", "def late():\n    from inference import worker", 1),
        ("deploy.demo", "import protocols", 1),
    ],
)
def test_the_check_itself(module: str, source: str, count: int) -> None:
    assert len(faults(module, source)) == count


def test_no_file_speaks_of_a_machine() -> None:
    found = []
    for path in files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        in_tests = path.relative_to(ROOT).parts[0] == "tests"
        for word in (*NOWHERE, *(() if in_tests else ONLY_IN_TESTS)):
            if word in text:
                found.append(f"{path.relative_to(ROOT)}: {word}")
    assert found == []
