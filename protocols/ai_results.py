"""What the models answer: one frozen struct a task, with every figure measured and every doubt said in a field.

The same structs cross the wire from a worker and travel on inside actor messages and events.
"""

from __future__ import annotations

import msgspec


class SpeechSegment(msgspec.Struct, frozen=True):
    """A stretch of speech and its words. Times are milliseconds from the start of the audio."""

    start_ms: int
    end_ms: int
    text: str
    confidence: float


class SpeechResult(msgspec.Struct, frozen=True, tag="speech"):
    """What was said in one piece of audio.

    `confidence` (0..1) is the geometric mean of the probabilities that the model gave to the tokens it chose, over all
    segments: exp(mean(log p)). With `no_speech` the text is empty, there are no segments and the confidence is 0.
    `warnings` are plain sentences about what a reader should not take at face value (a loop that was cut).
    """

    text: str
    confidence: float
    language: str
    no_speech: bool
    duration_ms: int
    segments: tuple[SpeechSegment, ...]
    model: str
    model_version: str
    warnings: tuple[str, ...] = ()
