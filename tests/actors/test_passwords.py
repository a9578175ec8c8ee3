"""Hashing beside the loop: what matches, how many may wait, and the limit on guesses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.attempts import AttemptLimit, Attempts
from actors.passwords import HashCost, PasswordHasher
from protocols.errors import ResourceExhausted, Unavailable
from tests.actors.world import CHEAP, settles


@pytest.fixture
async def hasher() -> AsyncIterator[PasswordHasher]:
    made = PasswordHasher(threads=1, max_waiting=1, cost=CHEAP)
    yield made
    await made.close()


async def test_a_password_matches_its_hash_alone(hasher: PasswordHasher) -> None:
    stored = await hasher.hash("correct horse")
    assert await hasher.verify(stored, "correct horse")
    assert not await hasher.verify(stored, "correct horse ")
    assert not await hasher.verify("no hash at all", "correct horse")
    assert "correct horse" not in stored


async def test_two_ways_to_type_a_letter_are_one_password(hasher: PasswordHasher) -> None:
    assert await hasher.verify(await hasher.hash("cafe\u0301 noir"), "caf\u00e9 noir")
    assert not await hasher.verify(await hasher.hash("plain text"), "\ud800 is no letter")


async def test_a_hash_of_another_cost_is_outdated(hasher: PasswordHasher) -> None:
    stored = await hasher.hash("correct horse")
    assert not hasher.outdated(stored)
    dearer = PasswordHasher(threads=1, cost=HashCost(rounds=2, memory_kib=8))
    assert dearer.outdated(stored)
    await dearer.close()


async def test_past_the_queue_a_caller_is_refused_at_once(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(hasher, "_matches", lambda *_: gate.wait(10))
    callers = [asyncio.create_task(hasher.verify("stored", "typed")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted) as refused:
        await hasher.verify("stored", "typed")
    assert refused.value.retry_after_s
    assert hasher.statistics().refused == 1
    gate.set()
    assert await asyncio.gather(*callers) == [True, True]
    assert await hasher.verify("stored", "typed")


async def test_a_caller_who_gives_up_gives_the_place_back(
    hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(hasher, "_matches", lambda *_: gate.wait(10))
    working, waiting = (asyncio.create_task(hasher.verify("stored", "typed")) for _ in range(2))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    another = asyncio.create_task(hasher.verify("stored", "typed"))  # takes the place of the one that left
    await asyncio.sleep(0)
    working.cancel()
    gate.set()
    assert await another
    await settles(working.done)


async def test_closed_it_refuses() -> None:
    hasher = PasswordHasher(threads=1, cost=CHEAP)
    await hasher.close()
    with pytest.raises(Unavailable):
        await hasher.hash("correct horse")


@given(st.lists(st.floats(0, 30), max_size=30), st.integers(1, 4))
def test_no_window_has_more_failures_than_its_limit(waits: list[float], most: int) -> None:
    limit = AttemptLimit(most=most, window_s=60.0)
    attempts, now, let_through = Attempts(limit), 0.0, []
    for wait in waits:
        now += wait
        if not attempts.wait_s(now):
            attempts.failed(now)
            let_through.append(now)
    for begin in let_through:
        assert sum(begin <= at < begin + limit.window_s for at in let_through) <= most


def test_the_wait_is_until_the_oldest_failure_is_out() -> None:
    attempts = Attempts(AttemptLimit(most=2, window_s=60.0))
    attempts.failed(0.0)
    assert attempts.wait_s(1.0) == 0.0
    attempts.failed(10.0)
    assert attempts.wait_s(20.0) == 40.0
    assert attempts.wait_s(61.0) == 0.0
    assert attempts.matter(69.0)
    assert not attempts.matter(71.0)
    attempts.forget()
    assert not attempts.matter(11.0)
