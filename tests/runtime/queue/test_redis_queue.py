"""What only the queue in Redis has: the contract's lists, messages of others, scripts that get lost, hash tags."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from protocols import task_message
from protocols.errors import FailedPrecondition
from protocols.task_message import Priority
from runtime.queue.redis_keys import CLUSTER_PREFIX, key_names, prefix_for
from runtime.queue.redis_queue import RedisQueue
from runtime.queue.task_queue import Buried, Claim, Completed, Failed
from runtime.redis import RedisClients
from tests.runtime.queue.hands import PROFILE, STATUS, Hands, entry, until
from tests.runtime.redis.valkey import url
from tests.servers import Server

LISTS = ("critical_queue", "high_queue", "normal_queue", "low_queue", "processing_queue", "dead_letter_queue")
THEIRS = b"""{"payload": {"user_id": 7, "status": "busy", "more": "\xc3\xa9"}, "timestamp": "2026-01-01T13:00:00+01:00",
 "type": "user.status_change", "id": "of-others", "retry_count": 1}"""


@pytest.fixture
def hands(redis_tasks: RedisQueue) -> Hands:
    return Hands(redis_tasks)


@pytest.fixture
def redis(redis_tasks: RedisQueue) -> RedisClients:
    return redis_tasks._clients


async def lists(redis: RedisClients) -> dict[str, list[dict[str, object]]]:
    return {
        name: [msgspec.json.decode(text) for text in await redis.commands.lrange(name, 0, -1)]
        for name in LISTS
        if await redis.commands.llen(name)
    }


async def test_the_lists_have_the_contract_s_names_and_hold_the_messages(hands: Hands, redis: RedisClients) -> None:
    for priority in Priority:
        await hands.put_ids(f"{priority}", priority=priority)
    found = await lists(redis)
    assert {name: [one["id"] for one in texts] for name, texts in found.items()} == {
        f"{priority}_queue": [f"{priority}"] for priority in Priority
    }
    assert list(found["high_queue"][0]) == [field.name for field in msgspec.structs.fields(task_message.TaskMessage)]
    claims = await hands.claim(2)
    assert [one["id"] for one in (await lists(redis))["processing_queue"]] == ["high", "critical"]
    await hands.settle(Completed(claims[0]), Buried(claims[1], "no"))
    found = await lists(redis)
    assert "processing_queue" not in found
    assert [one["id"] for one in found["dead_letter_queue"]] == ["high"]


async def test_messages_of_others_are_taken_in(hands: Hands, redis: RedisClients) -> None:
    await redis.commands.lpush("normal_queue", THEIRS)
    assert await hands.claim() == []
    claim = await hands.claim_soon("of-others")
    message = task_message.decode(claim.text)
    assert message.payload.user_id == 7
    assert (message.retry_count, message.max_retries, message.visibility_timeout) == (1, 3, 30.0)


async def test_one_in_our_own_form_is_claimed_at_once(hands: Hands, redis: RedisClients) -> None:
    await redis.commands.lpush("normal_queue", entry("pushed").text)
    assert await hands.claim_ids() == ["pushed"]


async def test_an_alias_is_its_type(hands: Hands, redis: RedisClients) -> None:
    text = b'{"id":"up","type":"media.upload","timestamp":"2026-01-01T12:00:00Z","payload":{"recording_id":"r",'
    text += b'"file_path":"f","bucket":"b","object_key":"k"}}'
    ours = task_message.canonical(text).replace(b"_to_minio", b"").replace(b"up", b"in", 1)
    await redis.commands.lpush("normal_queue", text, ours)
    rooms = {"media.upload_to_minio": 5}
    claimed: list[Claim] = []

    async def both() -> bool:
        claimed.extend(await hands.claim(5, rooms))
        return len(claimed) == 2

    await until(both)
    assert {one.id for one in claimed} == {"up", "in"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no JSON",
        b"\xff\xfe\x00",
        b"[]",
        b'{"id":"a b","type":"user.status_change","timestamp":"2026-01-01T12:00:00Z","payload":{}}',
        b'{"id":"a","type":"user.status_change","timestamp":"2026-01-01T12:00:00","payload":{"user_id":1,"status":""}}',
        b'{"id":"a","type":"user.status_change","timestamp":"2026-01-01T12:00:00Z","payload":{"user_id":"one"}}',
    ],
)
async def test_what_is_no_message_is_a_dead_letter_with_its_reason(
    hands: Hands, redis: RedisClients, text: bytes
) -> None:
    await redis.commands.lpush("high_queue", text)
    await hands.put_ids("good")

    async def good() -> bool:
        return "good" in await hands.claim_ids(5)

    await until(good)
    await hands.exchange()
    [letter] = await hands.tasks.dead_letters()
    assert letter.text == text
    assert letter.reason
    assert await redis.commands.lrange("dead_letter_queue", 0, -1) == [text]
    assert (await hands.tasks.replay()).refused == (letter.id,)
    assert (await hands.tasks.drop(letter.id)).count == 1


async def test_an_unknown_type_of_others_waits_for_a_node_that_knows_it(hands: Hands, redis: RedisClients) -> None:
    await redis.commands.lpush("normal_queue", THEIRS.replace(b"user.status_change", b"user.invented"))
    await hands.claim(5)
    await hands.claim(5)
    depths = await hands.tasks.depths()
    assert (depths.waiting[Priority.NORMAL], depths.dead) == (1, 0)
    assert await hands.claim_ids(5, {"user.invented": 1}) == ["of-others"]


async def test_a_message_pushed_twice_while_it_is_at_work_is_dropped_and_counted(
    hands: Hands, redis: RedisClients
) -> None:
    await hands.put_ids("a")
    await hands.claim()
    await redis.commands.lpush("normal_queue", entry("a").text)
    assert await hands.claim(5) == []
    assert (await hands.tasks.depths()).counts["duplicate"] == 1


async def test_a_payload_may_look_like_the_head_of_a_message(hands: Hands) -> None:
    updates = {"retry_count": 5, '"retry_count":1': '"retry_count":2', 'x","type":"y': "\\"}
    payload = type(PROFILE)(user_id=1, updates=updates)
    await hands.put(entry("tricky", payload))
    [claim] = await hands.claim()
    await hands.settle(Failed(claim, "again"))
    [claim] = await hands.claim()
    message = task_message.decode(claim.text)
    assert (message.retry_count, message.payload) == (1, payload)


async def test_scripts_that_the_server_has_lost_are_sent_again(hands: Hands, redis: RedisClients) -> None:
    await hands.put_ids("a")
    await redis.commands.script_flush()
    [claim] = await hands.claim()
    await redis.commands.script_flush()
    assert await hands.settle(Completed(claim)) == ()
    await redis.commands.script_flush()
    assert (await hands.tasks.depths()).counts["done"] == 1


async def test_nothing_but_counts_is_left_of_finished_tasks(hands: Hands, redis: RedisClients) -> None:
    await hands.put_ids("a", "b")
    await hands.put(entry("p", PROFILE))
    await hands.tasks.cancel("b")
    claims = await hands.claim(5)
    await hands.tasks.note_progress([(claim, b"{}") for claim in claims])
    await hands.settle(*(Completed(claim) for claim in claims))
    left = {key for key in await redis.commands.keys("*") if not key.startswith(b"queue:reply:")}  # type: ignore[arg-type]
    assert left == {b"queue:counts", b"queue:state", b"queue:idle", b"queue:result:b"}


def test_a_cluster_needs_a_hash_tag() -> None:
    assert prefix_for("", cluster=False) == ""
    assert prefix_for("", cluster=True) == CLUSTER_PREFIX
    assert prefix_for("{mine}-", cluster=True) == "{mine}-"
    with pytest.raises(FailedPrecondition, match="hash tag"):
        prefix_for("mine:", cluster=True)
    assert key_names("{t}:")[0] == "{t}:critical_queue"
    assert key_names("")[:6] == LISTS


async def test_two_prefixes_are_two_queues(hands: Hands, server: Server) -> None:
    other = RedisQueue(RedisClients(url(server)), rng=Random(1), prefix="{other}:")
    try:
        await Hands(other).put_ids("a")
        assert await hands.claim(5) == []
        assert await Hands(other).claim_ids(5) == ["a"]
    finally:
        await other.close()


def test_the_samples_are_what_they_say() -> None:
    assert task_message.decode(entry("a").text).payload == STATUS
