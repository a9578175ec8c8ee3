"""The broker in bad weather: workers die, hang, never start or talk nonsense. No request is lost and none hangs."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
from pathlib import Path

import pytest

from inference.broker import Broker, InferenceRequest, InferenceResult, Limits, RestartPolicy
from protocols.errors import DeadlineExceeded, Internal, Unavailable
from protocols.inference import Blob
from tests.inference.conftest import SETTLES_WITHIN_S, StartBroker, echo_settings, settles

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop", "asyncio"])


def request(task: str, data: bytes = b"hello", timeout_s: float = 30.0) -> InferenceRequest:
    return InferenceRequest(task, [data], timeout_s=timeout_s)


async def test_kill_9_with_requests_in_flight_loses_none(start_broker: StartBroker) -> None:
    broker = await start_broker(workers=2, limits=Limits(queue=4000))
    rng = random.Random(7)
    answers = [broker.submit(request("echo", str(number).encode())) for number in range(4000)]
    for kills in range(1, 5):
        # Each kill after some answers: two that hit the same request would make it poison.
        await _answered(broker, broker.statistics().answered + 200)
        busy = [worker.pid for worker in broker.statistics().workers if worker.in_flight]
        os.kill(rng.choice(busy), signal.SIGKILL)
        await settles(lambda: broker.statistics().worker_deaths == kills)  # noqa: B023 - awaited before it changes
    results = await asyncio.gather(*answers)
    assert [result.value for result in results] == [Blob(str(number).encode()) for number in range(4000)]
    assert broker.statistics().retried >= 4


async def _answered(broker: Broker, count: int) -> None:
    await settles(lambda: broker.statistics().answered >= count)


async def test_a_request_whose_worker_dies_runs_once_more_elsewhere(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = await start_broker(workers=2)
    mark = str(tmp_path / "mark").encode()
    assert (await broker.submit(request("crash_once", mark))).value == Blob(mark)
    statistics = broker.statistics()
    assert (statistics.worker_deaths, statistics.retried, statistics.poisoned) == (1, 1, 0)


async def test_the_dead_worker_is_replaced(start_broker: StartBroker) -> None:
    broker = await start_broker()
    before = broker.statistics().workers[0].pid
    os.kill(before, signal.SIGKILL)
    await settles(lambda: broker.statistics().workers[0].pid not in (0, before))
    assert (await broker.submit(request("echo"))).value == Blob(b"hello")
    worker = broker.statistics().workers[0]
    assert worker.starts == 2
    assert "SIGKILL" in worker.last_error


async def test_poison_is_refused_after_two_deaths_and_its_neighbours_live(start_broker: StartBroker) -> None:
    broker = await start_broker(workers=2)
    poison = broker.submit(request("crash"))
    neighbours = [broker.submit(request("echo", str(number).encode())) for number in range(20)]
    with pytest.raises(Internal, match="refused as poison: 2 workers died"):
        await poison
    results = await asyncio.gather(*neighbours)
    assert [result.value for result in results] == [Blob(str(number).encode()) for number in range(20)]
    statistics = broker.statistics()
    assert (statistics.worker_deaths, statistics.poisoned) == (2, 1)


async def test_a_stuck_worker_is_killed_and_replaced(start_broker: StartBroker) -> None:
    broker = await start_broker()
    before = broker.statistics().workers[0].pid
    stuck = broker.submit(request("hang", timeout_s=0.3))
    behind = broker.submit(request("echo"))
    with pytest.raises(DeadlineExceeded):
        await stuck
    assert (await behind).value == Blob(b"hello")
    statistics = broker.statistics()
    assert statistics.stuck == 1
    assert statistics.workers[0].pid != before
    assert "past its request's deadline" in statistics.workers[0].last_error


async def test_a_worker_that_leaves_in_good_order_is_replaced_without_blame(
    start_broker: StartBroker, tmp_path: Path
) -> None:
    broker = await start_broker()
    gate = tmp_path / "gate"
    running = broker.submit(request("gate", str(gate).encode()))
    behind = broker.submit(request("pid"))
    await settles(lambda: any(tmp_path.glob("*.begun")))
    pid = broker.statistics().workers[0].pid
    os.kill(pid, signal.SIGTERM)
    gate.touch()
    assert (await running).value == Blob(str(gate).encode())  # SIGTERM let it finish
    assert (await behind).value != Blob(str(pid).encode())  # what had not begun runs in the next process
    assert broker.statistics().worker_deaths == 0


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("exits", "exit status 7"),
        ("not-ready", "the library is broken"),
        ("garbage", "malformed"),
        ("never-ready", "not ready within"),
    ],
)
async def test_workers_that_cannot_start_are_reported_and_requests_fail_at_once(
    start_broker: StartBroker, tmp_path: Path, how: str, why: str
) -> None:
    patience_s = 0.3 if how == "never-ready" else 20.0
    restarts = RestartPolicy(start_timeout_s=patience_s, stop_timeout_s=1.0, first_s=0.01, longest_s=0.1)
    broker = await start_broker(settings=echo_settings(tmp_path, how=how, restarts=restarts), ready=False)
    waiting = broker.submit(request("echo"))
    with pytest.raises(Unavailable, match=why):
        await broker.wait_ready(SETTLES_WITHIN_S)
    with pytest.raises(Unavailable, match=why):
        await waiting
    with pytest.raises(Unavailable, match=why) as refused:
        await broker.submit(request("echo"))
    assert refused.value.retry_after_s
    assert why in broker.statistics().broken


async def test_a_command_that_does_not_exist_is_reported(start_broker: StartBroker, tmp_path: Path) -> None:
    settings = echo_settings(tmp_path)
    broken = dataclasses.replace(settings, command=(str(tmp_path / "nothing"),))
    broker = await start_broker(settings=broken, ready=False)
    with pytest.raises(Unavailable, match="could not be started"):
        await broker.wait_ready(SETTLES_WITHIN_S)


async def test_starts_that_fail_are_spaced_out(start_broker: StartBroker, tmp_path: Path) -> None:
    restarts = RestartPolicy(stop_timeout_s=1.0, first_s=3600.0, longest_s=3600.0)
    broker = await start_broker(settings=echo_settings(tmp_path, how="exits", restarts=restarts), ready=False)
    await settles(lambda: broker.statistics().workers[0].state == "down" and broker.statistics().worker_deaths == 2)
    assert broker.statistics().workers[0].starts == 2
    await broker.stop()  # and the wait for the next start does not hold the stop


async def test_nothing_is_left_hanging_when_the_broker_stops_over_a_stuck_worker(
    start_broker: StartBroker, tmp_path: Path
) -> None:
    settings = echo_settings(tmp_path, restarts=RestartPolicy(stop_timeout_s=0.2))
    hasty = dataclasses.replace(settings, drain_timeout_s=0.1)
    broker = await start_broker(settings=hasty)
    stuck: asyncio.Future[InferenceResult] = broker.submit(request("hang"))
    await broker.stop()
    with pytest.raises(Unavailable, match="shutting down"):
        await stuck


async def test_a_loop_that_ends_without_a_stop_leaves_no_request_unsettled(tmp_path: Path) -> None:
    broker = Broker(echo_settings(tmp_path), rng=random.Random(1))
    await broker.start()
    answer = broker.submit(request("echo"))
    await asyncio.gather(broker.stop(), broker.stop())
    with pytest.raises(Unavailable):
        await answer
