"""Messages of one sender to one receiver are handled in the order sent, whatever else goes on."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import NotFound
from runtime.engine import Actor, Backoff, Directive, Options, Ref, Strategy, Supervision, on
from runtime.testkit import Simulation, simulate

Seen = dict[tuple[str, str, str], list[int]]
"""What was handled: (sender, way, receiver) -> numbers, in order."""


@dataclass(frozen=True, slots=True)
class Numbered:
    sender: str
    way: str
    number: int
    kind: str


@dataclass(frozen=True, slots=True)
class Send:
    receivers: tuple[Ref, ...]
    ways: tuple[Ref, ...]
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Through:
    receiver: Ref
    message: Numbered


class Receiver(Actor):
    """Handles a message in the way that its kind says."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen

    def started(self) -> None:
        self.busy = False

    def receive(self, message: Numbered) -> object:
        assert not self.busy, "two handlers of one actor at once"
        self.seen[message.sender, message.way, self.id].append(message.number)
        match message.kind:
            case "awaits":
                return self.awaiting(0.01)
            case "yields":
                return self.awaiting(0)
            case "refuses":
                raise NotFound("refused")
            case "fails":
                raise ValueError
            case "fails later":
                return self.awaiting(0.01, ValueError)
            case "tells itself":
                self.ref.tell(Numbered("itself", "", message.number, ""))
        return None

    async def awaiting(self, for_s: float, error: type[Exception] | None = None) -> None:
        self.busy = True
        await asyncio.sleep(for_s)
        self.busy = False
        if error is not None:
            raise error


class Sender(Actor):
    @on(Send)
    async def send(self, message: Send) -> None:
        """Directly, through a forwarder, and by asks that nobody awaits; now and then it takes a breath."""
        rng = self.system.rng
        for number, kind in enumerate(message.kinds):
            for receiver in message.receivers:
                for i, way in enumerate(message.ways):
                    way.tell(Through(receiver, Numbered(self.id, str(i), number, kind)))
                direct = Numbered(self.id, "direct", number, kind)
                if rng.random() < 0.3:
                    ask = asyncio.ensure_future(receiver.ask(direct))
                    ask.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                    if rng.random() < 0.3:
                        self.system.loop.call_soon(ask.cancel)
                else:
                    receiver.tell(direct)
            if rng.random() < 0.2:
                await asyncio.sleep(rng.random() * 0.02)


class Forwarder(Actor):
    @on(Through)
    def forwards(self, message: Through) -> None:
        self.forward(message.receiver, message.message)


KINDS = ("", "awaits", "yields", "refuses", "fails", "fails later", "tells itself")


@given(
    seed=st.integers(0, 2**32),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=12),
    strategy=st.sampled_from(Strategy),
    directive=st.sampled_from([Directive.RESTART, Directive.RESUME]),
    delay_s=st.sampled_from([0.0, 0.05]),
)
@settings(max_examples=150)
def test_order_per_pair(seed: int, kinds: list[str], strategy: Strategy, directive: Directive, delay_s: float) -> None:
    seen: Seen = defaultdict(list)
    rules = Supervision(
        strategy=strategy,
        otherwise=directive,
        max_restarts=100_000,
        backoff=Backoff(min_s=delay_s, max_s=delay_s) if delay_s else None,
    )

    class Receivers(Actor):
        @on(str)
        def start(self, names: str) -> list[Ref]:
            return [self.spawn(Receiver, seen, name=name) for name in names]

    async def scenario(sim: Simulation) -> None:
        parent = sim.system.spawn(Receivers, options=Options(supervision=rules))
        receivers = tuple(await parent.ask("xyz"))
        ways = tuple(sim.system.spawn(Forwarder) for _ in range(2))
        for name in "abc":
            sim.system.spawn(Sender, name=name).tell(Send(receivers, ways, tuple(kinds)))
        await asyncio.sleep(60.0)

    simulate(scenario, seed=seed)
    assert {way for _, way, _ in seen} >= {"0", "1"}
    for route, numbers in seen.items():
        if route[0] != "itself":
            assert numbers == sorted(set(numbers)), route
        if route[1] in ("0", "1"):
            assert numbers == list(range(len(kinds))), route
