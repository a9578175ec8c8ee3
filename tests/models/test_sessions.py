from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from models.records import RefreshSession
from models.stores import Rotation, RotationOutcome, Stores
from protocols.errors import AlreadyExists, NotFound
from tests.models.conftest import StoppedClock
from tests.models.samples import later, new_user, session, token_hash


async def log_in(stores: Stores, token: str = "first", family: str = "family-1") -> RefreshSession:
    try:
        user = await stores.users.by_username("ada")
    except NotFound:
        user = await stores.users.create(new_user("ada"))
    opened = session(user.id, token, family)
    await stores.sessions.create(opened)
    return opened


async def rotate(stores: Stores, token: str, successor: str) -> Rotation:
    return await stores.sessions.rotate(token_hash(token), token_hash(successor), later(7200))


async def test_a_token_is_traded_for_its_successor(stores: Stores, clock: StoppedClock) -> None:
    first = await log_in(stores)
    clock.advance(10)
    assert await rotate(stores, "first", "second") == Rotation(
        RotationOutcome.ROTATED,
        RefreshSession(first.family, token_hash("second"), first.user_id, clock(), later(7200)),
    )
    assert (await rotate(stores, "second", "third")).outcome is RotationOutcome.ROTATED


async def test_a_token_used_again_revokes_its_family(stores: Stores, clock: StoppedClock) -> None:
    first = await log_in(stores)
    await log_in(stores, "elsewhere", "family-2")
    await rotate(stores, "first", "second")
    assert await rotate(stores, "first", "stolen") == Rotation(RotationOutcome.REUSED, replace(first, used_at=clock()))
    assert (await rotate(stores, "second", "third")).outcome is RotationOutcome.REVOKED
    assert (await rotate(stores, "stolen", "more")).outcome is RotationOutcome.UNKNOWN
    assert (await rotate(stores, "elsewhere", "next")).outcome is RotationOutcome.ROTATED


async def test_of_two_with_one_token_one_is_served_and_the_family_ends(stores: Stores) -> None:
    await log_in(stores)
    both = await asyncio.gather(rotate(stores, "first", "mine"), rotate(stores, "first", "yours"))
    assert sorted(rotation.outcome for rotation in both) == [RotationOutcome.REUSED, RotationOutcome.ROTATED]
    after = [(await rotate(stores, token, f"{token}-next")).outcome for token in ("mine", "yours")]
    assert sorted(after) == [RotationOutcome.REVOKED, RotationOutcome.UNKNOWN]


async def test_a_token_ends_with_its_time(stores: Stores, clock: StoppedClock) -> None:
    first = await log_in(stores)
    clock.advance(3600)
    assert await rotate(stores, "first", "second") == Rotation(RotationOutcome.EXPIRED, first)


async def test_an_unknown_token_has_no_session(stores: Stores) -> None:
    assert await rotate(stores, "guess", "next") == Rotation(RotationOutcome.UNKNOWN, None)


async def test_logging_out_ends_the_family(stores: Stores) -> None:
    await log_in(stores)
    await rotate(stores, "first", "second")
    assert await stores.sessions.revoke(token_hash("first"))
    assert not await stores.sessions.revoke(token_hash("second"))
    assert not await stores.sessions.revoke(token_hash("guess"))
    assert (await rotate(stores, "second", "third")).outcome is RotationOutcome.REVOKED


async def test_every_session_of_a_user_ends(stores: Stores) -> None:
    first = await log_in(stores)
    await rotate(stores, "first", "second")
    await log_in(stores, "elsewhere", "family-2")
    assert await stores.sessions.revoke_user(first.user_id) == 2
    assert await stores.sessions.revoke_user(first.user_id) == 0
    assert (await rotate(stores, "elsewhere", "next")).outcome is RotationOutcome.REVOKED


async def test_a_session_needs_a_user_and_a_new_token(stores: Stores) -> None:
    first = await log_in(stores)
    with pytest.raises(AlreadyExists):
        await stores.sessions.create(first)
    with pytest.raises(NotFound):
        await stores.sessions.create(session(first.user_id + 1, "other"))


async def test_a_successor_that_is_taken_changes_nothing(stores: Stores) -> None:
    await log_in(stores)
    await log_in(stores, "elsewhere", "family-2")
    with pytest.raises(AlreadyExists):
        await rotate(stores, "first", "elsewhere")
    assert (await rotate(stores, "first", "second")).outcome is RotationOutcome.ROTATED
