"""What the domain leaves to the task queue: handed over at a login, done by a worker, lost without harm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from actors import errands
from protocols.tasks import UserLogin
from runtime.queue import DeadLetter, Handlers, Queue, QueueWorker, WorkerSettings, open_queue
from tests.actors.world import World

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
async def queue(bare_world: World, tmp_path: Path) -> AsyncIterator[Queue]:
    """A queue in a file, and a worker that does the domain's tasks."""
    tasks = await open_queue(redis_url=None, data_dir=tmp_path, rng=Random(1))
    queue = Queue(tasks, source="here", rng=Random(2))
    handlers = Handlers()
    errands.handle(handlers, bare_world.stores.logins)
    settings = WorkerSettings(poll_s=0.05)
    worker = bare_world.system.spawn(QueueWorker, tasks, handlers, settings, name="worker", options=settings.options)
    yield queue
    await queue.close()
    worker.stop()
    await worker.wait_stopped()
    await tasks.close()


async def test_a_login_is_entrusted_to_the_queue(world: World) -> None:
    ada = await world.register("ada")
    assert world.tasks.kept == []
    await world.log_in("ada")
    (login,) = world.tasks.kept
    assert isinstance(login, UserLogin)
    assert (login.user_id, login.username, login.ip_address) == (ada.id, "ada", "192.0.2.1")


async def test_a_queue_that_is_away_keeps_nobody_out(world: World) -> None:
    await world.register("ada")
    world.tasks.away = True
    assert (await world.log_in("ada")).user.username == "ada"


async def test_logins_come_into_the_log_once(bare_world: World, queue: Queue) -> None:
    world = bare_world
    world.define(tasks=queue)
    ada = await world.register("ada")
    await world.log_in("ada")
    await settles_to(world, ada.id, 1)
    again = UserLogin(user_id=ada.id, username="ada", ip_address="192.0.2.9", login_time=NOON)
    await queue.enqueue(again)
    await queue.enqueue(again)
    await settles_to(world, ada.id, 2)
    page = await world.stores.logins.list_for_user(ada.id)
    assert sorted(line.ip_address for line in page.items) == ["192.0.2.1", "192.0.2.9"]


async def test_a_login_that_no_row_can_hold_is_a_dead_letter_at_once(queue: Queue) -> None:
    await queue.enqueue(UserLogin(user_id=1, username="", ip_address="", login_time=NOON))
    letters: tuple[DeadLetter, ...] = ()
    while not letters:
        letters = await queue.tasks.dead_letters()
    assert [b'"user.login"' in letter.text for letter in letters] == [True]
    assert "username" in letters[0].reason


async def settles_to(world: World, user_id: int, lines: int) -> None:
    """Wait until the login log has so many lines of a user."""
    found = -1
    while found != lines:
        found = len((await world.stores.logins.list_for_user(user_id)).items)
