"""Turns: nobody starves, idle actors cost nothing, and a handler's surroundings are its own."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from contextvars import ContextVar

import pytest

from runtime.engine import Actor, ActorSystem, Options, Ref, on
from runtime.engine.clock import LoopClock
from runtime.engine.dispatcher import QUANTUM, SLICE_S, Dispatcher
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Do, DoAsync, Log, Say, Worker, simulated, state

# In these tests the engine's own dispatcher is at work, on the loop that the node runs on and on the plain one.
both_loops = pytest.mark.asyncio(loop_factories=["uvloop", "asyncio"])


class Echo(Actor):
    __slots__ = ()

    def receive(self, message: object) -> object:
        return message


@both_loops
async def test_a_flooded_actor_does_not_starve_a_quiet_one() -> None:
    system = ActorSystem()
    turns: list[str] = []

    class Flooded(Actor):
        def receive(self, message: int) -> None:
            turns.append("flooded")
            self.ref.tell(message)  # never done

    class Quiet(Actor):
        def receive(self, _: object) -> None:
            turns.append("quiet")

    flooded, quiet = system.spawn(Flooded, options=Options(capacity=100_000)), system.spawn(Quiet)
    for i in range(10 * QUANTUM):
        flooded.tell(i)
    for i in range(10):
        before = len(turns)
        await quiet.ask(i)
        # Two rounds at most stand between a message and its handler.
        assert len(turns) - before <= 2 * QUANTUM + 1
    flooded.stop()
    await system.stop()


@both_loops
async def test_actors_do_not_starve_the_loop() -> None:
    """While a thousand actors keep each other busy, a callback of the loop still comes by."""
    system = ActorSystem()
    ticks = 0

    class Busy(Actor):
        @on(int)
        def work(self, message: int) -> None:
            self.ref.tell(message)

    for i in range(1000):
        system.spawn(Busy).tell(i)
    turns = system.dispatcher.turns
    for _ in range(20):
        await asyncio.sleep(0)
        ticks += 1
    # A round is a turn for each at most, or ends by its time slice.
    assert system.dispatcher.turns - turns <= 1000 * (ticks + 1)
    await system.stop()


async def test_a_round_ends_by_its_time_slice() -> None:
    now = 0.0

    class Clock(LoopClock):
        __slots__ = ()

    clock = Clock(asyncio.get_running_loop())
    clock.time = lambda: now
    system = ActorSystem(clock=clock)
    turns: list[str] = []

    def slow(self: Worker) -> None:
        nonlocal now
        now += SLICE_S
        turns.append(self.name)

    refs = [system.spawn(Worker, [], name) for name in "abc"]
    for ref in refs:
        ref.tell(Do(slow))
    for expected in ("a", "ab", "abc"):
        while len(turns) < len(expected):  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert "".join(turns) == expected
    await system.stop()


@both_loops
async def test_a_thousand_actors_pass_a_message_round() -> None:
    system = ActorSystem()

    class Link(Actor):
        def __init__(self, following: Ref | None) -> None:
            self.following = following

        @on(int)
        def pass_on(self, hops: int) -> int | None:
            if self.following is None:
                return hops
            self.forward(self.following, hops + 1)
            return None

        @on(float)
        async def pass_on_slowly(self, hops: float) -> float:
            await asyncio.sleep(0)
            return hops if self.following is None else await self.ask(self.following, hops + 1)

    ref: Ref | None = None
    for _ in range(1001):
        ref = system.spawn(Link, ref)
    assert ref is not None
    assert await ref.ask(0) == 1000
    assert await ref.ask(0.0) == 1000.0
    assert system.statistics().tasks <= 1
    await system.stop()


@both_loops
async def test_idle_actors_have_no_task_and_take_little_memory() -> None:
    system = ActorSystem()

    async def talk() -> None:
        for ref in refs:
            await ref.ask(DoAsync(lambda _: asyncio.sleep(0)))

    before = asyncio.all_tasks()
    refs = [system.spawn(Worker, []) for _ in range(100)]
    await talk()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert system.statistics().tasks == 0
    gc.collect()
    tracemalloc.start()
    try:
        began = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            system.spawn(Echo)
        each = (tracemalloc.get_traced_memory()[0] - began) / 2000
    finally:
        tracemalloc.stop()
    assert each <= 400
    await system.stop()


@both_loops
async def test_asyncio_works_in_async_handlers() -> None:
    system = ActorSystem()
    ref = system.spawn(Worker, [])

    async def limited(_: Worker) -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, i)) for i in range(3)]
        return str([task.result() for task in tasks])

    assert await asyncio.gather(*(ref.ask(DoAsync(limited)) for _ in range(3))) == ["[0, 1, 2]"] * 3
    await system.stop()


async def test_many_awaiting_handlers_share_one_task_for_a_while() -> None:
    system = ActorSystem()
    ref = system.spawn(Worker, [])
    tasks: set[asyncio.Task[object] | None] = set()

    async def who(_: Worker) -> None:
        tasks.add(asyncio.current_task())

    await asyncio.gather(*(ref.ask(DoAsync(who)) for _ in range(QUANTUM)))
    assert len(tasks) <= 2
    await system.stop()


VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="unset")


@simulated
async def test_context_variables_neither_follow_a_message_nor_pass_to_another_actor(sim: Simulation) -> None:
    VARIABLE.set("the teller's")
    seen: list[str] = []

    def look(_: Worker) -> None:
        seen.append(VARIABLE.get())

    async def look_async(_: Worker) -> None:
        await asyncio.sleep(0)
        seen.append(VARIABLE.get())

    class Hooks(Worker):
        async def started(self) -> None:
            seen.append(VARIABLE.get())

        def stopped(self) -> None:
            seen.append(VARIABLE.get())

    one, two = sim.system.spawn(Worker, []), sim.system.spawn(Hooks, [])
    await one.ask(Do(lambda _: VARIABLE.set("the first actor's")))
    for message in (Do(look), DoAsync(look_async)):
        await two.ask(message)
    two.stop()
    await two.wait_stopped()
    assert seen == ["unset"] * 4
    assert VARIABLE.get() == "the teller's"


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("awaits", [False, True])
def test_an_interrupt_leaves_the_engine_in_order(error: type[BaseException], awaits: bool) -> None:
    """It ends the loop's run, as it should; who runs the loop again, if only to stop the system, finds it working."""
    log: Log = []

    def interrupt(_: Worker) -> None:
        raise error

    async def interrupt_async(_: Worker) -> None:
        raise error

    async def begin() -> ActorSystem:
        system = ActorSystem()
        for name in ("worker", "other"):
            system.spawn(Worker, log, name=name)
        return system

    def send() -> None:
        system.lookup("worker").tell(DoAsync(interrupt_async) if awaits else Do(interrupt))
        system.lookup("worker").tell(Say("next"))
        system.lookup("other").tell(Say("other"))

    async def go_on() -> None:
        assert await system.lookup("worker").ask(Say("end")) == "end"
        await system.stop()

    loop = asyncio.new_event_loop()
    try:
        system = loop.run_until_complete(begin())
        loop.call_soon(send)
        with pytest.raises(error):
            loop.run_forever()
        loop.run_until_complete(go_on())
        assert sorted(log) == ["end", "next", "other"]
    finally:
        loop.close()


@simulated
async def test_a_cancellation_in_a_def_handler_is_a_failure_like_any_other(sim: Simulation) -> None:
    """`future.result()` of a cancelled future raises it."""
    log: Log = []
    ref = sim.system.spawn(Worker, log)
    future: asyncio.Future[None] = sim.system.loop.create_future()
    future.cancel()
    ref.tell(Do(lambda _: future.result()))
    assert await ref.ask(Say("next")) == "next"
    assert sim.system.statistics_of(ref).restarts == 1
    ref.stop()
    await ref.wait_stopped()
    assert state(sim, ref) == "stopped"


def test_the_engines_dispatcher_counts_who_waits() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        dispatcher = Dispatcher(loop, LoopClock(loop), quantum=1)
        system = ActorSystem(dispatcher=dispatcher)
        refs = [system.spawn(Echo) for _ in range(3)]
        asks = [ref.ask(i) for i in range(2) for ref in refs]
        assert dispatcher.depth == 3
        assert await asyncio.gather(*asks) == [0, 0, 0, 1, 1, 1]
        assert (dispatcher.depth, dispatcher.turns) == (0, 6)  # one message a turn
        await system.stop()

    asyncio.run(scenario())
