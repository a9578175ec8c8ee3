"""Actors and messages that the engine's tests share, and the way to run a test on virtual time under several seeds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from protocols.errors import NotFound
from runtime.engine import Actor, Backoff, Directive, Options, Reason, Ref, Strategy, Supervision, on
from runtime.testkit import Simulation, explore

SEEDS: Final = range(5)

Log = list[str]


def simulated(scenario: Callable[[Simulation], Awaitable[object]]) -> Callable[[], None]:
    """Make a test of a scenario: it runs on virtual time, under a few seeds."""

    def test() -> None:
        explore(scenario, SEEDS)

    test.__name__, test.__doc__ = scenario.__name__, scenario.__doc__
    return test


@dataclass(frozen=True, slots=True)
class Say:
    """Log `text` and answer with it."""

    text: str


@dataclass(frozen=True, slots=True)
class Work:
    """Take `for_s` seconds in an `async def` handler; log `text+` before and `text-` after."""

    text: str
    for_s: float


@dataclass(frozen=True, slots=True)
class Break:
    """Fail, with an exception that is no ParleyError."""

    text: str = "broken"


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse this message."""


@dataclass(frozen=True, slots=True)
class Do:
    """Call `what` with the actor, as a `def` handler."""

    what: Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class DoAsync:
    """Await what `what` makes of the actor, as an `async def` handler."""

    what: Callable[[Any], Awaitable[object]]


class Broken(Exception):
    """What `Break` raises."""


class Worker(Actor):
    """Logs all that happens to it, as `name:what`."""

    def __init__(self, log: Log, name: str = "", setup: Callable[[Worker], object] | None = None) -> None:
        self.log = log
        self.name = name
        self.setup = setup
        self.running = 0

    def note(self, text: str) -> None:
        self.log.append(f"{self.name}:{text}" if self.name else text)

    @on(Say)
    def say(self, message: Say) -> str:
        assert self.running == 0, "two handlers of one actor at once"
        self.note(message.text)
        return message.text

    @on(Work)
    async def work(self, message: Work) -> str:
        assert self.running == 0, "two handlers of one actor at once"
        self.running += 1
        try:
            self.note(message.text + "+")
            await asyncio.sleep(message.for_s)
            self.note(message.text + "-")
        finally:
            self.running -= 1
        return message.text

    @on(Break)
    def fail(self, message: Break) -> None:
        raise Broken(message.text)

    @on(Refuse)
    def refuse(self, _: Refuse) -> None:
        raise NotFound("there is no such thing")

    @on(Do)
    def do(self, message: Do) -> object:
        return message.what(self)

    @on(DoAsync)
    async def do_async(self, message: DoAsync) -> object:
        return await message.what(self)


class Hooked(Worker):
    """A worker whose hooks log as well; `setup` runs in `started`."""

    def started(self) -> None:
        self.note("started")
        if self.setup is not None:
            self.setup(self)

    def stopped(self) -> None:
        self.note("stopped")

    def restarting(self, error: BaseException) -> None:
        self.note(f"restarting {type(error).__name__}")


class Parent(Hooked):
    """Starts a `Hooked` child for each name, and hands their refs out by name."""

    def __init__(self, log: Log, names: str, options: Options | None = None) -> None:
        super().__init__(log, "parent")
        self.names = names
        self.child_options = options

    def started(self) -> None:
        super().started()
        for name in self.names:
            self.spawn(Hooked, self.log, name, name=name, options=self.child_options)


async def child(sim: Simulation, parent: Ref, name: str) -> Ref:
    """The ref of a parent's child, when both have started."""
    await sim.settle()
    return sim.system.lookup(f"{parent.path}/{name}")


def supervising(
    strategy: Strategy = Strategy.ONE_FOR_ONE,
    otherwise: Directive = Directive.RESTART,
    *,
    directives: tuple[tuple[type[BaseException], Directive], ...] = (),
    max_restarts: int = 5,
    within_s: float = 10.0,
    exceeded: Directive = Directive.ESCALATE,
    backoff: Backoff | None = None,
) -> Options:
    """Options of a supervisor."""
    return Options(
        supervision=Supervision(
            strategy=strategy,
            directives=directives,
            otherwise=otherwise,
            max_restarts=max_restarts,
            within_s=within_s,
            exceeded=exceeded,
            backoff=backoff,
        )
    )


def state(sim: Simulation, ref: Ref) -> str:
    return sim.system.statistics_of(ref).state


def reasons(sim: Simulation) -> list[tuple[object, Reason]]:
    """The dead letters: message and reason, in order."""
    return [(letter.message, letter.reason) for letter in sim.system.dead_letters.latest]
