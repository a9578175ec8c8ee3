"""The frame of the repository: its top level, what `make` offers, and versions that agree wherever they are written."""

from __future__ import annotations

import configparser
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import runtime
from tests.servers import ROOT
from tests.test_imports import ANYTHING, OURS, files, imports

TOP_LEVEL: Final = {
    *("actors", "runtime", "protocols", "inference", "models", "deploy", "tests", "setup.cfg"),
    *("docs", "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml", ".ci", ".gitignore"),
}
TARGETS: Final = ("help", "run", "demo", "test", "lint", "types", "format", "bench", "models", "settings", "clean")


def configuration() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def declared() -> dict[str, list[Requirement]]:
    """What setup.cfg asks for: the runtime's requirements under "", an extra's under its name."""
    parser = configuration()
    found = {"": parser["options"]["install_requires"], **parser["options.extras_require"]}
    return {extra: [Requirement(line) for line in lines(text)] for extra, text in found.items()}


def locked() -> dict[str, str]:
    text = (ROOT / "deploy" / "constraints.txt").read_text(encoding="utf-8")
    pairs = [line.split("==") for line in lines(text) if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def test_top_level_is_what_it_should_be() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in files()} == TOP_LEVEL


@pytest.mark.parametrize("package", ANYTHING)
def test_packages_are_typed_and_say_what_they_are(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
    assert (ROOT / package / "__init__.py").read_text(encoding="utf-8").startswith('"""')


def test_versions_agree() -> None:
    version = configuration()["metadata"]["version"]
    assert runtime.__version__ == version
    assert importlib.metadata.version("parley") == version
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE).group(1) == version  # type: ignore[union-attr]


def test_constraints_satisfy_every_requirement() -> None:
    versions = locked()
    for requirement in [one for group in declared().values() for one in group]:
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"deploy/constraints.txt lacks {requirement.name}: run deploy/lock.sh"
        assert requirement.specifier.contains(version), f"{requirement} does not take {version}"
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert all(Requirement(one).specifier.contains(versions[Requirement(one).name]) for one in build)


def test_constraints_cover_what_the_requirements_need_in_turn() -> None:
    versions, waiting, seen = locked(), [one for group in declared().values() for one in group], set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        assert name in versions, f"deploy/constraints.txt lacks {name}: run deploy/lock.sh"
        try:
            further = importlib.metadata.requires(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed here
        waiting += [Requirement(line) for line in further or ()]


def test_what_is_imported_is_required() -> None:
    """Nothing leans on a package that another one, or the test extra, only happens to bring."""
    required = {canonicalize_name(one.name) for one in declared()[""]}
    carriers = importlib.metadata.packages_distributions()
    found = set()
    for path in [path for package in ANYTHING for path in (ROOT / package).rglob("*.py")]:
        for _, name in imports(path.read_text(encoding="utf-8"), "", False):
            module = name.split(".")[0]
            if module and module not in OURS and module not in sys.stdlib_module_names:
                brought_by = {canonicalize_name(carrier) for carrier in carriers.get(module, ["?"])}
                if not brought_by & required:
                    found.add(f"{path.relative_to(ROOT)}: {module}")
    assert found == set()


@pytest.mark.parametrize("target", TARGETS)
def test_make_has_the_target(target: str) -> None:
    run = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False, text=True)
    assert run.returncode == 0, run.stderr


def test_help_lists_every_target() -> None:
    run = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, check=True, text=True)
    assert [line.split()[1] for line in run.stdout.splitlines()] == sorted(TARGETS, key=TARGETS.index)


@pytest.mark.parametrize("script", [".ci/run", *(f"deploy/{path.name}" for path in (ROOT / "deploy").glob("*.sh"))])
def test_scripts_are_strict_and_executable(script: str) -> None:
    path: Path = ROOT / script
    assert os.access(path, os.X_OK)
    assert "set -euo pipefail" in path.read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", path], check=True)
