"""Names, paths and addresses: how an actor is found."""

from __future__ import annotations

import asyncio

import pytest

from runtime.engine import Actor, NameTaken, NoSuchActor
from runtime.testkit import Simulation
from tests.runtime.engine.samples import Break, Do, Log, Parent, Say, Worker, child, simulated


@simulated
async def test_a_name_belongs_to_one_live_actor_at_a_time(sim: Simulation) -> None:
    one, two = sim.system.spawn(Worker, []), sim.system.spawn(Worker, [])
    sim.system.register("chief", one)
    sim.system.register("second name", one)
    with pytest.raises(NameTaken, match="chief"):
        sim.system.register("chief", two)
    assert sim.system.lookup("chief") is one
    one.tell(Break())
    await asyncio.sleep(1.0)
    assert sim.system.lookup("chief") is one  # also after a restart
    one.stop()
    await one.wait_stopped()
    with pytest.raises(NoSuchActor):
        sim.system.lookup("chief")
    assert sim.system.names.all() == {}
    with pytest.raises(NoSuchActor):
        sim.system.register("chief", one)
    sim.system.register("chief", two)
    assert sim.system.names.all() == {"chief": two.path}


@simulated
async def test_paths_lead_down_the_tree(sim: Simulation) -> None:
    log: Log = []
    parent = sim.system.spawn(Parent, log, "ab", name="parent")
    a = await child(sim, parent, "a")
    assert (a.path, repr(a)) == ("parent/a", "<Ref parent/a running>")
    nameless = await a.ask(Do(lambda self: self.spawn(Worker, log)))
    assert sim.system.lookup(nameless.path) is nameless
    assert await a.ask(Do(lambda self: (self.id, self.path, self.ref, self.children))) == (
        "a",
        "parent/a",
        a,
        (nameless,),
    )
    for wrong in ("", "nobody", "parent/nobody", "parent/a/nobody", "parent//a", "/parent"):
        with pytest.raises(NoSuchActor):
            sim.system.lookup(wrong)


@simulated
async def test_siblings_have_different_names_and_a_name_is_free_again(sim: Simulation) -> None:
    log: Log = []
    ref = sim.system.spawn(Worker, log, name="worker")
    with pytest.raises(NameTaken, match="worker exists"):
        sim.system.spawn(Worker, log, name="worker")
    for bad in ("", "a/b"):
        with pytest.raises(ValueError, match="slash"):
            sim.system.spawn(Worker, log, name=bad)
    ref.stop()
    await ref.wait_stopped()
    again = sim.system.spawn(Worker, log, name="worker")
    assert again is not ref
    assert await again.ask(Say("here")) == "here"
    assert not ref.tell(Say("the old ref stays dead"))


@simulated
async def test_what_a_factory_raises_comes_out_of_spawn(sim: Simulation) -> None:
    def broken() -> Actor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sim.system.spawn(broken, name="never")
    assert sim.system.statistics().actors == 0
    sim.system.spawn(Worker, [], name="never")


@simulated
async def test_an_entity_is_found_by_kind_and_id(sim: Simulation) -> None:
    sim.system.entities.define("room", lambda _: Worker([]))
    ref = sim.system.lookup("room/12")
    assert ref == sim.system.entity("room", "12")
    assert sim.system.entities.kinds == {"room": 0}  # looking does not start it
    assert sim.system.lookup("room").path == "room"
