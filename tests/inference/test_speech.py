"""Speech recognition as a whole, with the real weights: words, times, silence and doubt."""

from __future__ import annotations

import numpy as np
import pytest

from inference.audio import RATE, decode_audio
from inference.speech import SpeechPipeline
from protocols.ai_results import SpeechResult
from protocols.errors import InvalidArgument, Unimplemented
from protocols.inference import AudioParams, NoParams
from tests.inference.conftest import Clip
from tests.inference.measures import word_errors, words
from tests.inference.sounds import noise, pcm16, tone

pytestmark = pytest.mark.models

MOST_WORD_ERRORS = 0.04
"""Of the default model over all English clips. Measured: 0.026, with or without the clip that comes with the model."""


def run(speech: SpeechPipeline, data: bytes, params: AudioParams) -> SpeechResult:
    return speech.run([data], params, lambda: None)


def test_a_president_is_heard_to_the_word(speech: SpeechPipeline, jfk: Clip) -> None:
    result = run(speech, jfk.data, AudioParams("flac"))
    assert words(result.text) == words(jfk.text)
    assert result.language == "en"
    assert not result.no_speech
    assert 0.5 < result.confidence < 1.0
    assert result.duration_ms == 11_000
    assert (result.model, result.model_version) == ("moonshine-tiny-en", "0.1.0")
    assert result.warnings == ()


def test_the_word_error_rate(speech: SpeechPipeline, clips: dict[str, Clip], two_cities: Clip) -> None:
    errors = total = 0
    for clip in [*clips.values(), two_cities]:
        wrong, said = word_errors(clip.text, run(speech, clip.data, AudioParams(clip.format)).text)
        errors, total = errors + wrong, total + said
    assert total > 150
    assert errors / total <= MOST_WORD_ERRORS


def test_long_audio_is_cut_at_silence_and_loses_no_words(speech: SpeechPipeline, clips: dict[str, Clip]) -> None:
    ordered = sorted(clips.values(), key=lambda clip: clip.name)
    pause = noise(2.0, 0.0005)
    samples = np.concatenate([part for clip in ordered for part in (decode_audio(clip.data, clip.format), pause)])
    result = speech.recognise(samples, "en")
    wrong, said = word_errors(" ".join(clip.text for clip in ordered), result.text)
    assert wrong / said <= MOST_WORD_ERRORS
    assert len(result.segments) >= len(ordered)
    position = 0
    for segment in result.segments:
        assert position <= segment.start_ms < segment.end_ms <= result.duration_ms
        assert segment.end_ms - segment.start_ms <= speech.config.limits.chunk_s * 1000
        assert segment.text
        assert 0 < segment.confidence < 1
        position = segment.end_ms
    assert " ".join(segment.text for segment in result.segments) == result.text


def test_a_segment_lies_where_its_words_were_said(speech: SpeechPipeline, jfk: Clip) -> None:
    samples = np.concatenate([np.zeros(5 * RATE, np.float32), decode_audio(jfk.data, jfk.format)])
    (segment,) = speech.recognise(samples, "en").segments
    assert segment.start_ms == pytest.approx(5_200, abs=400)
    assert segment.end_ms == pytest.approx(15_800, abs=500)


@pytest.mark.parametrize(
    "samples",
    [np.zeros(3 * RATE, np.float32), noise(3.0), tone(440, 3.0), tone(1000, 1.0), np.zeros(10, np.float32)],
    ids=["silence", "noise", "tone", "beep", "a moment"],
)
def test_no_speech_is_said_and_no_words_are_made_up(speech: SpeechPipeline, samples: np.ndarray) -> None:
    result = run(speech, pcm16(samples), AudioParams("pcm"))
    assert result.no_speech
    assert (result.text, result.confidence, result.segments) == ("", 0.0, ())


@pytest.mark.parametrize(("rate", "channels", "name"), [(48_000, 2, "pcm"), (44_100, 1, "pcm_f32"), (16_000, 1, "pcm")])
def test_raw_pcm_of_any_kind_is_the_same_speech(
    speech: SpeechPipeline, two_cities: Clip, rate: int, channels: int, name: str
) -> None:
    wave = np.frombuffer(two_cities.data[44:], "<i2").astype(np.float32)[: 48_000 * 10] / 32768
    at = np.arange(0, len(wave), 48_000 / rate)
    sound = np.repeat(np.interp(at, np.arange(len(wave)), wave).astype(np.float32), channels)
    data = sound.astype("<f4").tobytes() if name == "pcm_f32" else pcm16(sound)
    result = run(speech, data, AudioParams(name, rate, channels))
    assert result.text.lower().startswith("it was the best of times")


@pytest.mark.parametrize("language", ["", "auto", "en", "EN", "en-US", "en_GB"])
def test_a_language_that_the_model_knows(speech: SpeechPipeline, jfk: Clip, language: str) -> None:
    assert run(speech, jfk.data, AudioParams("flac", language=language)).language == "en"


@pytest.mark.parametrize("language", ["zh-CN", "de", "klingon"])
def test_a_language_that_it_does_not_know_is_not_made_up(speech: SpeechPipeline, jfk: Clip, language: str) -> None:
    with pytest.raises(Unimplemented, match="it knows: en"):
        run(speech, jfk.data, AudioParams("flac", language=language))


def test_parameters_and_frames_are_checked(speech: SpeechPipeline, jfk: Clip) -> None:
    with pytest.raises(InvalidArgument, match="audio parameters"):
        speech.run([jfk.data], NoParams(), lambda: None)
    for payload in ([], [jfk.data, jfk.data]):
        with pytest.raises(InvalidArgument, match="one payload frame"):
            speech.run(payload, AudioParams("flac"), lambda: None)
