"""Measures several systems in turn, round after round, each time in a fresh process, and keeps the medians.

Interleaved rounds (A B C, A B C) spread whatever else the machine does over all systems alike; fresh processes keep
their loops, threads and heaps apart. In the first round Parley and its limit are measured whatever it takes and peers
while the budget lasts; another round begins only if it should end within the budget.
"""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.report import Row

ROOT: Final = Path(__file__).resolve().parents[2]
PARLEY: Final = "parley"
LIMIT: Final = "limit"

Figures = dict[str, float]
Note = Callable[[str], None]


class BenchFailed(Exception):
    """Parley or the bare primitive could not be measured; the message says why."""


class ChildFailed(Exception):
    """A measuring process gave no figures; the message says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long to measure: `scale` stretches every measurement, `rounds` is the most, `budget_s` ends them early."""

    rounds: int
    scale: float
    budget_s: float
    child_timeout_s: float


SHORT: Final = Settings(rounds=5, scale=1.0, budget_s=44.0, child_timeout_s=12.0)
LONG: Final = Settings(rounds=9, scale=4.0, budget_s=600.0, child_timeout_s=90.0)


@dataclass(frozen=True, slots=True)
class System:
    """What is measured: PARLEY, LIMIT or a peer. `module` has MEASURES; `needs` is its package."""

    name: str
    module: str
    needs: str | None = None

    @property
    def is_peer(self) -> bool:
        """Whether a run goes on without it."""
        return self.name not in (PARLEY, LIMIT)

    @property
    def installed(self) -> bool:
        """Whether what it needs is there."""
        return self.needs is None or importlib.util.find_spec(self.needs) is not None


@dataclass(frozen=True, slots=True)
class Spec:
    """What a row says. Rows of the same `process` are measured one after the other in one process of each system."""

    name: str
    unit: str
    lower_is_better: bool = False
    process: str = ""


RunChild = Callable[[System, Sequence[str], Settings], Figures]


def run_child(system: System, rows: Sequence[str], settings: Settings) -> Figures:
    """The figures of some rows of one system, from a process of its own. Raises ChildFailed."""
    limit_s = settings.child_timeout_s
    command = [sys.executable, "-m", "tests.bench.child", system.module, ",".join(rows), str(settings.scale)]
    # In a session of its own, so that on a timeout whatever it started ends with it.
    child = subprocess.Popen(
        [*command, str(math.ceil(limit_s) + 1)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = child.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"no figures within {limit_s:g} s") from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    if child.returncode != 0:
        last = err.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise ChildFailed(f"exit status {child.returncode}: {last[0]}")
    return msgspec.json.decode(out, type=dict[str, float])


@dataclass(slots=True)
class Rounds:
    """One run of interleaved rounds over `systems`, gathering samples by row and system."""

    systems: Sequence[System]
    specs: Sequence[Spec]
    settings: Settings
    note: Note
    run_child: RunChild = run_child
    clock: Callable[[], float] = time.monotonic
    samples: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    _out: set[tuple[str, str]] = field(default_factory=set)
    _end: float = math.inf

    def measure(self) -> list[Row]:
        """Run the rounds and give the median of each row. Raises BenchFailed when Parley or the limit has no figure."""
        present = [system for system in self.systems if system.installed]
        for system in self.systems:
            if system not in present:
                self.note(f"{system.name}: left out, the package {system.needs!r} is not installed")
        self._end, longest = self.clock() + self.settings.budget_s, 0.0
        for done in range(self.settings.rounds):
            start = self.clock()
            if done and start + longest > self._end:
                break
            self._round(present)
            longest = max(longest, self.clock() - start)
        return [self._row(spec) for spec in self.specs]

    def _round(self, systems: Sequence[System]) -> None:
        for process in dict.fromkeys(spec.process for spec in self.specs):
            rows = [spec.name for spec in self.specs if spec.process == process]
            for system in systems:
                if (system.name, process) not in self._out:
                    self._sample(system, rows, process)

    def _sample(self, system: System, rows: Sequence[str], process: str) -> None:
        try:
            figures = self.run_child(system, rows, self._within_budget(system))
        except ChildFailed as failed:
            if not system.is_peer:
                raise BenchFailed(f"{system.name} could not be measured: {failed}") from failed
            self._out.add((system.name, process))
            more = "more " if any(system.name in self.samples.get(row, {}) for row in rows) else ""
            self.note(f"{system.name}: no {more}figures for {', '.join(rows)}: {failed}")
            return
        for row, value in figures.items():
            self.samples.setdefault(row, {}).setdefault(system.name, []).append(value)

    def _within_budget(self, system: System) -> Settings:
        """The settings, a peer's time limit cut to what is left: peers that hang cannot keep a run from ending."""
        if not system.is_peer:
            return self.settings
        left_s = self._end - self.clock()
        if left_s <= 0:
            raise ChildFailed("no time was left")
        return replace(self.settings, child_timeout_s=min(self.settings.child_timeout_s, left_s))

    def _row(self, spec: Spec) -> Row:
        medians = {name: statistics.median(values) for name, values in self.samples.get(spec.name, {}).items()}
        if PARLEY not in medians:
            raise BenchFailed(f"{PARLEY} has no figure for {spec.name}")
        value, limit = medians.pop(PARLEY), medians.pop(LIMIT, None)
        return Row(spec.name, value, spec.unit, limit, medians, spec.lower_is_better)
