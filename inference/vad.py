"""Where in a piece of audio somebody speaks: Silero's voice activity model, and the rules from its curve to spans.

The model (https://github.com/snakers4/silero-vad, v6) reads 16 kHz audio in steps of 512 samples, each behind the last
64 of the step before, and carries a state from step to step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inference.audio import RATE, Samples
from inference.onnx_session import open_session
from inference.repository import InstalledModel

STEP: Final = 512
_CONTEXT: Final = 64
_STATE: Final = (2, 1, 128)

Curve = NDArray[np.float32]


class Span(NamedTuple):
    """A stretch of audio by sample number: start is in it, end is not."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Its samples."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class VadSettings:
    """When speech begins and ends. Two thresholds, so that a curve that wavers does not chop a word (hysteresis)."""

    on: float = 0.5
    off: float = 0.35
    min_speech_s: float = 0.1
    min_silence_s: float = 0.25
    pad_s: float = 0.2


class VoiceActivity:
    """The loaded model. It keeps no state between calls."""

    def __init__(self, model: InstalledModel, threads: int = 1) -> None:
        self.config = model.config
        self._session: onnxruntime.InferenceSession = open_session(model.path("model"), threads)
        self._rate = np.array(RATE, np.int64)

    def curve(self, samples: Samples) -> Curve:
        """The probability of speech in each step of 512 samples (32 ms); the last step is filled up with silence."""
        steps = -(-len(samples) // STEP)
        padded = np.zeros(_CONTEXT + steps * STEP, np.float32)
        padded[_CONTEXT : _CONTEXT + len(samples)] = samples
        probabilities = np.zeros(steps, np.float32)
        state = np.zeros(_STATE, np.float32)
        for step in range(steps):
            window = padded[np.newaxis, step * STEP : step * STEP + _CONTEXT + STEP]
            feeds = {"input": window, "state": state, "sr": self._rate}
            probability, state = self._session.run(None, feeds)
            probabilities[step] = probability[0, 0]
        return probabilities


def speech_spans(curve: Curve, total: int, settings: VadSettings = VadSettings()) -> list[Span]:
    """The spans of speech in `total` samples, in order and apart from each other, each padded on both sides.

    Speech begins where the curve reaches `on` and ends where it stays under `off` for `min_silence_s`; spans shorter
    than `min_speech_s` are dropped; two pads that would meet share the silence between them.
    """
    spans = [span for span in _raw_spans(curve, settings) if span.length >= settings.min_speech_s * RATE]
    pad = int(settings.pad_s * RATE)
    padded: list[Span] = []
    for index, span in enumerate(spans):
        before = (span.start - spans[index - 1].end) // 2 if index else span.start
        after = (spans[index + 1].start - span.end) // 2 if index + 1 < len(spans) else total - span.end
        padded.append(Span(span.start - min(pad, before), min(total, span.end + min(pad, after))))
    return padded


def _raw_spans(curve: Curve, settings: VadSettings) -> list[Span]:
    patience = max(1, round(settings.min_silence_s * RATE / STEP))
    spans: list[Span] = []
    start = quiet_since = -1
    for step, probability in enumerate(curve):
        if start < 0:
            if probability >= settings.on:
                start, quiet_since = step, -1
        elif probability >= settings.off:
            quiet_since = -1
        else:
            quiet_since = step if quiet_since < 0 else quiet_since
            if step - quiet_since + 1 >= patience:
                spans.append(Span(start * STEP, quiet_since * STEP))
                start = -1
    if start >= 0:
        end = quiet_since if quiet_since >= 0 else len(curve)
        spans.append(Span(start * STEP, end * STEP))
    return spans


def chunks(spans: list[Span], curve: Curve, longest_s: float, gap_s: float) -> list[Span]:
    """What to recognise at once: neighbours with at most `gap_s` of silence between them are joined while the whole
    stays within `longest_s`, and a span that is longer by itself is cut where the curve is lowest.
    """
    longest = int(longest_s * RATE)
    joined: list[Span] = []
    for span in spans:
        for piece in _cut(span, curve, longest):
            last = joined[-1] if joined else None
            if last and piece.start - last.end <= gap_s * RATE and piece.end - last.start <= longest:
                joined[-1] = Span(last.start, piece.end)
            else:
                joined.append(piece)
    return joined


def _cut(span: Span, curve: Curve, longest: int) -> list[Span]:
    """Cut one span into pieces of at most `longest` samples, each cut in the second half of what is allowed."""
    pieces: list[Span] = []
    start = span.start
    while span.end - start > longest:
        first, last = (start + longest // 2) // STEP, (start + longest) // STEP
        lowest = first + int(np.argmin(_smooth(curve[first:last])))
        middle = min(lowest * STEP + STEP // 2, start + longest)
        pieces.append(Span(start, middle))
        start = middle
    pieces.append(Span(start, span.end))
    return pieces


def _smooth(curve: Curve) -> Curve:
    """A moving mean over five steps (160 ms), so that a cut falls into a pause and not into one soft consonant."""
    if len(curve) < 5:
        return curve
    smooth: Curve = np.convolve(curve, np.full(5, 0.2, np.float32), mode="same").astype(np.float32)
    smooth[:2] = smooth[-2:] = 1.0
    return smooth
