"""One AI request, from the check of its meeting to the event and the answer."""

from __future__ import annotations

import asyncio

import pytest

from inference.broker import InferenceResult
from protocols.accounts import UserView
from protocols.ai import RecogniseSpeech, SpeechRecognised
from protocols.ai_results import SpeechResult
from protocols.errors import (
    FailedPrecondition,
    Internal,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from protocols.events import SpeechRecognitionCompleted
from protocols.inference import AudioParams
from protocols.meetings import EndMeeting, MeetingSettings, MeetingView
from runtime.engine import AskTimeout
from tests.actors.brokers import SILENCE, SPOKEN, FakeBroker
from tests.actors.world import World, settles


def clip(user: UserView, meeting: MeetingView) -> RecogniseSpeech:
    return RecogniseSpeech(user.id, meeting.id, b"sound", "flac", 0, 2, "en")


@pytest.fixture
def broker(bare_world: World) -> FakeBroker:
    made = FakeBroker()
    bare_world.define(make_broker=lambda: made)
    return made


async def test_a_clip_becomes_text_and_news(bare_world: World, broker: FakeBroker) -> None:
    ada = await bare_world.register("ada")
    meeting = await bare_world.started(ada)
    before = bare_world.clock.now()
    found: SpeechRecognised = await bare_world.ask("analysis", "task-1", clip(ada, meeting))
    assert (found.task_id, found.text, found.confidence, found.language) == ("task-1", SPOKEN.text, 0.9, "en")
    assert (found.duration_ms, found.model, found.speech) == (11_000, "moonshine-tiny-en 1", True)
    assert [(it.start_ms, it.end_ms, it.text) for it in found.segments] == [
        (200, 4000, "Ask not."),
        (5000, 10_000, "What you can do."),
    ]
    [event] = bare_world.topics.of(SpeechRecognitionCompleted)
    assert (event.task_id, event.meeting_id, event.user_id, event.text) == ("task-1", meeting.id, ada.id, SPOKEN.text)
    assert (event.duration, event.latency, event.segments) == (11_000, found.latency_ms, found.segments)
    assert before <= event.timestamp <= bare_world.clock.now()
    [request] = broker.requests
    assert (request.payload, request.params) == ((b"sound",), AudioParams("flac", 0, 2, "en"))
    await settles(lambda: not bare_world.active("analysis", "task-1"))


async def test_silence_is_a_result_and_says_so(bare_world: World, broker: FakeBroker) -> None:
    broker.answer = lambda _: SILENCE
    ada = await bare_world.register("ada")
    meeting = await bare_world.started(ada)
    found: SpeechRecognised = await bare_world.ask("analysis", "task-1", clip(ada, meeting))
    assert (found.speech, found.text, found.segments) == (False, "", ())
    [event] = bare_world.topics.of(SpeechRecognitionCompleted)
    assert (event.text, event.segments) == ("", ())


async def test_who_may_not_ask(bare_world: World, broker: FakeBroker) -> None:
    ada, eve = await bare_world.register("ada"), await bare_world.register("eve")
    planned = await bare_world.plan(ada)
    with pytest.raises(FailedPrecondition):
        await bare_world.ask("analysis", "task-1", clip(ada, planned))
    without = await bare_world.started(ada, settings=MeetingSettings(enable_ai=False))
    with pytest.raises(FailedPrecondition, match="turned off"):
        await bare_world.ask("analysis", "task-2", clip(ada, without))
    meeting = await bare_world.started(ada)
    with pytest.raises(PermissionDenied):
        await bare_world.ask("analysis", "task-3", clip(eve, meeting))
    await bare_world.ask("meeting", meeting.id, EndMeeting(ada.id))
    with pytest.raises(FailedPrecondition):
        await bare_world.ask("analysis", "task-4", clip(ada, meeting))
    with pytest.raises(NotFound):
        await bare_world.ask("analysis", "task-5", RecogniseSpeech(ada.id, 99, b"", "pcm", 8000))
    assert broker.requests == []
    assert bare_world.topics.of(SpeechRecognitionCompleted) == []
    await settles(lambda: bare_world.system.entities.kinds["analysis"] == 0)


@pytest.mark.parametrize("error", [ResourceExhausted("full", retry_after_s=2.0), Unimplemented("pull it")])
async def test_a_refusal_of_the_models_is_the_answer(
    bare_world: World, broker: FakeBroker, error: ResourceExhausted | Unimplemented
) -> None:
    broker.answer = lambda _: error
    ada = await bare_world.register("ada")
    meeting = await bare_world.started(ada)
    with pytest.raises(type(error)):
        await bare_world.ask("analysis", "task-1", clip(ada, meeting))
    await settles(lambda: not bare_world.active("analysis", "task-1"))


async def test_a_node_without_models_says_so(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    with pytest.raises(Unimplemented, match="no models"):
        await world.ask("analysis", "task-1", clip(ada, meeting))


async def test_what_the_journal_did_not_take_is_not_answered(bare_world: World, broker: FakeBroker) -> None:
    ada = await bare_world.register("ada")
    meeting = await bare_world.started(ada)
    bare_world.topics.away = True
    with pytest.raises(Unavailable):
        await bare_world.ask("analysis", "task-1", clip(ada, meeting))


async def test_the_askers_deadline_is_the_models(bare_world: World, broker: FakeBroker) -> None:
    broker.answer = None
    ada = await bare_world.register("ada")
    meeting = await bare_world.started(ada)
    with pytest.raises(AskTimeout):
        await bare_world.ref("analysis", "task-1").ask(clip(ada, meeting), 0.1)
    await settles(lambda: bool(broker.waiting) and broker.waiting[0].cancelled())
    assert broker.requests[0].timeout_s < 0.15
    await settles(lambda: not bare_world.active("analysis", "task-1"))


async def test_requests_do_not_wait_for_each_other(bare_world: World, broker: FakeBroker) -> None:
    broker.answer = None
    ada = await bare_world.register("ada")
    meeting = await bare_world.started(ada)
    asks = [asyncio.ensure_future(bare_world.ask("analysis", f"task-{n}", clip(ada, meeting))) for n in range(5)]
    await settles(lambda: len(broker.waiting) == 5)
    for number, future in enumerate(broker.waiting):
        future.set_result(InferenceResult(SPOKEN, float(number), 0.0))
    assert len({found.task_id for found in await asyncio.gather(*asks)}) == 5


async def test_an_answer_to_another_question_is_a_defect(bare_world: World, broker: FakeBroker) -> None:
    broker.answer = lambda _: "no result at all"  # type: ignore[assignment,return-value]
    ada = await bare_world.register("ada")
    meeting = await bare_world.started(ada)
    assert not isinstance("no result at all", SpeechResult)
    with pytest.raises(Internal):
        await bare_world.ask("analysis", "task-1", clip(ada, meeting))
