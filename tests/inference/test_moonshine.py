"""The recogniser on its own: loops, limits, ends, and a real clip."""

from __future__ import annotations

import math

import numpy as np
import pytest

from inference.audio import RATE, decode_audio
from inference.moonshine import Heard, Moonshine, looping
from tests.inference.conftest import Clip
from tests.inference.measures import word_errors


class GaveUp(Exception):
    """What a test's `keep_going` raises."""


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([], 0),
        ([5] * 7, 0),
        ([5] * 8, 1),
        ([1, 2, 5, 5, 5, 5, 5, 5, 5, 5], 3),
        ([1, 2, 1, 2, 1, 2], 0),
        ([9, 1, 2, 1, 2, 1, 2, 1, 2], 3),
        ([1, 2, 3, 4, 5, 6] * 4, 6),
        (list(range(100)), 0),
        ([7, 8, 9] * 3 + [7, 8], 0),
    ],
)
def test_a_phrase_said_four_times_over_is_a_loop(tokens: list[int], kept: int) -> None:
    assert looping(tokens) == kept


def test_confidence_is_the_geometric_mean() -> None:
    heard = Heard("x", math.log(0.5) + math.log(0.25) + math.log(1.0), 3, False, False)
    assert heard.confidence == pytest.approx(0.5)
    assert Heard("", 0.0, 0, False, False).confidence == 0.0


@pytest.mark.models
def test_a_real_clip(recogniser: Moonshine, jfk: Clip) -> None:
    heard = recogniser.hear(decode_audio(jfk.data, jfk.format))
    assert word_errors(jfk.text, heard.text)[0] == 0
    assert 0.5 < heard.confidence < 1.0
    assert (heard.looped, heard.cut) == (False, False)


@pytest.mark.models
def test_the_same_clip_gives_the_same_answer(recogniser: Moonshine, jfk: Clip) -> None:
    samples = decode_audio(jfk.data, jfk.format)
    assert recogniser.hear(samples) == recogniser.hear(samples)


@pytest.mark.models
def test_a_worse_sound_has_a_lower_confidence(recogniser: Moonshine, jfk: Clip) -> None:
    samples = decode_audio(jfk.data, jfk.format)
    rough = samples + np.random.default_rng(3).normal(0, 0.2, len(samples)).astype(np.float32)
    assert recogniser.hear(rough).confidence < recogniser.hear(samples).confidence


@pytest.mark.models
@pytest.mark.parametrize("samples", [0, 1, 100, RATE // 10])
def test_a_moment_is_no_reason_to_fail(recogniser: Moonshine, samples: int) -> None:
    assert isinstance(recogniser.hear(np.zeros(samples, np.float32)), Heard)


@pytest.mark.models
def test_the_work_ends_when_nobody_waits(recogniser: Moonshine, jfk: Clip) -> None:
    calls: list[None] = []

    def keep_going() -> None:
        calls.append(None)
        if len(calls) == 3:
            raise GaveUp

    with pytest.raises(GaveUp):
        recogniser.hear(decode_audio(jfk.data, jfk.format), keep_going)
    assert len(calls) == 3
