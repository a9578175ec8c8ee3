"""The command line: `python -m tests.bench NAME [--json] [--long]`, `python -m tests.bench --list`.

Standard output holds the result and nothing else; notes go to standard error. Exit status 1: the bench failed; 2: it
was asked for wrongly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from tests.bench import benches
from tests.bench.report import as_json, as_table
from tests.bench.rounds import LONG, SHORT, BenchFailed, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one bench, or list them. Returns the exit status."""
    options = _parser().parse_args(arguments)
    if options.list:
        for name in benches.names():
            print(f"{name}  {benches.load(name).summary}")
        return 0
    if options.name is None:
        return _refuse(f"name a bench, one of: {', '.join(benches.names())}")
    try:
        bench = benches.load(options.name)
    except KeyError as unknown:
        return _refuse(unknown.args[0])
    try:
        rows = bench.run(_settings(options), _note)
    except BenchFailed as failed:
        _note(str(failed))
        return 1
    print(as_json(bench.name, rows) if options.json else as_table(bench.name, rows))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Parley beside others.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="which bench; --list names them")
    parser.add_argument("--list", action="store_true", help="list the benches and end")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of the table")
    parser.add_argument("--long", action="store_true", help="more and longer rounds, ten minutes at most; else 50 s")
    # For the tests: a run that shows the form of the result, its figures worth nothing.
    parser.add_argument("--rounds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--scale", type=float, help=argparse.SUPPRESS)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    settings = LONG if options.long else SHORT
    if options.rounds is not None:
        settings = replace(settings, rounds=options.rounds)
    if options.scale is not None:
        settings = replace(settings, scale=options.scale)
    return settings


def _refuse(reason: str) -> int:
    _note(reason)
    return 2


def _note(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
