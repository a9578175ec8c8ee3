"""The bench frame: what it prints, how it orders its rounds, what it does about peers that are missing or broken.

Figures are never judged here: a quick run shows that every measurement works and has the promised form.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.bench import benches
from tests.bench.__main__ import main
from tests.bench.report import Row, as_json, as_table
from tests.bench.rounds import (
    LIMIT,
    PARLEY,
    BenchFailed,
    ChildFailed,
    Figures,
    Rounds,
    Settings,
    Spec,
    System,
    run_child,
)

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["--rounds", "1", "--scale", "0.02"]
ACTOR_ROWS = ["tell", "ask", "ask_64", "spawn", "idle_bytes"]
PEERS = ("pykka", "xoscar", "otpylib")

OURS = System(PARLEY, "ours")
BARE = System(LIMIT, "bare")
PEER = System("peer", "theirs")
SPECS = (Spec("speed", "1/s"), Spec("weight", "B", lower_is_better=True, process="weigh"))


class WrittenRow(msgspec.Struct, forbid_unknown_fields=True):
    """A row as it is promised to programs."""

    name: str
    value: float
    unit: str
    limit: float | None
    peers: dict[str, float]


class Written(msgspec.Struct, forbid_unknown_fields=True):
    """The result as it is promised to programs."""

    bench: str
    rows: list[WrittenRow]


class Script:
    """Stands in for the measuring processes: each takes 10 s and gives its next figure, or fails as it is to."""

    def __init__(self, figures: dict[str, list[float] | ChildFailed]) -> None:
        self.figures = figures
        self.order: list[str] = []
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def run(self, system: System, rows: Sequence[str], settings: Settings) -> Figures:
        self.now += 10.0
        self.order.append(f"{system.name}:{','.join(rows)}")
        figures = self.figures[system.name]
        if isinstance(figures, ChildFailed):
            raise figures
        turn = sum(entry == self.order[-1] for entry in self.order) - 1
        return dict.fromkeys(rows, figures[turn])


def measured(
    script: Script,
    notes: list[str],
    *,
    rounds: int = 1,
    budget_s: float = 1000.0,
    systems: Sequence[System] = (OURS, BARE, PEER),
    specs: Sequence[Spec] = SPECS,
) -> list[Row]:
    settings = Settings(rounds=rounds, scale=1.0, budget_s=budget_s, child_timeout_s=5.0)
    return Rounds(systems, specs, settings, notes.append, script.run, script.clock).measure()


def test_the_rounds_are_interleaved_and_the_median_counts() -> None:
    script = Script({PARLEY: [3.0, 1.0, 2.0], LIMIT: [9.0, 9.0, 8.0], "peer": [5.0, 7.0, 6.0]})
    rows = measured(script, [], rounds=3, specs=SPECS[:1])
    assert script.order == [f"{name}:speed" for _ in range(3) for name in (PARLEY, LIMIT, "peer")]
    assert rows == [Row("speed", 2.0, "1/s", 9.0, {"peer": 6.0})]


def test_rows_of_different_processes_are_measured_apart() -> None:
    script = Script({PARLEY: [1.0], LIMIT: [1.0], "peer": [1.0]})
    measured(script, [])
    assert script.order == [f"{name}:{row}" for row in ("speed", "weight") for name in (PARLEY, LIMIT, "peer")]


def test_no_round_begins_that_would_end_past_the_budget() -> None:
    script = Script({PARLEY: [1.0] * 9, LIMIT: [1.0] * 9, "peer": [1.0] * 9})
    measured(script, [], rounds=9, budget_s=100.0, specs=SPECS[:1])  # 30 s a round
    assert len(script.order) == 3 * 3


def test_the_first_round_runs_whatever_the_budget_is_and_takes_peers_while_it_lasts() -> None:
    script = Script({PARLEY: [1.0], LIMIT: [1.0], "peer": [1.0]})
    notes: list[str] = []
    rows = measured(
        script, notes, rounds=9, budget_s=25.0
    )  # 20 s are gone when the peer's turn comes, 50 s the next time
    assert [row.peers for row in rows] == [{"peer": 1.0}, {}]
    assert notes == ["peer: no figures for weight: no time was left"]


def test_a_peer_that_fails_in_a_later_round_keeps_the_figures_it_has() -> None:
    class BreaksLater(Script):
        def run(self, system: System, rows: Sequence[str], settings: Settings) -> Figures:
            if system is PEER and "peer:speed" in self.order:
                raise ChildFailed("it broke")
            return super().run(system, rows, settings)

    notes: list[str] = []
    rows = measured(
        BreaksLater({PARLEY: [1.0, 1.0], LIMIT: [1.0, 1.0], "peer": [4.0]}), notes, rounds=2, specs=SPECS[:1]
    )
    assert rows[0].peers == {"peer": 4.0}
    assert notes == ["peer: no more figures for speed: it broke"]


def test_a_peer_that_fails_is_left_out_with_a_note_and_not_asked_again() -> None:
    script = Script({PARLEY: [1.0, 1.0], LIMIT: [1.0, 1.0], "peer": ChildFailed("it broke")})
    notes: list[str] = []
    rows = measured(script, notes, rounds=2, specs=SPECS[:1])
    assert rows[0].peers == {}
    assert notes == ["peer: no figures for speed: it broke"]
    assert script.order.count("peer:speed") == 1


def test_a_peer_that_is_not_installed_is_left_out_with_a_note() -> None:
    script = Script({PARLEY: [1.0], LIMIT: [1.0]})
    notes: list[str] = []
    absent = System("peer", "theirs", needs="no_such_package_anywhere")
    rows = measured(script, notes, systems=(OURS, BARE, absent))
    assert [row.peers for row in rows] == [{}, {}]
    assert notes == ["peer: left out, the package 'no_such_package_anywhere' is not installed"]


@pytest.mark.parametrize("broken", [PARLEY, LIMIT])
def test_without_parley_or_the_limit_there_is_no_result(broken: str) -> None:
    figures: dict[str, list[float] | ChildFailed] = {PARLEY: [1.0], LIMIT: [1.0], "peer": [1.0]}
    script = Script(figures | {broken: ChildFailed("it broke")})
    with pytest.raises(BenchFailed, match=f"{broken} could not be measured: it broke"):
        measured(script, [])


def test_a_row_may_be_without_a_limit() -> None:
    script = Script({PARLEY: [1.0], "peer": [2.0]})
    assert measured(script, [], systems=(OURS, PEER), specs=SPECS[:1]) == [
        Row("speed", 1.0, "1/s", None, {"peer": 2.0})
    ]


def test_ratios_read_more_is_better_for_speed_and_for_weight() -> None:
    fast = Row("speed", 50.0, "1/s", 100.0, {"a": 10.0, "b": 25.0})
    light = Row("weight", 400.0, "B", 100.0, {"a": 800.0, "b": 1600.0}, lower_is_better=True)
    assert (fast.of_limit, fast.best_peer, fast.over_best_peer) == (0.5, "b", 2.0)
    assert (light.of_limit, light.best_peer, light.over_best_peer) == (0.25, "a", 2.0)


def test_json_has_exactly_the_promised_fields() -> None:
    written = msgspec.json.decode(as_json("demo", [Row("speed", 1.5, "1/s", None, {"a": 2.0})]), type=Written)
    assert written == Written("demo", [WrittenRow("speed", 1.5, "1/s", None, {"a": 2.0})])


def test_the_table_shows_figures_and_ratios() -> None:
    rows = [
        Row("speed", 1_500_000.0, "1/s", 3_000_000.0, {"a": 500_000.0}),
        Row("weight", 400.0, "B", None, {}, lower_is_better=True),
    ]
    assert as_table("demo", rows).splitlines() == [
        "demo       Parley  unit      limit        a  of limit  against best peer",
        "speed   1,500,000   1/s  3,000,000  500,000       50%            3.00x a",
        "weight        400     B          -        -         -                  -",
    ]


def test_the_benches_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == benches.names()
    assert "actors" in benches.names()


@pytest.mark.parametrize("arguments", [["nothing"], []])
def test_a_wrong_name_is_one_clear_line_and_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "actors" in said.err


def test_a_measuring_process_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "endless.py").write_text("import threading\nMEASURES = {'speed': lambda _: threading.Event().wait()}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ChildFailed, match=r"no figures within 0\.5 s"):
        run_child(System("peer", "endless"), ["speed"], Settings(1, 1.0, 0.0, 0.5))


def test_a_measuring_process_that_breaks_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("raise RuntimeError('nothing works')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ChildFailed, match="RuntimeError: nothing works"):
        run_child(System("peer", "broken"), ["speed"], Settings(1, 1.0, 0.0, 30.0))


def test_what_a_system_prints_does_not_spoil_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "chatty.py").write_text("print('hello')\nMEASURES = {'speed': lambda scale: scale}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    figures = run_child(System("peer", "chatty"), ["speed", "unknown"], Settings(1, 0.5, 0.0, 30.0))
    assert figures == {"speed": 0.5}


def test_a_quick_run_of_the_actors_bench_has_every_row_with_limit_and_peers() -> None:
    command = [sys.executable, "-m", "tests.bench", "actors", "--json", *QUICK]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stderr
    written = msgspec.json.decode(run.stdout, type=Written)
    assert written.bench == "actors"
    assert [row.name for row in written.rows] == ACTOR_ROWS
    assert [row.unit for row in written.rows] == ["1/s"] * 4 + ["B"]
    installed = {peer for peer in PEERS if importlib.util.find_spec(peer) is not None}
    for row in written.rows:
        assert row.value > 0
        assert row.limit is not None
        assert row.limit > 0
        assert set(row.peers) == installed, run.stderr
    for peer in set(PEERS) - installed:
        assert f"{peer}: left out" in run.stderr
