"""Messages of the AI. `analysis/{task_id}` carries one request through; `shard/{task}` runs it in a worker process."""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from protocols.ai_results import SpeechSegment
from protocols.inference import NoParams, Params, ResultValue
from protocols.messages import message


class Task(StrEnum):
    """What the AI can be asked for."""

    SPEECH_RECOGNITION = "speech_recognition"
    EMOTION_DETECTION = "emotion_detection"
    DEEPFAKE_DETECTION = "deepfake_detection"


@message("ai.recognise")
class RecogniseSpeech:
    """To `analysis/{task_id}`: recognise a clip, publish the result and answer with it. Answer: SpeechRecognised.

    `format` is `pcm` (16 bit little endian) or a container's name; `sample_rate` (Hz) and `channels` describe PCM only.
    """

    actor_id: int
    meeting_id: int
    audio: bytes = field(repr=False)
    format: str
    sample_rate: int
    channels: int = 1
    language: str = ""


@message("ai.speech_recognised")
class SpeechRecognised:
    """`duration_ms` of the clip; `latency_ms` from the request's arrival to the answer; `confidence` from 0 to 1.

    `speech` is False when nobody speaks in the clip: then `text` is empty.
    """

    task_id: str
    text: str
    confidence: float
    language: str
    duration_ms: int
    latency_ms: float
    model: str
    speech: bool
    segments: tuple[SpeechSegment, ...]


@message("ai.run")
class RunInference:
    """To `shard/{task}`, asked within the time that it may take: run one item. Answer: InferenceDone.

    `model` may be empty: the default of the task.
    """

    payload: bytes = field(repr=False)
    params: Params = NoParams()
    model: str = ""


@message("ai.done")
class InferenceDone:
    """The answer of RunInference. `queue_ms` is the wait for a worker, `compute_ms` the work in it."""

    value: ResultValue
    queue_ms: float
    compute_ms: float


@message("ai.get_shard")
class GetShard:
    """To `shard/{task}`: can it serve? Answer: ShardView."""


@message("ai.shard")
class ShardView:
    """Whether a shard can serve now; `detail` says why not, or with what. `workers` are those that are ready."""

    task: str
    ready: bool
    detail: str
    workers: int
    queued: int
    in_flight: int
