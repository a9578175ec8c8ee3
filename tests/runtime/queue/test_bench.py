"""The queue's bench: that it works and has both rows. Its figures are never judged here."""

from __future__ import annotations

import pytest

from tests.bench.benches import queue
from tests.bench.rounds import LIMIT, PARLEY, Settings

QUICK = Settings(rounds=1, scale=0.02, budget_s=40, child_timeout_s=20)


@pytest.mark.servers
def test_both_rows_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = tuple(system for system in queue.SYSTEMS if system.name in (PARLEY, LIMIT))
    monkeypatch.setattr(queue, "SYSTEMS", ours)
    rows = queue.run(QUICK, print)
    assert [row.name for row in rows] == ["enqueue", "consume"]
    assert all(row.value > 0 and row.limit for row in rows)


def test_a_peer_that_is_not_in_its_folder_is_left_out() -> None:
    [peer, *_] = (system for system in queue.SYSTEMS if system.is_peer)
    assert type(peer)("nobody", "none", needs="nobody").installed is False
