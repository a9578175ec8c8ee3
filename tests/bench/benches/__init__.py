"""The benches. A module here has SUMMARY, one line, and `run(settings, note)`, which returns the rows."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.report import Row
from tests.bench.rounds import Note, Settings


@dataclass(frozen=True, slots=True)
class Bench:
    """One bench: its name is that of its module."""

    name: str
    summary: str
    run: Callable[[Settings, Note], list[Row]]


def names() -> list[str]:
    """The names of all benches, in order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Bench:
    """The bench of that name. Raises KeyError, naming those there are."""
    known = names()
    if name not in known:
        raise KeyError(f"no bench is called {name!r}; there are: {', '.join(known)}")
    module = importlib.import_module(f"{__name__}.{name}")
    return Bench(name, module.SUMMARY, module.run)
