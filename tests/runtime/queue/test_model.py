"""A queue against a model of it: whatever is done in whatever order, no task is lost, doubled, or counted wrongly."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from protocols.errors import NotFound
from protocols.task_message import Priority
from runtime.queue import Cancellation, TaskQueue
from runtime.queue.redis_queue import RedisQueue
from runtime.queue.sqlite_queue import SqliteQueue
from runtime.queue.task_queue import Buried, Cancelled, Claim, Completed, Exchange, Failed, GivenBack, Settlement
from runtime.redis import RedisClients
from tests.runtime.queue.hands import LOGIN, PROFILE, STATUS, Hands, entry
from tests.runtime.redis.valkey import url
from tests.servers import Server

PAYLOADS = {"user.status_change": STATUS, "user.profile_update": PROFILE, "user.login": LOGIN}
MAX_RETRIES = 1
OpenQueue = Callable[[], Coroutine[Any, Any, TaskQueue]]


class QueueMachine(RuleBasedStateMachine):
    """The model: where each id is, and how many attempts it has lost. `open_queue` is set by the tests."""

    open_queue: OpenQueue
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.where: dict[str, str] = {}
        self.kind: dict[str, str] = {}
        self.retries: dict[str, int] = {}
        self.fences: dict[str, int] = {}
        self.current: dict[str, Claim] = {}
        self.cancelling: set[str] = set()
        self.number = 0
        self.last: tuple[Exchange, tuple[Claim, ...]] | None = None

    @initialize()
    def begin(self) -> None:
        self.tasks: TaskQueue = self.runner.run(type(self).open_queue())
        self.hands = Hands(self.tasks)

    def teardown(self) -> None:
        if hasattr(self, "tasks"):
            self.runner.run(self.tasks.close())
        self.runner.close()

    @rule(kinds=st.lists(st.tuples(st.sampled_from(sorted(PAYLOADS)), st.sampled_from(list(Priority))), max_size=6))
    def put(self, kinds: list[tuple[str, Priority]]) -> None:
        entries = []
        for kind, priority in kinds:
            self.number += 1
            task_id = f"t{self.number}"
            self.where[task_id], self.kind[task_id], self.retries[task_id] = "waiting", kind, 0
            entries.append(entry(task_id, PAYLOADS[kind], priority=priority, max_retries=MAX_RETRIES))
        assert self.runner.run(self.hands.put(*entries)) == tuple(one.id for one in entries)

    @rule(
        target=claims,
        batch=st.integers(1, 8),
        rooms=st.dictionaries(st.sampled_from(sorted(PAYLOADS)), st.integers(1, 5), min_size=1),
    )
    def claim(self, batch: int, rooms: dict[str, int]) -> object:
        self.number += 1
        exchange = Exchange("w", self.number, (), batch, rooms)
        found = self.runner.run(self.tasks.exchange(exchange)).claims
        self.last = (exchange, found)
        free = {kind: sum(self.where[i] == "waiting" and self.kind[i] == kind for i in self.where) for kind in rooms}
        assert len(found) == min(batch, sum(min(free[kind], room) for kind, room in rooms.items()))
        for claim in found:
            assert self.where[claim.id] == "waiting"
            assert self.hands.retries(claim) == self.retries[claim.id]
            assert claim.fence > max(self.fences.values(), default=0)
            self.where[claim.id], self.fences[claim.id] = "running", claim.fence
            self.current[claim.id] = claim
        for kind, room in rooms.items():
            assert sum(self.kind[claim.id] == kind for claim in found) <= room
        return multiple(*found)

    @rule()
    def claim_again(self) -> None:
        if self.last is not None:
            exchange, found = self.last
            again = self.runner.run(self.tasks.exchange(exchange)).claims
            if found:
                assert again == tuple(one for one in found if self.holds(one))
            self.last = (exchange, found) if found else None
            for one in again if not found else ():
                self.where[one.id], self.fences[one.id], self.current[one.id] = "running", one.fence, one

    def holds(self, claim: Claim) -> bool:
        return self.where[claim.id] == "running" and self.fences[claim.id] == claim.fence

    @rule(claim=consumes(claims), how=st.sampled_from(["done", "failed", "buried", "back", "cancelled"]))
    def settle(self, claim: Claim, how: str) -> None:
        self.settle_one(claim, how)

    @rule(claim=claims, how=st.sampled_from(["done", "failed", "back"]))
    def settle_and_keep_the_claim(self, claim: Claim, how: str) -> None:
        self.settle_one(claim, how)

    @rule(how=st.sampled_from(["failed", "failed", "done"]))
    def settle_all(self, how: str) -> None:
        for claim in [claim for claim in self.current.values() if self.holds(claim)]:
            self.settle_one(claim, how)

    def settle_one(self, claim: Claim, how: str) -> None:
        settlements: dict[str, Settlement] = {
            "done": Completed(claim),
            "failed": Failed(claim, "no"),
            "buried": Buried(claim, "no"),
            "back": GivenBack(claim),
            "cancelled": Cancelled(claim),
        }
        refused = self.runner.run(self.hands.settle(settlements[how]))
        if not self.holds(claim):
            assert refused == (claim.id,)
            return
        assert refused == ()
        wanted_cancelled = claim.id in self.cancelling
        self.cancelling.discard(claim.id)
        if how in ("done", "buried"):
            self.where[claim.id] = "done" if how == "done" else "dead"
        elif how == "cancelled" or wanted_cancelled:
            self.where[claim.id] = "cancelled"
        elif how == "back":
            self.where[claim.id] = "waiting"
        elif self.retries[claim.id] == MAX_RETRIES:
            self.where[claim.id] = "dead"
        else:
            self.retries[claim.id] += 1
            self.where[claim.id] = "waiting"

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if not self.where:
            return
        task_id = data.draw(st.sampled_from(sorted(self.where)))
        try:
            answer: Cancellation | None = self.runner.run(self.tasks.cancel(task_id))
        except NotFound:
            answer = None
        if self.where[task_id] == "waiting":
            assert answer is Cancellation.CANCELLED
            self.where[task_id] = "cancelled"
        elif self.where[task_id] == "running":
            assert answer is Cancellation.CANCELLING
            self.cancelling.add(task_id)
        else:
            assert answer is None

    @rule()
    def replay(self) -> None:
        dead = [task_id for task_id, place in self.where.items() if place == "dead"]
        moved = self.runner.run(self.tasks.replay())
        assert (moved.count, moved.refused) == (len(dead), ())
        for task_id in dead:
            self.where[task_id], self.retries[task_id] = "waiting", 0

    @invariant()
    def every_task_is_where_it_should_be(self) -> None:
        if not hasattr(self, "tasks"):
            return
        depths = self.runner.run(self.tasks.depths())
        places = list(self.where.values())
        assert (depths.processing, depths.dead) == (places.count("running"), places.count("dead"))
        # In Redis a cancelled task stays in its list until its turn would have come.
        assert sum(depths.waiting.values()) >= places.count("waiting")
        assert sum(depths.waiting.values()) <= places.count("waiting") + places.count("cancelled")


@contextmanager
def machine(open_queue: OpenQueue) -> Iterator[type[QueueMachine]]:
    yield type("Machine", (QueueMachine,), {"open_queue": staticmethod(open_queue)})


QUICK = settings(max_examples=40, stateful_step_count=40, deadline=None)


@pytest.mark.timeout(120)
def test_the_queue_in_redis_is_as_its_model(server: Server) -> None:
    async def open_queue() -> TaskQueue:
        clients = RedisClients(url(server))
        await clients.commands.flushall()
        return RedisQueue(clients, rng=Random(1))

    with machine(open_queue) as kind:
        run_machine(kind, settings=QUICK)


@pytest.mark.timeout(120)
def test_the_queue_in_sqlite_is_as_its_model() -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = iter(range(1_000_000))

        async def open_queue() -> TaskQueue:
            return await SqliteQueue.open(Path(folder) / f"{next(names)}.db")

        with machine(open_queue) as kind:
            run_machine(kind, settings=QUICK)
