"""The command line of the model repository: `pull` gets models and says what each missing one costs, `list` shows them.

Exit status: 0 all that was asked for is ready, 1 something is not, 2 the command was wrong, 130 interrupted.
"""

# ruff: noqa: T201 - a command line prints

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from inference.repository.catalog import CATALOG, CatalogEntry
from inference.repository.folder import BrokenModel, InstalledModel, ModelRepository, default_model_dir, verify
from inference.repository.pull import Outcome, Puller
from inference.repository.wheels import in_megabytes
from protocols.errors import ParleyError

_INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None, catalog: Sequence[CatalogEntry] = CATALOG) -> int:
    """Run one command; returns the exit status."""
    arguments = _parser(catalog).parse_args(argv)
    folder = arguments.dir or default_model_dir()
    try:
        if arguments.command == "pull":
            return _pull(arguments.name, folder, arguments.source, catalog)
        return _list(folder, catalog, check=arguments.verify)
    except ParleyError as error:
        print(error.detail, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was complete is kept, and the next pull goes on from it", file=sys.stderr)
        return _INTERRUPTED


def _parser(catalog: Sequence[CatalogEntry]) -> argparse.ArgumentParser:
    known = ", ".join(entry.config.name for entry in catalog)
    parser = argparse.ArgumentParser(prog="python -m inference.repository", description="The folder of models.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="pull | list")
    pull = commands.add_parser("pull", help="get models", description=f"Get models. Known: {known}.")
    pull.add_argument("name", nargs="*", metavar="NAME", help="which (default: all known)")
    pull.add_argument("--from", dest="source", type=Path, metavar="DIR", help="take wheels or files from this folder")
    listing = commands.add_parser("list", help="show the models that are there and those that could be pulled")
    listing.add_argument("--verify", action="store_true", help="read every file and compare its sha256")
    for command in (pull, listing):
        command.add_argument(
            "--dir",
            type=Path,
            metavar="DIR",
            help="the repository (default: PARLEY_MODEL_DIR, else PARLEY_DATA_DIR/models, else var/models)",
        )
    return parser


def _pull(names: Sequence[str], folder: Path, source: Path | None, catalog: Sequence[CatalogEntry]) -> int:
    by_name = {entry.config.name: entry for entry in catalog}
    if unknown := [name for name in names if name not in by_name]:
        print(f"no model is called {', '.join(unknown)}; known: {', '.join(by_name)}", file=sys.stderr)
        return 2
    if source and not source.is_dir():
        print(f"--from {source}: there is no such folder", file=sys.stderr)
        return 2
    wanted = _with_needs(names or list(by_name), by_name)
    print(f"models go to {folder}", flush=True)
    puller = Puller(folder, _say, source=source, bar=sys.stdout.isatty())
    outcomes = puller.pull([by_name[name] for name in wanted])
    for outcome in outcomes:
        print(_verdict(outcome))
    return 1 if any(outcome.error for outcome in outcomes) else 0


def _with_needs(names: Sequence[str], by_name: dict[str, CatalogEntry]) -> list[str]:
    """The names, each followed by what it needs to work, each once."""
    wanted: dict[str, None] = {}
    for name in names:
        for one in (name, *by_name[name].config.needs):
            if one in by_name:
                wanted[one] = None
    return list(wanted)


def _verdict(outcome: Outcome) -> str:
    config = outcome.entry.config
    if outcome.error is None:
        return f"ready:  {config.name} {config.version}"
    return (
        f"FAILED: {config.name} {config.version}: {outcome.error.detail}\n"
        f"        without {config.name}: {config.without or 'it is not used'}; everything else works"
    )


def _say(line: str) -> None:
    print(line, flush=True)


def _list(folder: Path, catalog: Sequence[CatalogEntry], *, check: bool) -> int:
    found = ModelRepository(folder).scan()
    rows = [("NAME", "VERSION", "TASK", "SIZE", "LICENCE", "STATE")]
    rows += [_row(model, check=check) for model in found]
    here = {model.config.name if isinstance(model, InstalledModel) else model.name for model in found}
    for entry in catalog:
        config = entry.config
        if config.name not in here:
            state = f"not here (pull downloads {in_megabytes(entry.wheel.size)})"
            rows.append((config.name, config.version, config.task, in_megabytes(config.size), config.licence, state))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    print(f"models in {folder}")
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))
    return 1 if any("BROKEN" in row[-1] for row in rows) else 0


def _row(model: InstalledModel | BrokenModel, *, check: bool) -> tuple[str, str, str, str, str, str]:
    if isinstance(model, BrokenModel):
        return (model.name, model.version, "?", "?", "?", f"BROKEN: {model.error.detail}")
    config = model.config
    state = "ready"
    if check:
        try:
            verify(model)
            state = "ready, verified"
        except ParleyError as error:
            state = f"BROKEN: {error.detail}"
    return (config.name, config.version, config.task, in_megabytes(config.size), config.licence, state)
