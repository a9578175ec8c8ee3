"""The thread that keeps leases: how often, which ones, and that nothing ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from protocols.errors import Unavailable
from runtime.queue.lease_keeper import LeaseKeeper
from runtime.queue.task_queue import Lease, Renewal, Renewer
from tests.processes import settles


class Renewals(Renewer):
    """Notes what it is asked, and answers as told."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.answer = Renewal((), ())
        self.error: Exception | None = None
        self.closed = False
        self.threads: set[str] = set()

    def renew(self, leases: Sequence[Lease]) -> Renewal:
        self.threads.add(threading.current_thread().name)
        self.asked.append(tuple(lease.id for lease in leases))
        if self.error is not None:
            raise self.error
        return self.answer

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def renewals() -> Renewals:
    return Renewals()


@pytest.fixture
def reports() -> list[Renewal]:
    return []


@pytest.fixture
def keeper(renewals: Renewals, reports: list[Renewal]) -> Iterator[LeaseKeeper]:
    keeper = LeaseKeeper(renewals, 0.02, reports.append)
    keeper.start()
    yield keeper
    keeper.stop()
    assert renewals.closed


def lease(task_id: str, visibility_s: float = 30.0) -> Lease:
    return Lease(task_id, 1, visibility_s)


def test_held_leases_are_renewed_in_a_thread_of_their_own(keeper: LeaseKeeper, renewals: Renewals) -> None:
    keeper.hold(lease("a"), 60)
    keeper.hold(lease("b"), 60)
    assert settles(lambda: ("a", "b") in renewals.asked, 5)
    keeper.release("a")
    assert settles(lambda: renewals.asked[-1] == ("b",), 5)
    assert renewals.threads == {"lease-keeper"}


def test_nothing_is_asked_while_nothing_is_held(keeper: LeaseKeeper, renewals: Renewals) -> None:
    keeper.hold(lease("a"), 60)
    keeper.release("a")
    before = len(renewals.asked)
    assert not settles(lambda: len(renewals.asked) > before, 0.1)


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a defect")])
def test_no_error_ends_it(keeper: LeaseKeeper, renewals: Renewals, error: Exception) -> None:
    renewals.error = error
    keeper.hold(lease("a"), 60)
    assert settles(lambda: keeper.failures >= 2, 5)
    renewals.error = None
    before = keeper.renewed
    assert settles(lambda: keeper.renewed > before, 5)


def test_a_task_far_past_its_limit_is_let_go(keeper: LeaseKeeper, renewals: Renewals) -> None:
    keeper.hold(lease("hangs", visibility_s=0.1), 0.05)
    assert settles(lambda: len(renewals.asked) > 0, 5)
    time.sleep(0.2)
    before = len(renewals.asked)
    assert not settles(lambda: len(renewals.asked) > before + 1, 0.1)


def test_a_short_lease_quickens_the_beat(renewals: Renewals, reports: list[Renewal]) -> None:
    keeper = LeaseKeeper(renewals, 3600, reports.append)
    keeper.start()
    keeper.hold(lease("a", visibility_s=0.06), 60)
    assert settles(lambda: len(renewals.asked) >= 3, 5)
    keeper.stop()


def test_lost_and_cancelled_leases_are_reported(
    keeper: LeaseKeeper, renewals: Renewals, reports: list[Renewal]
) -> None:
    renewals.answer = Renewal(("lost", "settled-meanwhile"), ("unwanted",))
    keeper.hold(lease("lost"), 60)
    assert settles(lambda: bool(reports), 5)
    assert reports[0] == Renewal(("lost",), ("unwanted",))
