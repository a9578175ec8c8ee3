"""The shard: requests handed on, answers handed back, and what it says when it has no workers."""

from __future__ import annotations

import asyncio
import errno
import random
import sys
from pathlib import Path

import pytest

from actors.shard import OPTIONS, Shard, ShardDeps
from inference.broker import Broker, BrokerSettings, InferenceResult
from protocols.ai import GetShard, InferenceDone, RunInference, ShardView
from protocols.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable, Unimplemented
from protocols.inference import AudioParams, Blob, ModelState
from protocols.messages import decode, encode
from runtime.engine import AskTimeout, Ref
from tests.actors.brokers import SPOKEN, FakeBroker
from tests.actors.world import World, settles

ECHO = (sys.executable, "-m", "tests.inference.echo_worker")
CLIP = RunInference(b"pcm", AudioParams("pcm", 16_000, 1, "en"))


def shard(world: World, broker: FakeBroker) -> Ref:
    world.system.entities.define(
        "shard", lambda task: Shard(task, ShardDeps(lambda: broker)), options=OPTIONS, rest_after_s=None
    )
    return world.ref("shard", "speech_recognition")


async def test_a_request_goes_through(bare_world: World) -> None:
    broker = FakeBroker()
    done = await shard(bare_world, broker).ask(CLIP, 3.0)
    assert done == InferenceDone(SPOKEN, 1.0, 2.0)
    [request] = broker.requests
    assert (request.task, request.payload, request.params, request.model) == (
        "speech_recognition",
        (b"pcm",),
        CLIP.params,
        "",
    )
    assert 0 < request.timeout_s <= 3.0


async def test_it_never_waits_for_one_request_to_take_the_next(bare_world: World) -> None:
    broker = FakeBroker()
    broker.answer = None
    ref = shard(bare_world, broker)
    asks = [ref.ask(CLIP, 5.0) for _ in range(3)]
    await settles(lambda: len(broker.waiting) == 3)
    assert isinstance(await ref.ask(GetShard()), ShardView)
    for number in (2, 0, 1):
        broker.waiting[number].set_result(InferenceResult(SPOKEN, float(number), 0.0))
    assert [done.queue_ms for done in await asyncio.gather(*asks)] == [0.0, 1.0, 2.0]


async def test_a_refusal_of_the_broker_is_the_answer(bare_world: World) -> None:
    broker = FakeBroker()
    broker.answer = lambda _: ResourceExhausted("full", retry_after_s=2.5)
    with pytest.raises(ResourceExhausted) as refused:
        await shard(bare_world, broker).ask(CLIP)
    assert refused.value.retry_after_s == 2.5


async def test_who_gives_up_withdraws_the_request(bare_world: World) -> None:
    broker = FakeBroker()
    broker.answer = None
    ref = shard(bare_world, broker)
    asked = asyncio.ensure_future(ref.ask(CLIP, 5.0))
    await settles(lambda: len(broker.waiting) == 1)
    asked.cancel()
    await settles(broker.waiting[0].cancelled)
    with pytest.raises(AskTimeout):
        await ref.ask(CLIP, 0.02)
    await settles(broker.waiting[1].cancelled)


async def test_a_broker_that_drops_a_request_is_said_so(bare_world: World) -> None:
    broker = FakeBroker()
    broker.answer = None
    asked = shard(bare_world, broker).ask(CLIP, 5.0)
    await settles(lambda: len(broker.waiting) == 1)
    broker.waiting[0].cancel()
    with pytest.raises(Unavailable):
        await asked


async def test_what_is_told_is_not_run(bare_world: World) -> None:
    broker = FakeBroker()
    ref = shard(bare_world, broker)
    ref.tell(CLIP)
    await ref.ask(GetShard())
    assert broker.requests == []
    assert [type(letter.message) for letter in bare_world.system.dead_letters.latest] == [RunInference]


async def test_a_node_without_models_says_how_to_get_them(bare_world: World) -> None:
    broker = FakeBroker(FailedPrecondition("there is no model here"))
    ref = shard(bare_world, broker)
    for _ in range(2):
        with pytest.raises(Unimplemented, match="python -m inference"):
            await ref.ask(CLIP)
    view = await ref.ask(GetShard())
    assert not view.ready
    assert "there is no model here" in view.detail
    assert broker.stops == 1
    assert bare_world.system.statistics_of(ref).failures == 0


async def test_a_machine_that_cannot_start_workers_is_unavailable(bare_world: World) -> None:
    ref = shard(bare_world, FakeBroker(OSError(errno.EMFILE, "Too many open files")))
    with pytest.raises(Unavailable, match="Too many open files"):
        await ref.ask(CLIP)


async def test_what_it_says_of_itself(bare_world: World) -> None:
    broker = FakeBroker()
    ref = shard(bare_world, broker)
    view: ShardView = await ref.ask(GetShard())
    assert view == ShardView("speech_recognition", True, "moonshine-tiny-en 1, silero-vad 6", 1, 2, 1)
    broker.tasks = ()
    assert (await ref.ask(GetShard())).detail == "no worker is ready yet"
    broker.models = (ModelState("moonshine-tiny-en", error="get it"), ModelState("silero-vad", "6"))
    assert (await ref.ask(GetShard())).detail == "get it"
    broker.broken = "no worker can start"
    view = await ref.ask(GetShard())
    assert (view.ready, view.detail) == (False, "no worker can start")


async def test_its_end_is_its_workers_end(bare_world: World) -> None:
    broker = FakeBroker()
    ref = shard(bare_world, broker)
    await ref.ask(GetShard())
    await bare_world.system.stop()
    assert (broker.running, broker.stops) == (False, 1)


async def test_a_shard_that_breaks_starts_new_workers(bare_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = [FakeBroker(), FakeBroker()]
    left = iter(brokers)
    bare_world.system.entities.define("shard", lambda task: Shard(task, ShardDeps(lambda: next(left))))
    ref = bare_world.ref("shard", "speech_recognition")
    await ref.ask(GetShard())

    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(brokers[0], "submit", broken)
    with pytest.raises(Exception, match="broke"):
        await ref.ask(CLIP)
    assert (await ref.ask(CLIP)).value == SPOKEN
    assert [broker.running for broker in brokers] == [False, True]


async def test_its_messages_cross_a_wire() -> None:
    for message in (CLIP, InferenceDone(SPOKEN, 1.0, 2.0), InferenceDone(Blob(b"x"), 1.0, 2.0), GetShard()):
        assert decode(encode(message)) == message
    assert "pcm" not in repr(RunInference(b"pcm"))


async def test_real_workers(bare_world: World, tmp_path: Path) -> None:
    settings = BrokerSettings(models_dir=tmp_path, models=("well",), command=ECHO)
    deps = ShardDeps(lambda: Broker(settings, rng=random.Random(1)))
    bare_world.system.entities.define("shard", lambda task: Shard(task, deps), options=OPTIONS, rest_after_s=None)
    echo = bare_world.ref("shard", "echo")
    done = await echo.ask(RunInference(b"sound"), 20.0)
    assert done.value == Blob(b"sound")
    assert (await echo.ask(GetShard())).ready
    with pytest.raises(InvalidArgument):
        await bare_world.ref("shard", "refuse").ask(RunInference(b"sound"), 20.0)
    await bare_world.system.stop()


async def test_real_workers_without_models_say_how_to_get_them(bare_world: World, tmp_path: Path) -> None:
    deps = ShardDeps(lambda: Broker(BrokerSettings(models_dir=tmp_path), rng=random.Random(1)))
    bare_world.system.entities.define("shard", lambda task: Shard(task, deps), options=OPTIONS, rest_after_s=None)
    ref = bare_world.ref("shard", "speech_recognition")
    with pytest.raises(Unimplemented, match="pull moonshine-tiny-en"):
        await ref.ask(CLIP, 30.0)
    view: ShardView = await ref.ask(GetShard())
    assert not view.ready
    assert "inference.repository pull" in view.detail
    await bare_world.system.stop()
