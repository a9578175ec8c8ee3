"""Registering and logging in, the races of both included."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from actors.passwords import HashCost, PasswordHasher
from models.records import Credential
from protocols.accounts import LogIn, Register, UserView
from protocols.errors import (
    AlreadyExists,
    InvalidArgument,
    ParleyError,
    ResourceExhausted,
    Unauthenticated,
)
from protocols.events import UserLoggedIn, UserRegistered
from protocols.tokens import TokenUse
from runtime.engine import HandlerFailed
from tests.actors.world import PASSWORD, World


async def test_registering_makes_a_user_and_tells_it(world: World) -> None:
    view = await world.ask("account", "ada", Register("Ada", "ada@example.org", PASSWORD, "Ada Lovelace"))
    assert isinstance(view, UserView)
    assert (view.username, view.email, view.full_name, view.role) == ("Ada", "ada@example.org", "Ada Lovelace", "user")
    assert world.topics.events == [UserRegistered(view.id, "Ada", "ada@example.org", view.created_at)]
    assert (await world.stores.users.by_username("ADA")).id == view.id


@pytest.mark.parametrize(
    ("username", "email", "password", "field"),
    [
        ("al", "al@example.org", PASSWORD, "username"),
        ("a" * 33, "a@example.org", PASSWORD, "username"),
        ("ada lovelace", "a@example.org", PASSWORD, "username"),
        ("ada", "nowhere", PASSWORD, "email"),
        ("ada", "ada@example.org", "short", "password"),
        ("ada", "ada@example.org", "x" * 129, "password"),
        ("adalovelace", "ada@example.org", "AdaLovelace", "password"),
    ],
)
async def test_what_does_not_fit_is_refused_by_field(
    world: World, username: str, email: str, password: str, field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await world.ask("account", username.casefold(), Register(username, email, password))
    assert [fault.field for fault in refused.value.faults] == [field]
    assert world.topics.events == []


async def test_every_fault_is_named_at_once(world: World) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await world.ask("account", "a", Register("a", "b", "c"))
    assert {fault.field for fault in refused.value.faults} == {"username", "email", "password"}


async def test_a_name_is_taken_however_it_is_written(world: World) -> None:
    await world.register("ada")
    with pytest.raises(AlreadyExists) as refused:
        await world.ask("account", "ada", Register("ADA", "other@example.org", PASSWORD))
    assert [fault.field for fault in refused.value.faults] == ["username"]


async def test_an_address_is_taken(world: World) -> None:
    await world.register("ada")
    with pytest.raises(AlreadyExists) as refused:
        await world.ask("account", "bob", Register("bob", "ADA@example.org", PASSWORD))
    assert [fault.field for fault in refused.value.faults] == ["email"]


async def test_of_many_who_register_one_name_at_once_one_gets_it(world: World) -> None:
    asks = [
        world.ask("account", "ada", Register(name, f"{number}@example.org", PASSWORD))
        for number, name in enumerate(["ada", "Ada", "ADA", "aDa"])
    ]
    results = await asyncio.gather(*asks, return_exceptions=True)
    assert sum(isinstance(result, UserView) for result in results) == 1
    assert sum(isinstance(result, AlreadyExists) for result in results) == 3
    assert len(world.topics.of(UserRegistered)) == 1


async def test_of_two_names_with_one_address_at_once_one_gets_it(world: World) -> None:
    asks = [world.ask("account", name, Register(name, "one@example.org", PASSWORD)) for name in ("ada", "bob")]
    results = await asyncio.gather(*asks, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["AlreadyExists", "UserView"]


async def test_a_message_for_another_account_is_refused(world: World) -> None:
    for message in (Register("bob", "bob@example.org", PASSWORD), LogIn("bob", PASSWORD)):
        with pytest.raises(InvalidArgument):
            await world.ask("account", "ada", message)


async def test_the_account_stands_when_nobody_could_be_told(world: World) -> None:
    world.topics.away = True
    view = await world.register("ada")
    world.topics.away = False
    assert (await world.log_in("ada")).user.id == view.id


async def test_logging_in_gives_tokens_and_tells_it(world: World) -> None:
    ada = await world.register("ada")
    found = await world.log_in("Ada")
    now = world.clock.now().timestamp()
    identity = world.signer.verify(found.tokens.access_token, now=now, uses=frozenset({TokenUse.ACCESS}))
    assert (identity.user_id, identity.username, identity.role) == (ada.id, "ada", "user")
    assert found.user == ada
    assert found.tokens.expires_in_s == 60
    [event] = world.topics.of(UserLoggedIn)
    assert (event.user_id, event.username, event.ip_address) == (ada.id, "ada", "192.0.2.1")


async def test_each_login_is_a_session_of_its_own(world: World) -> None:
    await world.register("ada")
    first, second = await asyncio.gather(world.log_in("ada"), world.log_in("ada"))
    assert first.tokens.refresh_token != second.tokens.refresh_token


async def test_a_wrong_name_and_a_wrong_password_look_the_same(world: World) -> None:
    await world.register("ada")
    said = []
    for name in ("ada", "nobody"):
        with pytest.raises(Unauthenticated) as refused:
            await world.log_in(name, "wrong horse")
        said.append((refused.value.detail, refused.value.faults, refused.value.retry_after_s))
    assert said[0] == said[1]


async def test_a_missing_account_costs_the_same_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.register("ada")
    costs: list[str] = []
    inner = world.hasher._matches

    def counted(stored: str, password: str) -> bool:
        costs.append(stored.rpartition("$")[0].rpartition("$")[0])  # the parameters, without salt and hash
        return inner(stored, password)

    monkeypatch.setattr(world.hasher, "_matches", counted)
    for name in ("ada", "nobody"):
        with pytest.raises(Unauthenticated):
            await world.log_in(name, "wrong horse")
    assert len(costs) == 2
    assert costs[0] == costs[1]


@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_guessing_is_stopped_for_a_while(world: World, name: str) -> None:
    await world.register("ada")
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await world.log_in(name, "wrong horse")
    with pytest.raises(ResourceExhausted) as refused:
        await world.log_in(name, PASSWORD)
    assert 0 < (refused.value.retry_after_s or 0) <= 60
    world.clock.skip(61)
    if name == "ada":
        await world.log_in(name)
    else:
        with pytest.raises(Unauthenticated):
            await world.log_in(name)


async def test_guesses_sent_all_at_once_are_no_way_around(world: World) -> None:
    await world.register("ada")
    results = await asyncio.gather(
        *(world.log_in("ada", f"guess number {number}") for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(result, Unauthenticated) for result in results) == 3
    assert sum(isinstance(result, ResourceExhausted) for result in results) == 7


async def test_the_right_password_clears_the_count(world: World) -> None:
    await world.register("ada")
    for _ in range(3):
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                await world.log_in("ada", "wrong horse")
        await world.log_in("ada")


async def test_an_account_does_not_rest_while_it_counts(world: World) -> None:
    with pytest.raises(Unauthenticated):
        await world.log_in("nobody")
    cell = world.system.entities.active("account", "nobody")
    assert cell is not None
    assert not cell.actor.may_rest()
    world.clock.skip(61)
    assert cell.actor.may_rest()


async def test_an_old_hash_is_made_anew_at_login(world: World) -> None:
    ada = await world.register("ada")
    cheaper = PasswordHasher(threads=1, cost=HashCost(rounds=2, memory_kib=16))
    await world.stores.users.set_credential(Credential(ada.id, await cheaper.hash(PASSWORD)))
    await cheaper.close()
    await world.log_in("ada")
    stored = (await world.stores.users.credential("ada")).password_hash
    assert not world.hasher.outdated(stored)
    await world.log_in("ada")


async def test_a_failed_account_comes_back_with_what_is_stored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.register("ada")
    credential = type(world.stores.users).credential

    async def broken(*_: object) -> Credential:
        raise RuntimeError("a defect")

    monkeypatch.setattr(type(world.stores.users), "credential", broken)
    with pytest.raises(HandlerFailed):
        await world.log_in("ada")
    monkeypatch.setattr(type(world.stores.users), "credential", credential)
    assert (await world.log_in("ada")).user.username == "ada"
    cell = world.system.entities.active("account", "ada")
    assert cell is not None
    assert world.system.statistics_of(cell).restarts == 1


def test_secrets_are_not_shown() -> None:
    for message in (Register("ada", "a@example.org", "hunter2hunter2"), LogIn("ada", "hunter2hunter2")):
        assert dataclasses.is_dataclass(message)
        assert "hunter2" not in repr(message)
    assert issubclass(Unauthenticated, ParleyError)
