"""Voice activity: the rules over curves written by hand, and the real model over real sounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.audio import RATE, decode_audio
from inference.vad import STEP, Curve, Span, VadSettings, VoiceActivity, chunks, speech_spans
from tests.inference.conftest import Clip
from tests.inference.sounds import noise, tone

PLAIN = VadSettings(on=0.5, off=0.35, min_speech_s=0.0, min_silence_s=3 * STEP / RATE, pad_s=0.0)


def curve(*values: float) -> Curve:
    return np.array(values, np.float32)


def steps(spans: list[Span]) -> list[tuple[float, float]]:
    return [(span.start / STEP, span.end / STEP) for span in spans]


@pytest.mark.parametrize(
    ("values", "spans"),
    [
        ([], []),
        ([0.1, 0.4, 0.49], []),
        ([0.9], [(0, 1)]),
        ([0.0, 0.5, 0.5, 0.0, 0.0, 0.0], [(1, 3)]),
        ([0.6, 0.4, 0.4, 0.4, 0.4, 0.6], [(0, 6)]),  # between the thresholds speech goes on
        ([0.6, 0.1, 0.1, 0.6, 0.1, 0.1, 0.1], [(0, 4)]),  # a short silence is none
        ([0.6, 0.1, 0.1, 0.1, 0.4, 0.6], [(0, 1), (5, 6)]),
        ([0.6, 0.1], [(0, 1)]),
    ],
)
def test_two_thresholds_and_a_patience(values: list[float], spans: list[tuple[float, float]]) -> None:
    assert steps(speech_spans(curve(*values), len(values) * STEP, PLAIN)) == spans


def test_a_click_is_no_speech() -> None:
    settings = VadSettings(min_speech_s=0.1, min_silence_s=0.05, pad_s=0.0)
    assert speech_spans(curve(0.9, 0.9, 0.9, 0, 0, 0), 6 * STEP, settings) == []
    assert steps(speech_spans(curve(0.9, 0.9, 0.9, 0.9, 0, 0), 6 * STEP, settings)) == [(0, 4)]


def test_pads_stay_inside_and_apart() -> None:
    settings = VadSettings(min_speech_s=0.0, min_silence_s=2 * STEP / RATE, pad_s=3 * STEP / RATE)
    values = curve(0, 0.9, 0, 0, 0.9, 0, 0, 0, 0, 0)
    assert steps(speech_spans(values, 10 * STEP, settings)) == [(0, 3), (3, 8)]


def test_neighbours_are_joined_within_the_limit() -> None:
    spans = [Span(0, RATE), Span(RATE + 8000, 2 * RATE), Span(4 * RATE, 5 * RATE)]
    values = np.ones(10 * RATE // STEP, np.float32)
    assert chunks(spans, values, 30.0, 1.0) == [Span(0, 2 * RATE), Span(4 * RATE, 5 * RATE)]
    assert chunks(spans, values, 30.0, 0.1) == spans
    assert chunks(spans, values, 1.9, 5.0) == spans


def test_a_long_span_is_cut_where_the_curve_is_lowest() -> None:
    values = np.ones(20 * RATE // STEP, np.float32)
    values[220:230] = 0.4  # at 7.04 to 7.36 s
    first, second, *_ = chunks([Span(0, 20 * RATE)], values, 10.0, 1.0)
    assert 7.04 * RATE <= first.end <= 7.36 * RATE
    assert second.start == first.end


@given(st.lists(st.floats(0, 1, width=32), max_size=400), st.floats(0.5, 5.0))
def test_chunks_are_in_order_apart_and_within_the_limit(values: list[float], longest_s: float) -> None:
    probabilities = np.array(values, np.float32)
    total = len(values) * STEP
    spans = speech_spans(probabilities, total)
    cut = chunks(spans, probabilities, longest_s, 0.5)
    position = 0
    for piece in cut:
        assert position <= piece.start < piece.end <= total
        assert piece.length <= longest_s * RATE
        position = piece.end
    covered = sum(piece.length for piece in cut)
    assert covered >= sum(span.length for span in spans)


@pytest.mark.models
def test_real_speech_is_found_where_it_is(activity: VoiceActivity, jfk: Clip) -> None:
    speech = decode_audio(jfk.data, jfk.format)
    samples = np.concatenate([noise(3.0, 0.001), speech, noise(3.0, 0.001)])
    probabilities = activity.curve(samples)
    assert len(probabilities) == -(-len(samples) // STEP)
    spans = speech_spans(probabilities, len(samples))
    assert spans[0].start / RATE == pytest.approx(3.2, abs=0.4)
    assert spans[-1].end / RATE == pytest.approx(13.7, abs=0.6)
    assert sum(span.length for span in spans) > 6 * RATE


@pytest.mark.models
@pytest.mark.parametrize(
    "samples",
    [np.zeros(3 * RATE, np.float32), noise(3.0), noise(3.0, 0.001), tone(440, 3.0), tone(50, 3.0, level=0.05)],
    ids=["silence", "noise", "soft noise", "tone", "hum"],
)
def test_what_is_no_speech_is_not_found(activity: VoiceActivity, samples: Curve) -> None:
    assert speech_spans(activity.curve(samples), len(samples)) == []


@pytest.mark.models
def test_nothing_has_no_curve(activity: VoiceActivity) -> None:
    assert len(activity.curve(np.zeros(0, np.float32))) == 0
