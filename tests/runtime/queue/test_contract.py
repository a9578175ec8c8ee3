"""What every queue promises: order, priorities, leases, fencing, retries, repeated calls, and bounds."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from protocols.errors import NotFound
from protocols.task_message import Priority
from runtime.queue import Cancellation, State, TaskQueue
from runtime.queue.task_queue import (
    Buried,
    Cancelled,
    Completed,
    Exchange,
    Failed,
    GivenBack,
    Intake,
    Lease,
    Settlement,
)
from tests.runtime.queue.conftest import LIMITS
from tests.runtime.queue.hands import LOGIN, PROFILE, ROOMS, Hands, entry, until


async def test_first_in_is_first_out(hands: Hands) -> None:
    await hands.put_ids("a", "b")
    await hands.put_ids("c")
    assert await hands.claim_ids(2) == ["a", "b"]
    assert await hands.claim_ids(2) == ["c"]
    assert await hands.claim_ids(2) == []


async def test_higher_priorities_come_first(hands: Hands) -> None:
    for priority in reversed(Priority):
        await hands.put_ids(f"{priority}-1", f"{priority}-2", priority=priority)
    assert await hands.claim_ids(8) == [f"{priority}-{n}" for priority in Priority for n in (1, 2)]


@pytest.mark.parametrize("batch", [1, 3, 16, 50])
async def test_no_priority_starves(hands: Hands, batch: int) -> None:
    for priority in Priority:
        await hands.put_ids(*(f"{priority}-{n}" for n in range(200)), priority=priority)
    claimed: list[str] = []
    while len(claimed) < 96:
        claimed += await hands.claim_ids(batch)
    shares = {priority: sum(one.startswith(priority) for one in claimed) for priority in Priority}
    turns = len(claimed) // LIMITS.own_slot_every
    assert all(shares[priority] >= turns for priority in Priority)
    assert shares[Priority.CRITICAL] >= len(claimed) * 3 // 4


async def test_a_completed_task_is_gone(hands: Hands) -> None:
    await hands.put_ids("a")
    [claim] = await hands.claim()
    assert await hands.settle(Completed(claim)) == ()
    depths = await hands.tasks.depths()
    assert (depths.processing, sum(depths.waiting.values()), depths.counts["done"]) == (0, 0, 1)
    with pytest.raises(NotFound):
        await hands.tasks.status("a")


async def test_a_result_can_be_read_for_a_while(hands: Hands) -> None:
    await hands.put_ids("a")
    [claim] = await hands.claim()
    await hands.settle(Completed(claim, b'{"text":"hello"}', 0.3))
    status = await hands.tasks.status("a")
    assert (status.state, status.result) == (State.DONE, b'{"text":"hello"}')

    async def forgotten() -> bool:
        try:
            await hands.tasks.status("a")
        except NotFound:
            return True
        return False

    await until(forgotten)


async def test_states_and_progress_can_be_read(hands: Hands) -> None:
    await hands.put(entry("a"), entry("later", delay_s=60))
    assert (await hands.tasks.status("a")).state is State.WAITING
    assert (await hands.tasks.status("later")).state is State.DELAYED
    [claim] = await hands.claim()
    assert (await hands.tasks.status("a")).state is State.RUNNING
    await hands.tasks.note_progress([(claim, b'{"fraction":0.5}')])
    assert (await hands.tasks.status("a")).progress == b'{"fraction":0.5}'
    await hands.settle(Failed(claim, "broken"))
    assert (await hands.tasks.status("a")).progress is None


async def test_a_failed_task_is_retried_and_then_dead(hands: Hands) -> None:
    await hands.put_ids("a", max_retries=2)
    for attempt in range(3):
        [claim] = await hands.claim()
        assert hands.retries(claim) == attempt
        await hands.settle(Failed(claim, f"broken {attempt}"))
    assert await hands.claim() == []
    status = await hands.tasks.status("a")
    assert (status.state, status.reason) == (State.DEAD, "broken 2")
    letter = await hands.tasks.dead_letter("a")
    assert b'"retry_count":2' in letter.text


async def test_a_retry_may_be_delayed(hands: Hands) -> None:
    await hands.put_ids("a")
    [claim] = await hands.claim()
    await hands.settle(Failed(claim, "broken", delay_s=0.2))
    assert await hands.claim() == []
    assert (await hands.tasks.depths()).delayed == 1
    assert hands.retries(await hands.claim_soon("a")) == 1


async def test_delayed_tasks_wait_for_their_time(hands: Hands) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    await hands.put(entry("at", due=soon), entry("never", delay_s=600), entry("past", due=soon - timedelta(days=1)))
    answer = await hands.exchange(batch=5)
    assert [claim.id for claim in answer.claims] == ["past"]
    assert answer.due_in_s is not None
    assert answer.due_in_s <= 0.3
    await hands.claim_soon("at")


async def test_dead_at_once_when_trying_again_is_of_no_use(hands: Hands) -> None:
    await hands.put_ids("a")
    [claim] = await hands.claim()
    await hands.settle(Buried(claim, "no such recording"))
    assert (await hands.tasks.dead_letter("a")).reason == "no such recording"


async def test_what_is_given_back_is_next_and_has_lost_no_attempt(hands: Hands) -> None:
    await hands.put_ids("a", "b")
    [claim] = await hands.claim()
    await hands.settle(GivenBack(claim))
    [again, other] = await hands.claim(2)
    assert (again.id, other.id, hands.retries(again)) == ("a", "b", 0)
    assert again.fence > claim.fence


async def test_a_lapsed_lease_brings_the_task_back(hands: Hands) -> None:
    await hands.put_ids("a", visibility_s=0.2)
    assert await hands.claim_ids() == ["a"]
    assert await hands.claim() == []
    again = await hands.claim_soon("a", within_s=1.2)
    assert hands.retries(again) == 1
    assert (await hands.tasks.depths()).counts["reaped"] == 1


@pytest.mark.parametrize(
    "late", [Completed, GivenBack, Cancelled, lambda claim: Failed(claim, "x"), lambda claim: Buried(claim, "x")]
)
async def test_an_old_claim_settles_nothing(hands: Hands, late: type[Completed]) -> None:
    await hands.put_ids("a", visibility_s=0.1)
    [old] = await hands.claim()
    new = await hands.claim_soon("a")
    settlement: Settlement = late(old)
    assert await hands.settle(settlement) == ("a",)
    assert (await hands.tasks.status("a")).state is State.RUNNING
    assert await hands.settle(Completed(new)) == ()
    assert await hands.settle(Completed(new)) == ("a",)


async def test_one_claim_settled_twice_in_one_call_counts_once(hands: Hands) -> None:
    await hands.put_ids("a")
    [claim] = await hands.claim()
    assert await hands.settle(Failed(claim, "first"), Failed(claim, "second")) == ("a",)
    [again] = await hands.claim()
    assert hands.retries(again) == 1


async def test_a_worker_that_dies_too_often_leaves_a_dead_letter(hands: Hands) -> None:
    await hands.put_ids("poison", visibility_s=0.05, max_retries=1)
    await hands.claim()
    await hands.claim_soon("poison")

    async def dead() -> bool:
        await hands.claim()
        return (await hands.tasks.depths()).dead == 1

    await until(dead)
    assert "lease" in (await hands.tasks.dead_letter("poison")).reason


async def test_renewing_keeps_a_lease_and_tells_what_is_lost_or_cancelled(hands: Hands) -> None:
    await hands.put_ids("kept", "lost", "unwanted", visibility_s=0.3)
    kept, lost, unwanted = await hands.claim(3)
    await hands.settle(GivenBack(lost))
    assert await hands.tasks.cancel("unwanted") is Cancellation.CANCELLING
    renewal = await hands.renew([Lease(one.id, one.fence, 30) for one in (kept, lost, unwanted)])
    assert (renewal.lost, renewal.cancelled) == (("lost",), ("unwanted",))
    answer = await hands.exchange(batch=5)
    assert [one.id for one in answer.claims] == ["lost"]
    await hands.settle(Completed(answer.claims[0]))
    later = await hands.exchange()
    assert later.due_in_s is not None
    assert later.due_in_s > 20


async def test_a_waiting_task_can_be_cancelled(hands: Hands) -> None:
    await hands.put(entry("a"), entry("b"), entry("later", delay_s=0.05))
    assert await hands.tasks.cancel("a") is Cancellation.CANCELLED
    assert await hands.tasks.cancel("later") is Cancellation.CANCELLED
    assert (await hands.tasks.status("a")).state is State.CANCELLED
    assert await hands.claim_ids(5) == ["b"]
    for unknown in ("a", "nobody"):
        with pytest.raises(NotFound):
            await hands.tasks.cancel(unknown)


@pytest.mark.parametrize("end", [Cancelled, GivenBack, lambda claim: Failed(claim, "stopped")])
async def test_a_running_task_that_is_cancelled_does_not_come_again(hands: Hands, end: type[Cancelled]) -> None:
    await hands.put_ids("a")
    [claim] = await hands.claim()
    await hands.tasks.cancel("a")
    await hands.settle(end(claim))
    assert (await hands.tasks.status("a")).state is State.CANCELLED
    assert await hands.claim() == []


async def test_a_cancelled_task_does_not_come_back_from_a_dead_worker(hands: Hands) -> None:
    await hands.put_ids("a", visibility_s=0.05)
    await hands.claim()
    await hands.tasks.cancel("a")

    async def over() -> bool:
        assert await hands.claim() == []
        return (await hands.tasks.status("a")).state is State.CANCELLED

    await until(over)


async def test_what_was_done_before_the_cancellation_came_is_done(hands: Hands) -> None:
    await hands.put_ids("a")
    [claim] = await hands.claim()
    await hands.tasks.cancel("a")
    await hands.settle(Completed(claim, b"1", 60))
    assert (await hands.tasks.status("a")).state is State.DONE


async def test_an_idempotency_key_takes_one_task(hands: Hands) -> None:
    assert await hands.put(entry("a", key="once"), entry("b", key="once")) == ("a", "a")
    assert await hands.put(entry("c", key="once"), entry("d", key="other")) == ("a", "d")
    assert await hands.claim_ids(5) == ["a", "d"]


async def test_one_id_is_taken_in_once(hands: Hands) -> None:
    await hands.put_ids("a")
    await hands.put_ids("a")
    assert await hands.claim_ids(5) == ["a"]


async def test_a_repeated_intake_is_answered_again_and_takes_nothing_twice(tasks: TaskQueue) -> None:
    hands = Hands(tasks)
    intake = Intake("p", 7, (entry("a"), entry("b", key="k"), entry("c", key="k")))
    first = await tasks.take_in(intake)
    for claim in await hands.claim(5):
        await hands.settle(Completed(claim))
    assert await tasks.take_in(intake) == first == ("a", "b", "b")
    assert await hands.claim(5) == []


async def test_a_repeated_exchange_gives_the_same_claims_again(tasks: TaskQueue) -> None:
    hands = Hands(tasks)
    await hands.put_ids("a", "b", "c")
    [done] = await hands.claim()
    exchange = Exchange("w", 1, (Completed(done),), 2, ROOMS)
    first = await tasks.exchange(exchange)
    again = await tasks.exchange(exchange)
    assert again.claims == first.claims
    assert again.refused == ()
    assert (await tasks.depths()).counts["done"] == 1


async def test_a_repeated_exchange_gives_nothing_that_another_has_by_now(tasks: TaskQueue) -> None:
    hands = Hands(tasks)
    await hands.put_ids("a", visibility_s=0.05)
    exchange = Exchange("w", 1, (), 1, ROOMS)
    await tasks.exchange(exchange)
    await hands.claim_soon("a")
    assert (await tasks.exchange(exchange)).claims == ()


async def test_only_types_with_room_are_claimed_and_the_rest_blocks_nobody(hands: Hands) -> None:
    await hands.put(*(entry(f"s{n}") for n in range(30)), entry("p1", PROFILE), entry("s30"), entry("p2", PROFILE))
    assert await hands.claim_ids(10, {"user.profile_update": 10}) == ["p1", "p2"]
    assert await hands.claim_ids(10, {"user.profile_update": 10}) == []
    assert (await hands.tasks.depths()).waiting[Priority.NORMAL] == 31
    assert await hands.claim_ids(100, {"user.status_change": 20}) == [f"s{n}" for n in range(20)]
    await hands.put_ids("s31")
    assert await hands.claim_ids(100, {"user.status_change": 20}) == [f"s{n}" for n in range(20, 32)]


async def test_a_type_without_a_handler_waits_for_one(hands: Hands) -> None:
    await hands.put(entry("login", LOGIN), entry("status"))
    assert await hands.claim_ids(5, {"user.status_change": 5}) == ["status"]
    assert (await hands.tasks.depths()).waiting[Priority.LOW] == 1
    assert await hands.claim_ids(5, {"user.login": 5}) == ["login"]


async def test_a_full_list_refuses_and_the_others_do_not(hands: Hands) -> None:
    ids = [f"a{n}" for n in range(LIMITS.waiting + 1)]
    answers: list[str | None] = []
    for i in range(0, len(ids), 500):
        answers += await hands.put(*(entry(one) for one in ids[i : i + 500]))
    assert answers == [*ids[:-1], None]
    assert await hands.put(entry("key", key="k"), entry("high", priority=Priority.HIGH)) == (None, "high")
    [claim] = await hands.claim()
    assert claim.id == "high"
    await hands.claim(5)
    assert await hands.put(entry("now", key="k")) == ("now",)


async def test_dead_letters_are_listed_shown_replayed_and_dropped(hands: Hands) -> None:
    await hands.put_ids("a", "b", "c", max_retries=1)
    for _ in range(2):
        for claim in await hands.claim(5):
            await hands.settle(Failed(claim, f"no {claim.id}"))
    tasks = hands.tasks
    assert [letter.id for letter in await tasks.dead_letters()] == ["c", "b", "a"]
    assert [letter.id for letter in await tasks.dead_letters(offset=1, limit=1)] == ["b"]
    assert (await tasks.dead_letter("b")).reason == "no b"
    assert (await tasks.drop("a")).count == 1
    assert (await tasks.replay("b")).count == 1
    [claim] = await hands.claim(5)
    assert (claim.id, hands.retries(claim)) == ("b", 0)
    for act in (tasks.dead_letter, tasks.replay, tasks.drop):
        with pytest.raises(NotFound):
            await act("a")
    assert (await tasks.replay()).count == 1
    assert (await tasks.depths()).dead == 0


async def test_a_dead_task_is_not_replayed_while_its_id_is_alive(hands: Hands) -> None:
    await hands.put_ids("a")
    [claim] = await hands.claim()
    await hands.settle(Buried(claim, "no"))
    await hands.put_ids("a")
    assert (await hands.tasks.replay()).refused == ("a",)
    assert (await hands.tasks.replay("a")).refused == ("a",)
    assert (await hands.tasks.drop()).count == 1


async def test_all_dead_letters_are_moved_however_many(hands: Hands) -> None:
    ids = [f"a{n}" for n in range(LIMITS.dead + 20)]
    await hands.put_ids(*ids)
    await hands.settle(*(Buried(claim, "no") for claim in await hands.claim(len(ids))))
    depths = await hands.tasks.depths()
    assert (depths.dead, depths.counts["dead_dropped"]) == (LIMITS.dead, 20)
    assert (await hands.tasks.replay()).count == LIMITS.dead
    assert await hands.claim_ids(3) == ids[20:23]


async def test_waiting_workers_are_woken(tasks: TaskQueue) -> None:
    woken, cancelled = asyncio.Event(), list[str]()
    listening = asyncio.create_task(tasks.listen(woken.set, cancelled.append))
    hands = Hands(tasks)
    try:
        # The beginning of a subscription counts as a wake: something may have come before it.
        await asyncio.sleep(0.1)
        woken.clear()
        assert await hands.claim() == []
        await hands.put_ids("a")
        await asyncio.wait_for(woken.wait(), 5)
        await hands.claim()
        await tasks.cancel("a")

        async def told() -> bool:
            return cancelled == ["a"]

        await until(told)
    finally:
        listening.cancel()
        await asyncio.wait([listening])
