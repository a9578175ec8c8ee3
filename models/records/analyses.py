"""Records of what the AI found: the lines of a transcript, and one result for each task.

A result is typed data; `encode_result` and `decode_result` turn it into JSON text and back, for wires and databases.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from models.records import bounds
from protocols.errors import FieldFault, InvalidArgument


class ResultType(StrEnum):
    """The AI tasks, by their wire names."""

    SPEECH_RECOGNITION = "speech_recognition"
    EMOTION_DETECTION = "emotion_detection"
    DEEPFAKE_DETECTION = "deepfake_detection"


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    """One stretch of speech, the `index`-th of its task, counted from 0.

    `start_at` is the moment when it began; `start_ms` and `end_ms` say where it lies in its clip. Confidence is 0 to 1.
    """

    meeting_id: int
    task_id: str
    user_id: int
    index: int
    text: str
    confidence: float
    language: str
    start_at: datetime
    start_ms: int
    end_ms: int
    created_at: datetime

    def __post_init__(self) -> None:
        check = bounds.Check("segment")
        check.within(bounds.ID, meeting_id=self.meeting_id, user_id=self.user_id)
        check.text(bounds.TASK_ID, task_id=self.task_id)
        check.within(bounds.SEGMENT_INDEX, index=self.index)
        check.text(bounds.SPEECH, text=self.text)
        check.within(bounds.CONFIDENCE, confidence=self.confidence)
        check.text(bounds.LANGUAGE, language=self.language)
        check.utc(start_at=self.start_at, created_at=self.created_at)
        check.within(bounds.CLIP_MS, start_ms=self.start_ms, end_ms=self.end_ms)
        check.that(self.start_ms <= self.end_ms, "end_ms", "must not be before the start")
        check.done()


@dataclass(frozen=True, slots=True)
class SpeechResult:
    """What was said in a clip of `duration_ms`; the text of silence is empty."""

    text: str
    language: str
    duration_ms: int

    def __post_init__(self) -> None:
        check = bounds.Check("speech result")
        check.text(bounds.SPEECH_OR_SILENCE, text=self.text)
        check.text(bounds.LANGUAGE, language=self.language)
        check.within(bounds.CLIP_MS, duration_ms=self.duration_ms)
        check.done()


@dataclass(frozen=True, slots=True)
class EmotionScore:
    """How likely one emotion is, 0 to 1."""

    emotion: str
    score: float

    def __post_init__(self) -> None:
        check = bounds.Check("emotion score")
        check.text(bounds.EMOTION, emotion=self.emotion)
        check.within(bounds.CONFIDENCE, score=self.score)
        check.done()


@dataclass(frozen=True, slots=True)
class EmotionResult:
    """The emotion that a face shows, and how likely each of those the model knows is."""

    emotion: str
    scores: tuple[EmotionScore, ...] = ()

    def __post_init__(self) -> None:
        check = bounds.Check("emotion result")
        check.text(bounds.EMOTION, emotion=self.emotion)
        check.done()


@dataclass(frozen=True, slots=True)
class DeepfakeResult:
    """Whether a face looks forged."""

    is_deepfake: bool


AnalysisResult = SpeechResult | EmotionResult | DeepfakeResult

_CLASS_OF: Final[dict[ResultType, type[AnalysisResult]]] = {
    ResultType.SPEECH_RECOGNITION: SpeechResult,
    ResultType.EMOTION_DETECTION: EmotionResult,
    ResultType.DEEPFAKE_DETECTION: DeepfakeResult,
}
_TYPE_OF: Final[dict[type[AnalysisResult], ResultType]] = {made: kind for kind, made in _CLASS_OF.items()}


@dataclass(frozen=True, slots=True)
class Analysis:
    """What one task found about one user in one meeting. Confidence is 0 to 1."""

    task_id: str
    meeting_id: int
    user_id: int
    result: AnalysisResult
    confidence: float
    created_at: datetime

    @property
    def result_type(self) -> ResultType:
        """Which AI task it was; the result says so itself, so that the two cannot disagree."""
        return _TYPE_OF[type(self.result)]

    def __post_init__(self) -> None:
        check = bounds.Check("analysis")
        check.text(bounds.TASK_ID, task_id=self.task_id)
        check.within(bounds.ID, meeting_id=self.meeting_id, user_id=self.user_id)
        check.within(bounds.CONFIDENCE, confidence=self.confidence)
        check.utc(created_at=self.created_at)
        check.done()


def encode_result(result: AnalysisResult) -> str:
    """The JSON text of a result."""
    return msgspec.json.encode(result).decode()


def decode_result(result_type: str, result_json: str | bytes) -> AnalysisResult:
    """The result that a JSON text of that type holds. Raises InvalidArgument, naming what does not fit."""
    if result_type not in set(ResultType):
        known = ", ".join(ResultType)
        raise _misfit("result_type", f"must be one of {known}")
    try:
        return msgspec.json.decode(result_json, type=_CLASS_OF[ResultType(result_type)])
    except msgspec.DecodeError as error:
        raise _misfit("result", str(error)) from error


def _misfit(field: str, detail: str) -> InvalidArgument:
    return InvalidArgument(f"{field} {detail}", faults=(FieldFault(field, detail),))
