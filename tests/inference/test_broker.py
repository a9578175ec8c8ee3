"""The broker against a worker process that answers, without models: its promises in good weather."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import pytest

from inference.broker import Broker, InferenceRequest, InferenceResult, Limits
from protocols.errors import (
    Code,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ParleyError,
    ResourceExhausted,
    Unavailable,
)
from protocols.inference import Blob
from tests.inference.conftest import StartBroker, echo_settings, settles

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop", "asyncio"])


def echo(data: bytes = b"hello", task: str = "echo", timeout_s: float = 20.0) -> InferenceRequest:
    return InferenceRequest(task, [data], timeout_s=timeout_s)


async def gated(broker: Broker, gate: Path) -> asyncio.Future[InferenceResult]:
    """A request that keeps its worker busy until the gate's file is there, and has begun to."""
    before = set(gate.parent.glob("*.begun"))
    answer = broker.submit(echo(str(gate).encode(), "gate"))
    await settles(lambda: set(gate.parent.glob("*.begun")) > before)
    return answer


async def test_a_request_gets_its_result(start_broker: StartBroker) -> None:
    broker = await start_broker()
    result = await broker.submit(InferenceRequest("echo", [b"one ", b"two"]))
    assert result.value == Blob(b"one two")
    assert result.queue_ms >= 0
    assert result.compute_ms >= 0
    statistics = broker.statistics()
    assert (statistics.admitted, statistics.answered, statistics.in_flight) == (1, 1, 0)
    assert "echo" in statistics.tasks


async def test_many_at_once_each_get_their_own(start_broker: StartBroker) -> None:
    broker = await start_broker(workers=2, limits=Limits(queue=500))
    payloads = [str(number).encode() * 100 for number in range(400)]
    results = await asyncio.gather(*(broker.submit(echo(payload)) for payload in payloads))
    assert [result.value for result in results] == [Blob(payload) for payload in payloads]


async def test_a_large_payload_arrives_whole(start_broker: StartBroker) -> None:
    broker = await start_broker()
    payload = os.urandom(8 * 1024 * 1024)
    answer = await broker.submit(echo(payload, "length"))
    assert answer.value == Blob(str(len(payload)).encode() + b" " + hashlib.sha256(payload).digest())


async def test_requests_before_the_first_worker_is_ready_wait_for_it(start_broker: StartBroker) -> None:
    broker = await start_broker(ready=False)
    assert (await broker.submit(echo())).value == Blob(b"hello")


@pytest.mark.parametrize(
    ("task", "code"), [("refuse", Code.INVALID_ARGUMENT), ("fail", Code.INTERNAL), ("nothing", Code.UNIMPLEMENTED)]
)
async def test_a_failure_of_the_work_is_the_error_of_the_request(
    start_broker: StartBroker, task: str, code: Code
) -> None:
    broker = await start_broker()
    with pytest.raises(ParleyError) as failed:
        await broker.submit(echo(task=task))
    assert failed.value.code is code
    assert (await broker.submit(echo())).value == Blob(b"hello")
    assert broker.statistics().worker_deaths == 0


async def test_a_full_queue_refuses_at_once(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = await start_broker(limits=Limits(credit=1, queue=2))
    running = await gated(broker, tmp_path / "gate")
    waiting = [broker.submit(InferenceRequest("echo", [b"x"], model="m")) for _ in range(2)]
    with pytest.raises(ResourceExhausted) as refused:
        await broker.submit(InferenceRequest("echo", [b"x"], model="m"))
    assert refused.value.retry_after_s
    (tmp_path / "gate").touch()
    await asyncio.gather(running, *waiting)


async def test_a_payload_that_could_never_be_queued_is_an_argument_fault(start_broker: StartBroker) -> None:
    broker = await start_broker(limits=Limits(queue_bytes=10))
    with pytest.raises(InvalidArgument, match="the limit is 10"):
        await broker.submit(echo(b"x" * 11))


async def test_the_deadline_answers_on_time_and_the_worker_stays(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = await start_broker(limits=Limits(grace_s=30.0))
    pid = broker.statistics().workers[0].pid
    with pytest.raises(DeadlineExceeded):
        await broker.submit(echo(str(tmp_path / "never").encode(), "gate", timeout_s=0.2))
    assert (await broker.submit(echo())).value == Blob(b"hello")
    assert broker.statistics().workers[0].pid == pid


async def test_a_request_that_waits_past_its_deadline_is_never_run(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = await start_broker(limits=Limits(credit=1))
    running = await gated(broker, tmp_path / "gate")
    mark = tmp_path / "mark"
    with pytest.raises(DeadlineExceeded):
        await broker.submit(echo(str(mark).encode(), "crash_once", timeout_s=0.05))
    (tmp_path / "gate").touch()
    await running
    assert (await broker.submit(echo())).value == Blob(b"hello")
    assert not mark.exists()


@pytest.mark.parametrize("credit", [1, 2])
async def test_a_cancelled_request_is_not_run(start_broker: StartBroker, tmp_path: Path, credit: int) -> None:
    """With a credit of one it waits in the broker, with two in the worker."""
    broker = await start_broker(limits=Limits(credit=credit))
    running = await gated(broker, tmp_path / "gate")
    mark = tmp_path / "mark"
    cancelled = broker.submit(echo(str(mark).encode(), "crash_once"))
    cancelled.cancel()
    await settles(lambda: broker.statistics().cancelled == 1)
    (tmp_path / "gate").touch()
    await running
    assert (await broker.submit(echo())).value == Blob(b"hello")
    assert not mark.exists()


async def test_cancelling_ends_the_work_that_is_running(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = await start_broker()
    running = await gated(broker, tmp_path / "never")
    running.cancel()
    assert (await broker.submit(echo())).value == Blob(b"hello")
    assert broker.statistics().worker_deaths == 0


async def test_stop_lets_the_running_request_finish_and_refuses_the_rest(
    start_broker: StartBroker, tmp_path: Path
) -> None:
    broker = await start_broker(limits=Limits(credit=1))
    running = await gated(broker, tmp_path / "gate")
    waiting = broker.submit(echo())
    stopping = asyncio.create_task(broker.stop())
    with pytest.raises(Unavailable, match="shutting down"):
        await waiting
    with pytest.raises(Unavailable, match="shutting down"):
        await broker.submit(echo())
    (tmp_path / "gate").touch()
    await stopping
    await running
    await broker.stop()


async def test_the_socket_is_private_and_removed(start_broker: StartBroker) -> None:
    broker = await start_broker()
    assert broker._router is not None
    folder = Path(broker._router.endpoint.removeprefix("ipc://")).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    await broker.stop()
    assert not folder.exists()


async def test_a_broker_is_started_once(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = Broker(echo_settings(tmp_path))
    with pytest.raises(Unavailable, match="not been started"):
        await broker.submit(echo())
    started = await start_broker()
    with pytest.raises(FailedPrecondition):
        await started.start()
    await started.wait_ready(1.0)
