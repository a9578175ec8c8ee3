"""The worker: handlers of every outcome, limits, cancellation, and an end in good order. On every backend."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from random import Random

import pytest

from protocols.errors import Internal, NotFound, Unavailable
from protocols.tasks import (
    MediaTranscode,
    MeetingUserJoin,
    UserProfileUpdate,
    UserStatusChange,
)
from runtime.engine import ActorSystem, Backoff, Ref
from runtime.queue import (
    GetWorkerStatistics,
    Handlers,
    Queue,
    QueueWorker,
    State,
    TaskContext,
    TaskQueue,
    Unprocessable,
    WorkerSettings,
    WorkerStatistics,
)
from runtime.queue.task_queue import Claim, Completed, Entry, Exchange, Exchanged
from tests.runtime.queue.hands import PROFILE, STATUS, Hands, entry, until

QUICK = WorkerSettings(
    concurrency=32,
    batch=16,
    poll_s=0.05,
    heartbeat_s=0.1,
    progress_s=0.02,
    drain_s=5.0,
    retry=Backoff(min_s=0.02, max_s=0.05),
    away=Backoff(min_s=0.01, max_s=0.05),
)
TRANSCODE = MediaTranscode(recording_id="r1", source_path="a", target_format="mp4", quality="high")


@pytest.fixture
async def queue(tasks: TaskQueue) -> AsyncIterator[Queue]:
    queue = Queue(tasks, source="test", rng=Random(1))
    yield queue
    await queue.close()


@pytest.fixture
def start(system: ActorSystem, tasks: TaskQueue) -> Callable[..., Ref]:
    """Start a worker with these handlers, by payload."""

    def start(settings: WorkerSettings = QUICK, concurrency: int = 8, **given: object) -> Ref:
        kinds = {"status": UserStatusChange, "profile": UserProfileUpdate, "transcode": MediaTranscode}
        handlers = Handlers()
        for name, run in given.items():
            handlers.add(kinds[name], run, concurrency=concurrency)  # type: ignore[arg-type]
        return system.spawn(QueueWorker, tasks, handlers, settings, options=settings.options)

    return start


async def ends(tasks: TaskQueue, **counts: int) -> None:
    """Wait until so many tasks have ended so."""

    async def ended() -> bool:
        found = (await tasks.depths()).counts
        return all(found.get(name, 0) == number for name, number in counts.items())

    await until(ended)


async def settled(worker: Ref) -> dict[str, int]:
    found: WorkerStatistics = await worker.ask(GetWorkerStatistics())
    return found.settled


async def test_a_task_is_done_and_its_result_can_be_read(queue: Queue, start: Callable[..., Ref]) -> None:
    seen: list[tuple[object, int, bool]] = []

    async def transcode(task: MediaTranscode, context: TaskContext) -> dict[str, str]:
        seen.append((task, context.attempt, 3590 < context.remaining_s < 3601))
        return {"output_path": "b"}

    start(transcode=transcode)
    known = await queue.enqueue(TRANSCODE)
    await ends(queue.tasks, done=1)
    status = await queue.tasks.status(known.id)
    assert (status.state, status.result) == (State.DONE, b'{"output_path":"b"}')
    assert seen == [(TRANSCODE, 1, True)]


async def test_tasks_that_came_before_the_worker_are_done_too(queue: Queue, start: Callable[..., Ref]) -> None:
    done: list[int] = []

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        done.append(task.user_id)

    for n in range(100):
        await queue.enqueue(UserStatusChange(user_id=n, status="x"))
    start(status=status)
    await ends(queue.tasks, done=100)
    assert sorted(done) == list(range(100))


async def test_a_failed_attempt_is_repeated_and_the_last_one_is_known(queue: Queue, start: Callable[..., Ref]) -> None:
    attempts: list[tuple[int, bool]] = []

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        attempts.append((context.attempt, context.is_last_attempt))
        raise ValueError("the mail server said no")

    start(status=status)
    known = await queue.enqueue(STATUS)
    await ends(queue.tasks, dead=1, retried=3)
    assert attempts == [(1, False), (2, False), (3, False), (4, True)]
    assert (await queue.tasks.dead_letter(known.id)).reason == "ValueError: the mail server said no"


async def test_what_can_never_be_done_is_not_tried_again(queue: Queue, start: Callable[..., Ref]) -> None:
    async def status(task: UserStatusChange, context: TaskContext) -> None:
        raise Unprocessable("there is no such user")

    start(status=status)
    known = await queue.enqueue(STATUS)
    await ends(queue.tasks, dead=1)
    assert (await queue.tasks.dead_letter(known.id)).reason == "there is no such user"
    assert "retried" not in (await queue.tasks.depths()).counts


async def test_a_handler_that_fails_before_it_begins_fails_its_task_alone(
    queue: Queue, start: Callable[..., Ref]
) -> None:
    def status(task: UserStatusChange, context: TaskContext) -> None:
        raise RuntimeError("no coroutine at all")

    async def profile(task: UserProfileUpdate, context: TaskContext) -> None:
        pass

    worker = start(status=status, profile=profile)
    await queue.enqueue(STATUS, max_retries=0)
    await queue.enqueue(PROFILE)
    await ends(queue.tasks, dead=1, done=1)
    assert worker.path


async def test_a_result_that_is_no_json_is_a_dead_letter(queue: Queue, start: Callable[..., Ref]) -> None:
    async def transcode(task: MediaTranscode, context: TaskContext) -> object:
        return object()

    start(transcode=transcode)
    known = await queue.enqueue(TRANSCODE)
    await ends(queue.tasks, dead=1)
    assert "no JSON" in (await queue.tasks.dead_letter(known.id)).reason


async def test_a_handler_that_takes_too_long_is_cancelled_and_its_task_retried(
    queue: Queue, start: Callable[..., Ref]
) -> None:
    attempts: list[int] = []

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        attempts.append(context.attempt)
        if context.attempt == 1:
            await asyncio.Event().wait()

    start(status=status)
    await queue.enqueue(STATUS, timeout_s=0.1)
    await ends(queue.tasks, done=1, retried=1)
    assert attempts == [1, 2]


async def test_no_more_tasks_of_a_type_run_at_once_than_are_to(queue: Queue, start: Callable[..., Ref]) -> None:
    running = most = 0
    gate = asyncio.Event()

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    done = 0

    async def profile(task: UserProfileUpdate, context: TaskContext) -> None:
        nonlocal done
        done += 1

    for _ in range(20):
        await queue.enqueue(STATUS)
    for _ in range(20):
        await queue.enqueue(PROFILE)
    start(concurrency=3, status=status, profile=profile)
    await ends(queue.tasks, done=20)  # the profiles pass, though the others came first and stand
    assert (done, running, most) == (20, 3, 3)
    gate.set()
    await ends(queue.tasks, done=40)
    assert most == 3


async def test_a_type_without_a_handler_is_left_alone(queue: Queue, start: Callable[..., Ref]) -> None:
    async def status(task: UserStatusChange, context: TaskContext) -> None:
        pass

    start(status=status)
    known = await queue.enqueue(MeetingUserJoin(meeting_id=1, user_id=2))
    await queue.enqueue(STATUS)
    await ends(queue.tasks, done=1)
    assert (await queue.tasks.status(known.id)).state is State.WAITING


async def test_a_payload_that_does_not_fit_its_type_is_a_dead_letter(
    tasks: TaskQueue, start: Callable[..., Ref]
) -> None:
    async def status(task: UserStatusChange, context: TaskContext) -> None:
        raise AssertionError("nothing to handle")

    worker = start(status=status)
    good = entry("bad")
    await Hands(tasks).put(Entry("bad", good.priority, good.text.replace(b'"user_id":1', b'"user_id":"one"')))
    await ends(tasks, dead=1)
    assert "user_id" in (await tasks.dead_letter("bad")).reason
    assert await settled(worker) == {"buried": 1}


async def test_progress_is_told(queue: Queue, start: Callable[..., Ref]) -> None:
    gate = asyncio.Event()

    async def transcode(task: MediaTranscode, context: TaskContext) -> None:
        for percent in range(51):
            context.progress(percent / 100, "first pass")
        await gate.wait()

    start(transcode=transcode)
    known = await queue.enqueue(TRANSCODE)

    async def told() -> bool:
        return (await queue.tasks.status(known.id)).progress == b'{"fraction":0.5,"note":"first pass"}'

    await until(told)
    gate.set()
    await ends(queue.tasks, done=1)


async def test_a_running_task_is_cancelled(queue: Queue, start: Callable[..., Ref]) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    worker = start(status=status)
    known = await queue.enqueue(STATUS)
    await started.wait()
    await queue.tasks.cancel(known.id)
    await ends(queue.tasks, cancelled=1)
    assert ended.is_set()
    assert (await queue.tasks.status(known.id)).state is State.CANCELLED
    assert await settled(worker) == {"cancelled": 1}


async def test_a_stopped_worker_lets_its_handlers_end(
    queue: Queue, start: Callable[..., Ref], system: ActorSystem
) -> None:
    started = asyncio.Event()

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        started.set()
        await asyncio.sleep(0.1)

    worker = start(status=status)
    await queue.enqueue(STATUS)
    await started.wait()
    worker.stop()
    await worker.wait_stopped()
    depths = await queue.tasks.depths()
    assert (depths.counts["done"], depths.processing) == (1, 0)


async def test_a_stopped_worker_gives_back_what_does_not_end(queue: Queue, start: Callable[..., Ref]) -> None:
    started = asyncio.Event()

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        started.set()
        await asyncio.Event().wait()

    worker = start(replace(QUICK, drain_s=0.05), status=status)
    known = await queue.enqueue(STATUS)
    await started.wait()
    worker.stop()
    await worker.wait_stopped()
    hands = Hands(queue.tasks)
    [claim] = await hands.claim()
    assert (claim.id, hands.retries(claim)) == (known.id, 0)


async def test_a_blocked_loop_keeps_its_leases(queue: Queue, start: Callable[..., Ref]) -> None:
    starts: list[int] = []

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        starts.append(context.attempt)
        time.sleep(1.2)  # noqa: ASYNC251 - the very thing that is tested

    start(status=status)
    await queue.enqueue(STATUS, visibility_timeout_s=0.4)
    await ends(queue.tasks, done=1)
    assert starts == [1]
    assert "reaped" not in (await queue.tasks.depths()).counts


async def test_a_long_task_keeps_its_lease(queue: Queue, start: Callable[..., Ref]) -> None:
    async def status(task: UserStatusChange, context: TaskContext) -> None:
        await asyncio.sleep(1.0)

    start(status=status)
    await queue.enqueue(STATUS, visibility_timeout_s=0.3)
    await ends(queue.tasks, done=1)
    assert "reaped" not in (await queue.tasks.depths()).counts


async def test_a_handler_whose_lease_is_lost_is_cancelled_and_settles_nothing(
    queue: Queue, start: Callable[..., Ref]
) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    worker = start(status=status)
    known = await queue.enqueue(STATUS)
    await started.wait()
    fence = next(iter(worker_of(worker)._running.values())).claim.fence
    await Hands(queue.tasks).settle(Completed(Claim(known.id, fence, b"")))
    async with asyncio.timeout(5):
        await ended.wait()
    assert await settled(worker) == {}


def worker_of(ref: Ref) -> QueueWorker:
    return ref.actor  # type: ignore[attr-defined, no-any-return]


class Trouble:
    """A queue whose exchanges are lost: before they reach it, or, worse, after."""

    def __init__(self, tasks: TaskQueue) -> None:
        self.tasks = tasks
        self.before = self.after = 0
        self.error: Exception = Unavailable("away")

    def __getattr__(self, name: str) -> object:
        return getattr(self.tasks, name)

    async def exchange(self, exchange: Exchange) -> Exchanged:
        if self.before:
            self.before -= 1
            raise self.error
        answer = await self.tasks.exchange(exchange)
        if self.after:
            self.after -= 1
            raise self.error
        return answer


@pytest.mark.parametrize("error", [Unavailable("away"), Internal("a defect")])
async def test_lost_exchanges_lose_no_task_and_end_no_worker(
    queue: Queue, system: ActorSystem, error: Exception
) -> None:
    done: list[int] = []

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        done.append(task.user_id)

    handlers = Handlers()
    handlers.add(UserStatusChange, status)
    trouble = Trouble(queue.tasks)
    trouble.error = error
    worker = system.spawn(QueueWorker, trouble, handlers, QUICK, options=QUICK.options)
    for n in range(50):
        trouble.before, trouble.after = n % 3, n % 2
        await queue.enqueue(UserStatusChange(user_id=n, status="x"))
        await ends(queue.tasks, done=n + 1)
    assert done == list(range(50))
    assert (await settled(worker)) == {"completed": 50}


async def test_a_worker_whose_queue_stays_away_stops_all_the_same(queue: Queue, system: ActorSystem) -> None:
    async def status(task: UserStatusChange, context: TaskContext) -> None:
        pass

    handlers = Handlers()
    handlers.add(UserStatusChange, status)
    trouble = Trouble(queue.tasks)
    worker = system.spawn(QueueWorker, trouble, handlers, QUICK, options=QUICK.options)
    await queue.enqueue(STATUS)
    trouble.before = 1_000_000
    worker.stop()
    await worker.wait_stopped()


async def test_a_worker_is_restarted_when_its_listener_breaks(queue: Queue, system: ActorSystem) -> None:
    class Broken(Trouble):
        async def listen(self, woken: object, cancelled: object) -> None:
            self.listened = getattr(self, "listened", 0) + 1
            if self.listened == 1:
                raise RuntimeError("a defect")
            await asyncio.Event().wait()

    async def status(task: UserStatusChange, context: TaskContext) -> None:
        pass

    handlers = Handlers()
    handlers.add(UserStatusChange, status)
    worker = system.spawn(QueueWorker, Broken(queue.tasks), handlers, QUICK, options=QUICK.options)
    await queue.enqueue(STATUS)
    await ends(queue.tasks, done=1)

    async def restarted() -> bool:
        return system.statistics_of(worker).restarts == 1

    await until(restarted)


def test_handlers_are_checked() -> None:
    async def status(task: UserStatusChange, context: TaskContext) -> None:
        pass

    handlers = Handlers()
    handlers.add(UserStatusChange, status)
    with pytest.raises(ValueError, match="already"):
        handlers.add(UserStatusChange, status)
    with pytest.raises(ValueError, match="concurrency"):
        handlers.add(UserProfileUpdate, status, concurrency=0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="no task"):
        handlers.add(int, status)  # type: ignore[arg-type]


async def test_nothing_is_known_of_what_never_was(queue: Queue) -> None:
    with pytest.raises(NotFound):
        await queue.tasks.status("nobody")
