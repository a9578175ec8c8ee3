"""`archive/{name}`: the meeting side's memory of what the AI found. A durable group feeds it, so each event comes at
least once, also when this node was down when it was published.

Storing twice is storing once: every row is known by its task. What can never be stored (its meeting is gone, a value is
out of bounds) is refused, and after some attempts the group puts it with its dead events and goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from models import records
from models.stores import AnalysisStore, MeetingStore, TranscriptStore
from protocols.ai_results import SpeechSegment
from protocols.events import (
    DeepfakeDetectionCompleted,
    EmotionDetectionCompleted,
    SpeechRecognitionCompleted,
    Topic,
)
from runtime.engine import Actor, ActorSystem, Ref, on
from runtime.topics import Published

Completed = SpeechRecognitionCompleted | EmotionDetectionCompleted | DeepfakeDetectionCompleted

GROUP: Final = "meeting"
"""The durable group's name: it may not change, or what waits for the old one is never stored."""


@dataclass(frozen=True, slots=True)
class ArchiveDeps:
    """What an archive needs."""

    meetings: MeetingStore
    transcripts: TranscriptStore
    analyses: AnalysisStore


class Topics(Protocol):
    """Where events come from."""

    def subscribe_durable(self, topic: Topic, group: str, subscriber: Ref) -> None:
        """Ask `subscriber` to handle each event of the topic, at least once."""
        ...


def subscribe(system: ActorSystem, topics: Topics) -> None:
    """Feed the archive of this node, once, after the kind `archive` is defined."""
    topics.subscribe_durable(Topic.AI, GROUP, system.entity("archive", GROUP))


class Archive(Actor):
    """Keeps nothing but in the stores."""

    def __init__(self, _name: str, deps: ArchiveDeps) -> None:
        self._deps = deps

    @on(Published)
    async def store(self, message: Published) -> None:
        """Store what an event tells; one that is not for the meeting side is passed over."""
        match message.envelope.payload:
            case SpeechRecognitionCompleted() as event:
                meeting = await self._deps.meetings.get(event.meeting_id)
                # Two steps, each of which done again changes nothing: when the second fails, the event comes again.
                await self._deps.transcripts.append(_segments(event, meeting))
                await self._save(event, records.SpeechResult(event.text, event.language, event.duration))
            case EmotionDetectionCompleted() as event:
                await self._deps.meetings.get(event.meeting_id)
                await self._save(event, records.EmotionResult(event.emotion))
            case DeepfakeDetectionCompleted() as event:
                await self._deps.meetings.get(event.meeting_id)
                await self._save(event, records.DeepfakeResult(event.is_deepfake))

    async def _save(self, event: Completed, result: records.AnalysisResult) -> None:
        analysis = records.Analysis(
            task_id=event.task_id,
            meeting_id=event.meeting_id,
            user_id=event.user_id,
            result=result,
            confidence=event.confidence,
            created_at=event.timestamp,
        )
        await self._deps.analyses.save(analysis)


def _segments(event: SpeechRecognitionCompleted, meeting: records.Meeting) -> list[records.TranscriptSegment]:
    """The lines of a transcript that a clip makes.

    A clip is received when it has been spoken, so it began its own length before; but nobody spoke before the meeting
    began, and a recording that is handed in at its start counts from there.
    """
    began_at = event.timestamp - timedelta(milliseconds=event.duration)
    if meeting.actual_start_time is not None:
        began_at = max(began_at, meeting.actual_start_time)
    spoken = event.segments or (SpeechSegment(0, event.duration, event.text, event.confidence),)
    return [
        records.TranscriptSegment(
            meeting_id=event.meeting_id,
            task_id=event.task_id,
            user_id=event.user_id,
            index=index,
            text=segment.text,
            confidence=segment.confidence,
            language=event.language,
            start_at=began_at + timedelta(milliseconds=segment.start_ms),
            start_ms=segment.start_ms,
            end_ms=segment.end_ms,
            created_at=event.timestamp,
        )
        for index, segment in enumerate(spoken)
        if segment.text.strip()
    ]
