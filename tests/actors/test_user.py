"""The person behind an account: refreshing, reuse of a token, logging out, status."""

from __future__ import annotations

import asyncio

import pytest

from protocols.accounts import GetUser, LoggedIn, LogOut, Refresh, SetStatus
from protocols.errors import InvalidArgument, NotFound, Unauthenticated
from protocols.events import UserStatusChanged
from protocols.tokens import TokenUse, new_refresh_token
from tests.actors.world import World, settles


async def refresh(world: World, token: str) -> LoggedIn:
    found: LoggedIn = await world.ask("user", token.partition(".")[0], Refresh(token))
    return found


async def test_a_user_is_what_was_registered(world: World) -> None:
    ada = await world.register("ada")
    assert await world.ask("user", ada.id, GetUser()) == ada


@pytest.mark.parametrize("user_id", ["99", "0", "01", "-1", "1.0", "x", "4294967296", "9" * 40, "\u0661"])
async def test_nobody_is_there_under_another_id(world: World, user_id: str) -> None:
    await world.register("ada")
    with pytest.raises(NotFound):
        await world.ask("user", user_id, GetUser())
    await settles(lambda: not world.active("user", user_id))


async def test_a_crowd_that_asks_for_nobody_is_answered_and_leaves_nothing(world: World) -> None:
    results = await asyncio.gather(*(world.ask("user", 99, GetUser()) for _ in range(50)), return_exceptions=True)
    assert {type(result) for result in results} == {NotFound}
    await settles(lambda: not world.active("user", 99))


async def test_a_refresh_token_is_traded_for_the_next(world: World) -> None:
    ada = await world.register("ada")
    first = (await world.log_in("ada")).tokens
    second = await refresh(world, first.refresh_token)
    assert second.user == ada
    now = world.clock.now().timestamp()
    identity = world.signer.verify(second.tokens.access_token, now=now, uses=frozenset({TokenUse.ACCESS}))
    assert identity.user_id == ada.id
    third = await refresh(world, second.tokens.refresh_token)
    assert len({first.refresh_token, second.tokens.refresh_token, third.tokens.refresh_token}) == 3


async def test_a_token_used_twice_ends_the_session(world: World) -> None:
    await world.register("ada")
    first = (await world.log_in("ada")).tokens
    elsewhere = (await world.log_in("ada")).tokens
    second = (await refresh(world, first.refresh_token)).tokens
    with pytest.raises(Unauthenticated, match="used before"):
        await refresh(world, first.refresh_token)
    with pytest.raises(Unauthenticated, match="ended"):
        await refresh(world, second.refresh_token)
    await refresh(world, elsewhere.refresh_token)  # another login is another session


async def test_of_two_who_present_one_token_at_once_one_gets_the_next(world: World) -> None:
    await world.register("ada")
    token = (await world.log_in("ada")).tokens.refresh_token
    results = await asyncio.gather(refresh(world, token), refresh(world, token), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["LoggedIn", "Unauthenticated"]


async def test_a_session_ends_with_its_time(world: World) -> None:
    await world.register("ada")
    token = (await world.log_in("ada")).tokens.refresh_token
    world.clock.skip(3601)
    with pytest.raises(Unauthenticated, match="expired"):
        await refresh(world, token)


async def test_logging_out_ends_the_session_and_may_be_repeated(world: World) -> None:
    ada = await world.register("ada")
    token = (await world.log_in("ada")).tokens.refresh_token
    for _ in range(2):
        assert await world.ask("user", ada.id, LogOut(token)) is None
    with pytest.raises(Unauthenticated, match="ended"):
        await refresh(world, token)


async def test_a_made_up_token_gets_nothing(world: World) -> None:
    ada = await world.register("ada")
    for token in (new_refresh_token(ada.id), new_refresh_token(99)):
        with pytest.raises(Unauthenticated):
            await refresh(world, token)
        assert await world.ask("user", token.partition(".")[0], LogOut(token)) is None


@pytest.mark.parametrize("token", ["2.abc", "no token", "", "1"])
async def test_a_token_of_somebody_else_gets_nothing(world: World, token: str) -> None:
    await world.register("ada")
    for message in (Refresh(token), LogOut(token)):
        with pytest.raises(Unauthenticated):
            await world.ask("user", 1, message)


async def test_a_status_is_set_and_told(world: World) -> None:
    ada = await world.register("ada")
    view = await world.ask("user", ada.id, SetStatus("busy"))
    assert view.status == "busy"
    assert await world.ask("user", ada.id, GetUser()) == view
    assert world.topics.of(UserStatusChanged) == [UserStatusChanged(ada.id, "offline", "busy")]


async def test_the_same_status_is_no_news(world: World) -> None:
    ada = await world.register("ada")
    for _ in range(2):
        await world.ask("user", ada.id, SetStatus("online"))
    assert len(world.topics.of(UserStatusChanged)) == 1


async def test_a_status_that_is_none_is_refused(world: World) -> None:
    ada = await world.register("ada")
    with pytest.raises(InvalidArgument) as refused:
        await world.ask("user", ada.id, SetStatus("asleep"))
    assert [fault.field for fault in refused.value.faults] == ["status"]


async def test_a_status_is_set_over_a_change_of_somebody_else(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await world.register("ada")
    users = world.stores.users
    by_id, update = type(users).by_id, type(users).update
    changed = False

    async def read_then_changed(self: object, user_id: int) -> object:
        nonlocal changed
        user = await by_id(users, user_id)
        if not changed:
            changed = True
            await update(users, user)
        return user

    monkeypatch.setattr(type(users), "by_id", read_then_changed)
    assert (await world.ask("user", ada.id, SetStatus("away"))).status == "away"
