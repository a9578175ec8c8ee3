from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from models.records import Credential, NewUser, User, UserRole, UserStatus, folded
from models.stores import Stores
from protocols.errors import Aborted, AlreadyExists, InvalidArgument, NotFound
from tests.models import samples
from tests.models.conftest import StoppedClock
from tests.models.samples import new_user

_serial = itertools.count()


async def test_a_user_is_found_by_every_key(stores: Stores, clock: StoppedClock) -> None:
    made = await stores.users.create(new_user("Ada", "Ada@Example.org"))
    assert made == User(
        made.id, "Ada", "Ada@Example.org", "Ada Lovelace", UserStatus.OFFLINE, UserRole.USER, clock(), version=1
    )
    assert await stores.users.by_id(made.id) == made
    assert await stores.users.by_username("ADA") == made
    assert await stores.users.by_email("ada@example.ORG") == made
    assert await stores.users.credential("ada") == Credential(made.id, "$argon2id$ada")


@pytest.mark.parametrize("user_id", [0, 999, 2**32 - 1])
async def test_who_is_not_there_is_not_found(stores: Stores, user_id: int) -> None:
    for lookup in (
        stores.users.by_id(user_id),
        stores.users.by_username("nobody"),
        stores.users.by_email("nobody@example.org"),
        stores.users.credential("nobody"),
        stores.users.set_credential(Credential(999, "hash")),
    ):
        with pytest.raises(NotFound):
            await lookup


async def test_a_key_that_no_row_can_hold_is_out_of_bounds(stores: Stores) -> None:
    for lookup in (stores.users.by_id(2**64), stores.users.by_ids([2**64]), stores.users.by_username("\ud800")):
        with pytest.raises(InvalidArgument):
            await lookup


@pytest.mark.parametrize(
    ("second", "field"),
    [(new_user("ADA", "other@example.org"), "username"), (new_user("other", "ADA@example.org"), "email")],
)
async def test_what_is_taken_is_named(stores: Stores, second: NewUser, field: str) -> None:
    await stores.users.create(new_user("ada"))
    with pytest.raises(AlreadyExists) as caught:
        await stores.users.create(second)
    assert [fault.field for fault in caught.value.faults] == [field]
    with pytest.raises(NotFound):
        await stores.users.credential("other")


async def test_of_two_who_take_a_name_at_once_one_gets_it(stores: Stores) -> None:
    tries = [stores.users.create(new_user("ada", f"ada{n}@example.org")) for n in range(5)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    [made] = [outcome for outcome in ended if isinstance(outcome, User)]
    assert all(isinstance(outcome, AlreadyExists) for outcome in ended if outcome is not made)
    assert await stores.users.by_username("ada") == made


async def test_many_users_come_in_order_and_once(stores: Stores) -> None:
    made = [await stores.users.create(new_user(f"user{n}")) for n in range(4)]
    wanted = [made[2].id, made[0].id, made[2].id, 4_000_000_000]
    assert await stores.users.by_ids(wanted) == (made[0], made[2])
    assert await stores.users.by_ids([]) == ()
    with pytest.raises(InvalidArgument):
        await stores.users.by_ids(range(1, 1002))


async def test_an_update_makes_the_next_version(stores: Stores, clock: StoppedClock) -> None:
    made = await stores.users.create(new_user("ada"))
    clock.advance(60)
    wanted = replace(made, username="lady.ada", full_name="Countess", status=UserStatus.BUSY, role=UserRole.ADMIN)
    assert await stores.users.update(wanted) == replace(wanted, version=2)
    assert await stores.users.by_username("Lady.Ada") == replace(wanted, version=2)
    with pytest.raises(NotFound):
        await stores.users.by_username("ada")


async def test_an_update_of_an_old_version_is_aborted(stores: Stores) -> None:
    made = await stores.users.create(new_user("ada"))
    changes = [stores.users.update(replace(made, full_name=f"Ada {n}")) for n in range(3)]
    ended = await asyncio.gather(*changes, return_exceptions=True)
    [won] = [outcome for outcome in ended if isinstance(outcome, User)]
    assert [type(outcome) for outcome in ended if outcome is not won] == [Aborted, Aborted]
    assert await stores.users.by_id(made.id) == won
    with pytest.raises(NotFound):
        await stores.users.update(replace(made, id=made.id + 1))


async def test_an_update_cannot_take_what_another_has(stores: Stores) -> None:
    await stores.users.create(new_user("ada"))
    grace = await stores.users.create(new_user("grace"))
    with pytest.raises(AlreadyExists) as caught:
        await stores.users.update(replace(grace, email="ADA@example.org"))
    assert [fault.field for fault in caught.value.faults] == ["email"]
    assert await stores.users.by_id(grace.id) == grace


async def test_a_password_is_changed(stores: Stores) -> None:
    made = await stores.users.create(new_user("ada"))
    await stores.users.set_credential(Credential(made.id, "$argon2id$new"))
    assert await stores.users.credential("ada") == Credential(made.id, "$argon2id$new")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=samples.new_users)
async def test_any_user_round_trips(stores: Stores, drawn: NewUser) -> None:
    number = next(_serial)
    new = replace(drawn, username=f"{drawn.username[:20]}.{number}", email=f"{number}{drawn.email}"[:254])
    made = await stores.users.create(new)
    assert (made.username, made.email, made.full_name, made.role) == (new.username, new.email, new.full_name, new.role)
    assert await stores.users.by_id(made.id) == made
    assert await stores.users.credential(folded(new.username)) == Credential(made.id, new.password_hash)
