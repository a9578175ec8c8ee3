"""A whole cluster on virtual time, under faults that a seed decides: what must hold, holds under every seed.

PARLEY_SEEDS sets how many seeds are tried.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from random import Random
from typing import Final

from protocols.errors import ParleyError
from runtime.testkit import Simulation, explore, simulate
from runtime.testkit.nodes import SimulatedCluster, SimulatedNode
from tests.sim.ledger import Append, Ledger, Where, World

SEEDS: Final = int(os.environ.get("PARLEY_SEEDS", "300"))
LEDGERS: Final = ("ledger/a", "ledger/b", "ledger/c", "ledger/d")
NAMES: Final = ("one", "two", "three")


@dataclass(slots=True)
class Account:
    """What the senders of a scenario did, and what they were told."""

    world: World
    told: list[tuple[str, str, int]] = field(default_factory=list)
    accepted: list[tuple[str, str, int]] = field(default_factory=list)
    failed: int = 0
    stood_still: bool = False
    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, sender: str) -> int:
        self.numbers[sender] = self.numbers.get(sender, 0) + 1
        return self.numbers[sender]


def define(world: World, node: SimulatedNode) -> None:
    node.system.entities.define(
        "ledger", lambda ledger: Ledger(ledger, world, node), rest_after_s=node.system.rng.choice((None, 1.5))
    )


async def send(node: SimulatedNode, sender: str, account: Account, rng: Random, until_s: float) -> None:
    """One sender on one node: tells and asks, one after the other."""
    clock = node.system.clock
    while clock.time() < until_s and node.runs:
        ledger = rng.choice(LEDGERS)
        number = account.number(f"{sender} {ledger}")
        ref = node.cluster.ref_at(ledger)
        if rng.random() < 0.4:
            if ref.tell(Append(sender, number)):
                account.told.append((ledger, sender, number))
        else:
            try:
                async with asyncio.timeout(20.0):
                    await ref.ask(Append(sender, number), rng.choice((0.5, 2.0, 5.0)))
                account.accepted.append((ledger, sender, number))
            except ParleyError:
                account.failed += 1
            except TimeoutError:
                assert not node.runs, "an ask outlived its deadline"  # but on a dead node nothing ends
        await asyncio.sleep(rng.random() * 0.3)


async def bad_times(nodes: SimulatedCluster, account: Account, rng: Random, until_s: float) -> None:
    """Faults one after the other, of every kind."""
    clock = nodes.nodes[NAMES[0]].system.clock
    weather = nodes.medium.weather
    while clock.time() < until_s:
        await asyncio.sleep(rng.random() * 2)
        running = nodes.running
        victim = rng.choice(running).name
        match rng.randrange(8):
            case 0 if len(running) > 1:
                nodes.crash(victim)
                await asyncio.sleep(rng.random() * 4)
                await start(nodes, victim)
            case 1 if len(running) > 1:
                await nodes.leave(victim)
                await asyncio.sleep(rng.random() * 2)
                await start(nodes, victim)
            case 2:
                nodes.nodes[victim].link.cut = True
                await asyncio.sleep(rng.random() * 6)
                nodes.nodes[victim].link.cut = False
            case 3:
                account.stood_still = True
                nodes.pause(victim)
                await asyncio.sleep(rng.random() * 6)
                nodes.resume(victim)
            case 4:
                weather.down = True
                await asyncio.sleep(rng.random() * 5)
                weather.down = False
            case 5:
                weather.down = True
                await asyncio.sleep(rng.random())
                nodes.medium.forget()
                weather.down = False
            case 6:
                weather.lost_before = weather.lost_after = rng.random() * 0.3
                weather.repeated = rng.random() * 0.3
                await asyncio.sleep(rng.random() * 3)
                weather.lost_before = weather.lost_after = weather.repeated = 0.0
            case _:
                weather.delay_s = rng.random() * 0.2
                await asyncio.sleep(rng.random() * 2)
                weather.delay_s = 0.002


async def start(nodes: SimulatedCluster, name: str) -> None:
    """Start a node, again and again while the medium does not answer."""
    while True:
        try:
            await nodes.start(name)
            return
        except ParleyError:
            nodes.crash(name)
            await asyncio.sleep(0.2)


async def storm(sim: Simulation, *, faults: bool = True, for_s: float = 12.0) -> tuple[Account, list[str]]:
    """Senders on every node, faults in between, then quiet; and what must hold at the end."""
    rng = sim.rng
    account: Account
    world: World

    def defined(node: SimulatedNode) -> None:
        define(world, node)

    nodes = SimulatedCluster(sim, defined, placed=("ledger",))
    world = World(nodes.medium)
    account = Account(world)
    async with nodes:
        for name in NAMES:
            await nodes.start(name)
        senders = [
            asyncio.create_task(send(node, f"{node.name}{index}", account, Random(rng.random()), for_s))
            for node in nodes.running
            for index in range(2)
        ]
        if faults:
            await bad_times(nodes, account, rng, for_s)
        await asyncio.gather(*senders)
        await settled(nodes)
        check(account)
        return account, nodes.medium.trace


async def settled(nodes: SimulatedCluster) -> None:
    """Once the faults are over, every node reaches every ledger, and all of them the same."""
    await asyncio.sleep(12)
    for ledger in LEDGERS:
        answers = set()
        for node in nodes.running:
            answers.add(await node.cluster.ref_at(ledger).ask(Where(), 5.0))
        assert len(answers) == 1, f"{ledger} is in several places: {answers}"
    await asyncio.sleep(1)
    views = {tuple(sorted(node.cluster.view.members)) for node in nodes.running}
    assert views == {tuple(sorted(node.cluster.node for node in nodes.running))}
    for node in nodes.running:
        figures = node.cluster.statistics()
        assert (figures.asked, figures.owed, figures.outbox, figures.paused) == (0, 0, 0, False), figures


def check(account: Account) -> None:
    sent = {*account.told, *account.accepted}
    for ledger in LEDGERS:
        entries = account.world.rows[ledger.partition("/")[2]].entries if account.world.rows else []
        assert len(set(entries)) == len(entries), f"{ledger}: a message was handled twice"
        for sender in {sender for sender, _ in entries}:
            numbers = [number for one, number in entries if one == sender]
            assert numbers == sorted(numbers), f"{ledger}: out of order from {sender}: {numbers}"
        missing = [
            number for at, sender, number in account.accepted if at == ledger and (sender, number) not in entries
        ]
        assert not missing, f"{ledger}: answered, and then lost: {missing}"
    assert sent
    # A process that stood still learns late that it is late; then only the token keeps it from writing.
    assert account.stood_still or not account.world.stale_turns, account.world.stale_turns


def test_what_must_hold_holds_under_every_seed() -> None:
    assert explore(storm, range(SEEDS)) == SEEDS


def test_without_faults_nothing_fails_and_nothing_is_lost() -> None:
    async def calm(sim: Simulation) -> None:
        account, _ = await storm(sim, faults=False, for_s=4.0)
        kept = {
            (ledger, sender, number)
            for ledger in LEDGERS
            for sender, number in account.world.rows[ledger.partition("/")[2]].entries
        }
        assert account.failed == 0
        assert {*account.told, *account.accepted} == kept
        assert not account.world.stale_turns
        assert not account.world.refused

    explore(calm, range(20))


def test_the_same_seed_gives_the_same_trace() -> None:
    first, second = (simulate(storm, seed=11)[1] for _ in range(2))
    assert first == second
    assert simulate(storm, seed=12)[1] != first
