"""What the AI found, kept once and for all: straight from an event, and through a real durable group."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from actors import archive
from models.records import DeepfakeResult, EmotionResult, SpeechResult
from models.stores import Stores
from protocols import events
from protocols.ai_results import SpeechSegment
from protocols.errors import InvalidArgument, NotFound
from protocols.events import (
    DeepfakeDetectionCompleted,
    EmotionDetectionCompleted,
    SpeechRecognitionCompleted,
)
from protocols.meetings import AnalysisPage, GetAnalyses, GetTranscript, TranscriptLine, TranscriptPage
from runtime.engine import Backoff, HandlerFailed
from runtime.topics import GroupSettings, Journal, Published, Topics
from tests.actors.world import World, settles


def spoken(world: World, meeting_id: int = 1, task_id: str = "task-1", user_id: int = 1) -> SpeechRecognitionCompleted:
    return SpeechRecognitionCompleted(
        task_id=task_id,
        meeting_id=meeting_id,
        user_id=user_id,
        text="Ask not. What you can do.",
        confidence=0.9,
        language="en",
        duration=11_000,
        latency=120.5,
        timestamp=world.clock.now(),
        segments=(SpeechSegment(200, 4000, "Ask not.", 0.95), SpeechSegment(5000, 10_000, "What you can do.", 0.85)),
    )


async def store(world: World, event: object) -> None:
    envelope = events.envelope(event, message_id="m", timestamp=world.clock.now(), source="test")
    await world.ask("archive", archive.GROUP, Published(envelope))


async def transcript(world: World, meeting_id: int, user_id: int, limit: int = 500) -> TranscriptPage:
    found: TranscriptPage = await world.ask("meeting", meeting_id, GetTranscript(user_id, limit=limit))
    return found


async def analyses(world: World, meeting_id: int, user_id: int) -> AnalysisPage:
    found: AnalysisPage = await world.ask("meeting", meeting_id, GetAnalyses(user_id))
    return found


async def test_speech_becomes_lines_and_a_result(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    world.clock.skip(60)
    event = spoken(world, meeting.id, user_id=ada.id)
    await store(world, event)
    page = await transcript(world, meeting.id, ada.id)
    assert page.origin == meeting.actual_start_time
    assert [(line.text, line.username, line.confidence, line.language) for line in page.items] == [
        ("Ask not.", "ada", 0.95, "en"),
        ("What you can do.", "ada", 0.85, "en"),
    ]
    # The clip came in when it had been spoken.
    began = event.timestamp - timedelta(seconds=11)
    assert [(line.start - began, line.end - began) for line in page.items] == [
        (timedelta(milliseconds=200), timedelta(milliseconds=4000)),
        (timedelta(milliseconds=5000), timedelta(milliseconds=10_000)),
    ]
    [view] = (await analyses(world, meeting.id, ada.id)).items
    assert (view.task_id, view.meeting_id, view.user_id, view.result_type) == (
        "task-1",
        meeting.id,
        ada.id,
        "speech_recognition",
    )
    assert (view.confidence, view.created_at) == (0.9, event.timestamp)
    assert view.result == '{"text":"Ask not. What you can do.","language":"en","duration_ms":11000}'


async def test_nobody_spoke_before_the_meeting_began(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    await store(world, spoken(world, meeting.id, user_id=ada.id))  # eleven seconds, handed in at once
    page = await transcript(world, meeting.id, ada.id)
    assert page.items[0].start == page.origin + timedelta(milliseconds=200)


async def test_twice_is_once(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    event = spoken(world, meeting.id, user_id=ada.id)
    for _ in range(3):
        await store(world, event)
    assert len((await transcript(world, meeting.id, ada.id)).items) == 2
    assert len((await analyses(world, meeting.id, ada.id)).items) == 1


async def test_a_failure_between_the_two_is_mended_by_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    event = spoken(world, meeting.id, user_id=ada.id)
    save = type(world.stores.analyses).save

    async def broken(*_: object) -> bool:
        raise RuntimeError("a defect")

    monkeypatch.setattr(type(world.stores.analyses), "save", broken)
    with pytest.raises(HandlerFailed):
        await store(world, event)
    monkeypatch.setattr(type(world.stores.analyses), "save", save)
    await store(world, event)
    assert len((await transcript(world, meeting.id, ada.id)).items) == 2
    assert len((await analyses(world, meeting.id, ada.id)).items) == 1


async def test_silence_is_kept_as_a_result_and_is_no_line(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    await store(world, replace(spoken(world, meeting.id, user_id=ada.id), text="", segments=(), confidence=0.0))
    assert (await transcript(world, meeting.id, ada.id)).items == ()
    [found] = await world.stores.analyses.by_task("task-1")
    assert found.result == SpeechResult("", "en", 11_000)


async def test_a_text_without_segments_is_one_line(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    event = replace(spoken(world, meeting.id, user_id=ada.id), segments=())
    await store(world, event)
    [line] = (await transcript(world, meeting.id, ada.id)).items
    assert (line.text, line.end - line.start) == (event.text, timedelta(seconds=11))


async def test_the_other_tasks_are_kept_too(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    now = world.clock.now()
    await store(world, EmotionDetectionCompleted("face-1", meeting.id, ada.id, "happy", 0.8, now))
    await store(world, DeepfakeDetectionCompleted("face-1", meeting.id, ada.id, True, 0.7, now))
    found = await world.stores.analyses.by_task("face-1")
    assert [one.result for one in found] == [DeepfakeResult(True), EmotionResult("happy")]


async def test_what_can_never_be_stored_is_refused(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    now = world.clock.now()
    for missing in (
        spoken(world, 99),
        EmotionDetectionCompleted("t", 99, 1, "happy", 0.5, now),
        DeepfakeDetectionCompleted("t", 99, 1, False, 0.5, now),
    ):
        with pytest.raises(NotFound):
            await store(world, missing)
    with pytest.raises(InvalidArgument):
        await store(world, replace(spoken(world, meeting.id), confidence=1.5))
    assert (await analyses(world, meeting.id, ada.id)).items == ()
    await store(world, events.UserStatusChanged(1, "online", "away"))  # not for the archive


async def test_a_transcript_is_for_members_page_by_page(world: World) -> None:
    ada, eve = await world.register("ada"), await world.register("eve")
    meeting = await world.started(ada)
    for number in range(3):
        await store(world, spoken(world, meeting.id, f"task-{number}", ada.id))
        world.clock.skip(30)
    await store(world, spoken(world, meeting.id, "task-9", user_id=77))  # of somebody who has no account any more
    for message in (GetTranscript(eve.id), GetAnalyses(eve.id)):
        with pytest.raises(Exception, match="do not take part"):
            await world.ask("meeting", meeting.id, message)
    lines: list[TranscriptLine] = []
    cursor, pages = "", 0
    while cursor or not pages:
        page: TranscriptPage = await world.ask("meeting", meeting.id, GetTranscript(ada.id, cursor, 3))
        lines += page.items
        cursor = page.next_cursor
        pages += 1
    assert (len(lines), pages) == (8, 3)
    assert [line.start for line in lines] == sorted(line.start for line in lines)
    assert lines[-1].username == "user 77"
    assert len((await transcript(world, meeting.id, ada.id, limit=1000)).items) == 8
    await settles(lambda: not world.system.statistics_of(world.ref("meeting", meeting.id)).children)


async def test_of_a_meeting_that_never_began(world: World) -> None:
    ada = await world.register("ada")
    meeting = await world.plan(ada)
    assert await transcript(world, meeting.id, ada.id) == TranscriptPage((), meeting.start_time)


# ---- through a real group


QUICK = GroupSettings(max_attempts=2, backoff=Backoff(min_s=0.001, max_s=0.01))


async def test_the_group_stores_what_was_published_and_sets_aside_what_cannot_be(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await world.register("ada")
    meeting = await world.started(ada)
    journal = await Journal.open(tmp_path / "journal.db")
    topics = Topics(world.system, journal, source="test")
    [(topic, group, subscriber)] = world.topics.subscribers  # as the node asks for it
    topics.subscribe_durable(topic, group, subscriber, QUICK)
    await topics.publish(spoken(world, 99))  # its meeting is not there
    for number in range(5):
        await topics.publish(spoken(world, meeting.id, f"task-{number}", ada.id))
    await settles(lambda: set(topics.depths.values()) == {0})
    assert await kept(world.stores, meeting.id) == 5
    assert sum(group.dead for group in topics.statistics().groups.values()) == 1
    await world.system.stop()
    await journal.close()


async def kept(stores: Stores, meeting_id: int) -> int:
    return len((await stores.analyses.list_for_meeting(meeting_id)).items)
