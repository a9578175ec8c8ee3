from __future__ import annotations

import asyncio

import pytest

from models.stores import Stores
from protocols.errors import NotFound, Unavailable
from tests.models.samples import new_meeting, new_user


async def test_a_backend_answers_and_tells_its_figures(stores: Stores) -> None:
    [backend] = stores.backends
    await backend.ping()
    await stores.users.create(new_user())
    figures = backend.statistics()
    assert (figures.working, figures.waiting, figures.refused, figures.rolled_back) == (0, 0, 0, 0)
    assert figures.committed == 1
    assert figures.connections > 0


async def test_closed_stores_are_unavailable(stores: Stores) -> None:
    await stores.close()
    await stores.close()
    for late in (stores.users.by_id(1), stores.meetings.create(new_meeting()), stores.backends[0].ping()):
        with pytest.raises(Unavailable):
            await late


async def test_closing_finishes_what_is_under_way(stores: Stores) -> None:
    tries = [asyncio.create_task(stores.users.create(new_user(f"user{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    await stores.close()
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert not isinstance(ended[0], BaseException)
    assert all(isinstance(outcome, Unavailable) for outcome in ended[1:])


async def test_a_cancelled_call_leaves_all_or_nothing(stores: Stores) -> None:
    """Whatever moment the cancellation meets, a user has a credential, and the next caller is served."""
    for turns in range(40):
        name = f"user{turns}"
        task = asyncio.create_task(stores.users.create(new_user(name)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        try:
            user = await stores.users.by_username(name)
        except NotFound:
            # The name is free, so that it can be had.
            user = await stores.users.create(new_user(name))
        assert (await stores.users.credential(name)).user_id == user.id
