"""From a client's bytes to float32 mono at 16 kHz in -1..1. No claim is trusted: what is wrong is refused and named.

Memory stays bounded by the limits given, whatever the data promises: decoding stops at the first sample too many.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from inference.audio_formats import DECODERS, PCM, PcmLayout, canonical, demuxer_of
from protocols.errors import InvalidArgument

Samples = NDArray[np.float32]
AnySamples = NDArray[Any]

RATE: Final = 16_000
_RATES_HZ: Final = (8_000, 192_000)
_MAX_CHANNELS: Final = 8
_BLOCK_S: Final = 1.0
_CUT_OFF_S: Final = 0.5
_EXACT_DURATION: Final = frozenset({"wav", "flac", "mov", "matroska"})


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """How much one payload may hold: bytes as sent, and seconds as decoded."""

    max_bytes: int = 64 * 1024 * 1024
    max_s: float = 600.0


def decode_audio(
    data: bytes | memoryview,
    audio_format: str = "pcm",
    sample_rate: int = RATE,
    channels: int = 1,
    limits: AudioLimits = AudioLimits(),
) -> Samples:
    """Decode one payload to mono float32 at 16 kHz; several channels become their mean.

    `sample_rate` (8,000 to 192,000) and `channels` (1 to 8) describe raw PCM; a container says its own.
    Raises InvalidArgument for an unknown format, for data that is empty, damaged or cut off, and past a limit.
    """
    if not len(data):
        raise InvalidArgument("the audio is empty")
    if len(data) > limits.max_bytes:
        raise InvalidArgument(f"the audio has {len(data)} bytes, the limit is {limits.max_bytes}")
    name = canonical(audio_format) or "pcm"
    demuxer = demuxer_of(name, bytes(data[:16]))
    if demuxer:
        blocks = _container_blocks(data, demuxer)
        label = demuxer if demuxer != "mov" else "mp4"
    else:
        blocks = _pcm_blocks(data, PCM[name], sample_rate, channels, limits)
        label = name
    samples = _gather(blocks, label, limits.max_s)
    if not np.isfinite(samples).all():
        raise InvalidArgument(f"the {label} audio holds values that are no numbers (NaN or infinity)")
    return np.clip(samples, -1.0, 1.0)


@dataclass(frozen=True, slots=True)
class _Block:
    """A stretch of mono samples at the rate of its source."""

    samples: Samples
    rate: int


def _gather(blocks: Iterator[_Block], label: str, max_s: float) -> Samples:
    """Resample block by block to 16 kHz, and stop at the first sample past the limit."""
    most = int(max_s * RATE)
    resampler = _Resampler()
    pieces: list[Samples] = []
    total = 0
    try:
        for block in blocks:
            for piece in resampler.feed(block):
                pieces.append(piece)
                total += len(piece)
            if total > most:
                raise InvalidArgument(f"the audio is longer than {max_s:g} s, the limit")
        pieces.extend(resampler.flush())
    except av.error.FFmpegError as error:
        at = f" {total / RATE:.2f} s into it" if total else ""
        raise InvalidArgument(f"the {label} audio is damaged or cut off{at}: {error.strerror}") from None
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if not len(samples):
        raise InvalidArgument(f"the {label} audio holds not a single sample")
    if len(samples) > most:
        raise InvalidArgument(f"the audio is longer than {max_s:g} s, the limit")
    return samples


class _Resampler:
    """FFmpeg's band-limited resampler to 16 kHz, mono to mono; a source that changes its rate midway gets a new one."""

    def __init__(self) -> None:
        self._rate = 0
        self._resampler: av.AudioResampler | None = None

    def feed(self, block: _Block) -> Iterator[Samples]:
        if block.rate != self._rate:
            yield from self.flush()
            self._rate = block.rate
            if block.rate != RATE:
                self._resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        if self._resampler is None:
            yield block.samples
            return
        frame = av.AudioFrame.from_ndarray(block.samples[np.newaxis, :], format="flt", layout="mono")
        frame.sample_rate = block.rate
        yield from self._out(self._resampler, frame)

    def flush(self) -> Iterator[Samples]:
        if self._resampler is not None and self._rate:
            yield from self._out(self._resampler, None)
        self._resampler = None

    @staticmethod
    def _out(resampler: av.AudioResampler, frame: av.AudioFrame | None) -> Iterator[Samples]:
        for out in resampler.resample(frame):
            yield out.to_ndarray().reshape(-1).astype(np.float32, copy=False)


def _pcm_blocks(
    data: bytes | memoryview, layout: PcmLayout, rate: int, channels: int, limits: AudioLimits
) -> Iterator[_Block]:
    _check_shape(rate, channels)
    step = layout.width * channels
    if len(data) % step:
        raise InvalidArgument(
            f"{len(data)} bytes are no whole number of {layout.width}-byte samples in {channels} channel(s)"
        )
    if len(data) // step > limits.max_s * rate:
        raise InvalidArgument(f"the audio is longer than {limits.max_s:g} s, the limit")
    view = memoryview(data)
    block = int(rate * _BLOCK_S) * step
    for start in range(0, len(view), block):
        values = _pcm_values(view[start : start + block], layout)
        yield _Block(_mono(values.reshape(-1, channels).T), rate)


def _pcm_values(piece: memoryview, layout: PcmLayout) -> Samples:
    if layout.dtype:
        values = np.frombuffer(piece, dtype=layout.dtype)
    else:
        wide = np.zeros((len(piece) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(piece, np.uint8).reshape(-1, 3)
        values = wide.view("<i4").reshape(-1)
    with np.errstate(all="ignore"):
        scaled: Samples = ((values.astype(np.float64) - layout.offset) / layout.scale).astype(np.float32)
    if not np.isfinite(scaled).all():
        raise InvalidArgument("the PCM audio holds values that are no numbers (NaN or infinity)")
    return scaled


def _container_blocks(data: bytes | memoryview, demuxer: str) -> Iterator[_Block]:
    if demuxer == "wav":
        _check_riff(data)
    with av.open(io.BytesIO(data), mode="r", format=demuxer, metadata_errors="replace") as container:
        if not container.streams.audio:
            raise InvalidArgument("the file holds no audio track")
        stream = container.streams.audio[0]
        codec = stream.codec_context
        if codec.name not in DECODERS:
            raise InvalidArgument(f"audio coded as {codec.name!r} is not read here")
        codec.thread_count = 1
        claimed_s = (container.duration or 0) / 1e6 if demuxer in _EXACT_DURATION else 0.0
        decoded_s = 0.0
        for frame in container.decode(stream):
            channels = len(frame.layout.channels)
            _check_shape(frame.sample_rate, channels)
            decoded_s += frame.samples / frame.sample_rate
            yield _Block(_mono(_frame_values(frame, channels)), frame.sample_rate)
    if decoded_s + _CUT_OFF_S < claimed_s:
        raise InvalidArgument(f"the audio is cut off: {decoded_s:.2f} s of the {claimed_s:.2f} s that it announces")


_FRAME_SCALE: Final[dict[str, tuple[float, float]]] = {
    "u8": (128.0, 128.0),
    "s16": (0.0, 2.0**15),
    "s32": (0.0, 2.0**31),
    "s64": (0.0, 2.0**63),
    "flt": (0.0, 1.0),
    "dbl": (0.0, 1.0),
}


def _frame_values(frame: av.AudioFrame, channels: int) -> Samples:
    """The samples of a decoded frame as [channel, sample] floats in -1..1."""
    values: AnySamples = frame.to_ndarray()
    if frame.format.is_packed:
        values = values.reshape(-1, channels).T
    offset, scale = _FRAME_SCALE[frame.format.name.removesuffix("p")]
    with np.errstate(all="ignore"):
        scaled: Samples = ((values.astype(np.float32) - offset) / scale).astype(np.float32)
    return scaled


def _mono(values: Samples) -> Samples:
    """The mean over channels: what the channels of a client's stream mean is not known, and no one is to be lost."""
    if len(values) == 1:
        return np.ascontiguousarray(values[0])
    mean: Samples = values.mean(axis=0, dtype=np.float32)
    return mean


def _check_shape(rate: int, channels: int) -> None:
    low, high = _RATES_HZ
    if not low <= rate <= high:
        raise InvalidArgument(f"a sample rate of {rate} Hz is outside {low} to {high}")
    if not 1 <= channels <= _MAX_CHANNELS:
        raise InvalidArgument(f"{channels} channels are outside 1 to {_MAX_CHANNELS}")


def _check_riff(data: bytes | memoryview) -> None:
    """Compare the size that a WAV's data chunk claims with what is there; a stream writes 0 or all ones instead."""
    position = 12
    while position + 8 <= len(data):
        kind = bytes(data[position : position + 4])
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        if kind == b"data":
            there = len(data) - position - 8
            if there < size < 0x7FFF_FF00:
                raise InvalidArgument(f"the wav audio is cut off: {there} bytes of the {size} that it announces")
            return
        position += 8 + size + size % 2
    raise InvalidArgument("the wav audio is damaged or cut off: it has no data chunk")
