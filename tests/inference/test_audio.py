"""Decoding what clients send: every format gives the same sound, and everything that is wrong is refused by name."""

from __future__ import annotations

import contextlib
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.audio import RATE, AudioLimits, Samples, decode_audio
from inference.audio_formats import DEMUXERS, PCM
from protocols.errors import InvalidArgument
from tests.inference.sounds import CODECS, encoded, pcm16, tone, wav


def strength(samples: Samples, hz: float) -> float:
    """How strong a sine of that frequency is in the samples: 1 is full scale."""
    middle = samples[len(samples) // 4 : -len(samples) // 4].astype(np.float64)
    time = np.arange(len(middle)) / RATE
    window = np.hanning(len(middle))
    return float(2 * abs(np.sum(middle * window * np.exp(-2j * np.pi * hz * time))) / window.sum())


@cache
def sample_file(name: str) -> bytes:
    return encoded(tone(440, 1.0, 48_000), name)


@pytest.mark.parametrize("name", CODECS)
def test_every_container_gives_the_sound_that_was_put_in(name: str) -> None:
    samples = decode_audio(sample_file(name), name)
    assert samples.dtype == np.float32
    assert samples.ndim == 1
    assert len(samples) == pytest.approx(RATE, rel=0.1)
    assert strength(samples, 440) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("called", ["wav", "webm", "pcm", "audio/ogg; codecs=opus", ""])
def test_the_signature_wins_over_the_name(name: str, called: str) -> None:
    if name == "mp3":
        assert sample_file(name)[:3] == b"ID3"
    samples = decode_audio(sample_file(name), called)
    assert strength(samples, 440) == pytest.approx(0.5, rel=0.05)


def _as_pcm(samples: Samples, name: str) -> bytes:
    layout = PCM[name]
    if name.startswith("pcm_s24"):
        wide = (samples.astype(np.float64) * (2**31 - 256)).astype("<i4").view(np.uint8).reshape(-1, 4)
        return wide[:, 1:].tobytes()
    if np.dtype(layout.dtype).kind == "f":
        return samples.astype(layout.dtype).tobytes()
    return (samples.astype(np.float64) * (layout.scale - 1) + layout.offset).astype(layout.dtype).tobytes()


@pytest.mark.parametrize("name", sorted(PCM))
def test_every_raw_layout(name: str) -> None:
    sound = tone(440, 0.5)
    samples = decode_audio(_as_pcm(sound, name), name, RATE, 1)
    assert len(samples) == len(sound)
    assert np.abs(samples - sound).max() < (0.02 if PCM[name].width == 1 else 1e-3)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_every_rate_and_channel_count(rate: int, channels: int) -> None:
    interleaved = np.repeat(tone(440, 1.0, rate), channels)
    samples = decode_audio(pcm16(interleaved), "pcm", rate, channels)
    assert len(samples) == pytest.approx(RATE, rel=0.01)
    assert strength(samples, 440) == pytest.approx(0.5, rel=0.02)


def test_channels_are_averaged() -> None:
    left, right = tone(440, 0.5), tone(1000, 0.5)
    samples = decode_audio(pcm16(np.stack([left, right], axis=1).reshape(-1)), "pcm", RATE, 2)
    assert strength(samples, 440) == pytest.approx(0.25, rel=0.02)
    assert strength(samples, 1000) == pytest.approx(0.25, rel=0.02)


def test_what_lies_above_half_the_rate_does_not_fold_back() -> None:
    """10 kHz would come back as 6 kHz; the resampler holds it down by more than 60 dB."""
    samples = decode_audio(pcm16(tone(10_000, 1.0, 48_000)), "pcm", 48_000)
    assert strength(samples, 6_000) < 0.5 / 1000


def test_what_lies_below_passes_unchanged() -> None:
    samples = decode_audio(pcm16(tone(6_000, 1.0, 48_000)), "pcm", 48_000)
    assert strength(samples, 6_000) == pytest.approx(0.5, rel=0.02)


def test_no_sample_is_lost_between_blocks() -> None:
    sound = tone(440, 5.3, 48_000)
    samples = decode_audio(pcm16(sound), "pcm", 48_000)
    assert len(samples) == pytest.approx(len(sound) / 3, abs=2)
    assert np.abs(samples[1000:-1000] - tone(440, 5.3)[1000 : len(samples) - 1000]).max() < 0.01


@pytest.mark.parametrize(
    ("data", "name", "rate", "channels", "why"),
    [
        (b"", "pcm", RATE, 1, "is empty"),
        (b"", "wav", RATE, 1, "is empty"),
        (b"\0" * 100, "pcm", 7_999, 1, "sample rate of 7999 Hz is outside 8000 to 192000"),
        (b"\0" * 100, "pcm", 192_001, 1, "sample rate"),
        (b"\0" * 100, "pcm", 0, 1, "sample rate"),
        (b"\0" * 100, "pcm", -1, 1, "sample rate"),
        (b"\0" * 100, "pcm", RATE, 0, "0 channels"),
        (b"\0" * 100, "pcm", RATE, 9, "9 channels"),
        (b"\0" * 101, "pcm", RATE, 1, "no whole number"),
        (b"\0" * 100, "pcm_s24", RATE, 1, "no whole number"),
        (b"\0" * 102, "pcm", RATE, 2, "no whole number"),
        (b"\0" * 100, "cassette", RATE, 1, "'cassette' is not known; known: aac"),
        (b"\0" * 100, "wav", RATE, 1, "does not begin like any wav"),
        (b"\0" * 100, "webm", RATE, 1, "does not begin like any webm"),
        (b"\0" * 100, "mp3", RATE, 1, "damaged or cut off"),
        (b"RIFF\x00\x00\x00\x00WAVE", "wav", RATE, 1, "no data chunk"),
        (b"fLaC" + b"\xff" * 100, "flac", RATE, 1, "damaged or cut off"),
        (b"OggS" + b"\xff" * 100, "ogg", RATE, 1, "damaged or cut off"),
        (b"\x1a\x45\xdf\xa3" + b"\xff" * 100, "webm", RATE, 1, "damaged or cut off"),
        (b"\0\0\0\x20ftypisom" + b"\xff" * 100, "mp4", RATE, 1, "damaged or cut off"),
        (wav(b"\0" * 100, claimed=1000), "wav", RATE, 1, "100 bytes of the 1000 that it announces"),
        (wav(b""), "wav", RATE, 1, "not a single sample|damaged"),
        (wav(b"\0" * 100, rate=1), "wav", RATE, 1, "sample rate of 1 Hz"),
        (wav(b"\0" * 100, rate=4_000_000), "wav", RATE, 1, "sample rate"),
        (wav(b"\0" * 100, channels=50, bits=8), "wav", RATE, 1, "50 channels"),
        (np.array([np.nan] * 10, "<f4").tobytes(), "pcm_f32", RATE, 1, "no numbers"),
        (np.array([np.inf] * 10, "<f8").tobytes(), "pcm_f64le", 48_000, 1, "no numbers"),
    ],
)
def test_what_is_wrong_is_refused_by_name(data: bytes, name: str, rate: int, channels: int, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        decode_audio(data, name, rate, channels)


@pytest.mark.parametrize("name", ["wav", "flac", "mp4"])
def test_a_file_that_is_cut_off_is_refused(name: str) -> None:
    whole = encoded(tone(440, 3.0, 48_000), name)
    with pytest.raises(InvalidArgument, match="cut off"):
        decode_audio(whole[: len(whole) // 2], name)


def test_a_wav_that_was_streamed_has_no_size_and_is_read() -> None:
    for claimed in (0, 0xFFFFFFFF):
        assert len(decode_audio(wav(pcm16(tone(440, 0.5)), claimed=claimed), "wav")) == RATE // 2


def test_too_many_bytes() -> None:
    with pytest.raises(InvalidArgument, match="has 1000 bytes, the limit is 999"):
        decode_audio(b"\0" * 1000, limits=AudioLimits(max_bytes=999))


@pytest.mark.parametrize("name", [*CODECS, "pcm"])
def test_too_many_seconds(name: str) -> None:
    data = pcm16(tone(440, 2.0)) if name == "pcm" else encoded(tone(440, 2.0, 48_000), name)
    with pytest.raises(InvalidArgument, match=r"longer than 1\.5 s"):
        decode_audio(data, name, limits=AudioLimits(max_s=1.5))
    assert len(decode_audio(data, name, limits=AudioLimits(max_s=2.5))) == pytest.approx(2 * RATE, rel=0.1)


def test_hours_of_silence_in_few_bytes_are_refused_before_they_are_decoded() -> None:
    data = encoded(np.zeros(48_000 * 60, np.float32), "flac")
    assert len(data) < 200_000
    with pytest.raises(InvalidArgument, match="longer than 2 s"):
        decode_audio(data, "flac", limits=AudioLimits(max_s=2.0))


def test_a_playlist_is_never_followed() -> None:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n"
    for name in ("mp3", "aac", "wav", "hls", "m3u8"):
        with pytest.raises(InvalidArgument):
            decode_audio(playlist, name)


def test_values_past_full_scale_are_clipped() -> None:
    samples = decode_audio(np.array([3.0, -3.0] * 10, "<f4").tobytes(), "pcm_f32")
    assert (samples.min(), samples.max()) == (-1.0, 1.0)


NAMES = st.sampled_from(sorted({*PCM, *DEMUXERS, "", "nonsense"}))


def decodes_or_refuses(data: bytes, name: str, rate: int, channels: int) -> None:
    with contextlib.suppress(InvalidArgument):
        samples = decode_audio(data, name, rate, channels, AudioLimits(max_s=5.0))
        assert np.isfinite(samples).all()
        assert 0 < len(samples) <= 5 * RATE


@given(st.binary(max_size=2000), NAMES, st.integers(-1, 200_000), st.integers(-1, 10))
def test_any_bytes_are_decoded_or_refused(data: bytes, name: str, rate: int, channels: int) -> None:
    decodes_or_refuses(data, name, rate, channels)


@settings(max_examples=300)
@given(st.data(), st.sampled_from(sorted(CODECS)))
def test_a_damaged_file_is_decoded_or_refused(data: st.DataObject, name: str) -> None:
    damaged = bytearray(sample_file(name))
    for _ in range(data.draw(st.integers(1, 20))):
        head = data.draw(st.booleans())
        damaged[data.draw(st.integers(0, (200 if head else len(damaged)) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(len(damaged) // 10, len(damaged)))
    decodes_or_refuses(bytes(damaged[:end]), name, RATE, 1)
