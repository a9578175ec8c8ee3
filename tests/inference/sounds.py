"""Sounds for tests, made from numbers: tones and noise, as arrays and in every container that is read."""

from __future__ import annotations

import io
import struct
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CODECS: Final[dict[str, tuple[str, str, str]]] = {
    "wav": ("wav", "pcm_s16le", "s16"),
    "flac": ("flac", "flac", "s16"),
    "ogg": ("ogg", "libopus", "s16"),
    "webm": ("webm", "libopus", "s16"),
    "mp3": ("mp3", "libmp3lame", "s16p"),
    "mp4": ("mp4", "aac", "fltp"),
}
"""By format name: FFmpeg's muxer, encoder and sample format."""


def tone(hz: float, seconds: float, rate: int = 16_000, level: float = 0.5) -> Floats:
    """A sine wave."""
    time = np.arange(int(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def noise(seconds: float, level: float = 0.1, seed: int = 1) -> Floats:
    """White noise at 16 kHz, the same for the same seed."""
    return (level * np.random.default_rng(seed).standard_normal(int(seconds * 16_000))).astype(np.float32)


def pcm16(samples: Floats) -> bytes:
    """As signed 16-bit little endian."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


def encoded(samples: Floats, name: str, rate: int = 48_000, channels: int = 2) -> bytes:
    """The samples in a container, the same in every channel."""
    muxer, codec, layout = CODECS[name]
    target = io.BytesIO()
    speakers = "stereo" if channels == 2 else "mono"
    with av.open(target, mode="w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate, layout=speakers, format=layout)
        assert isinstance(stream, av.AudioStream)
        planes = np.repeat(samples[np.newaxis, :], channels, axis=0)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=speakers)
        frame.sample_rate = rate
        resampler = av.AudioResampler(layout, speakers, rate, stream.codec_context.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return target.getvalue()


def wav(data: bytes, rate: int = 16_000, channels: int = 1, bits: int = 16, claimed: int | None = None) -> bytes:
    """A WAV file by hand, whose header may claim what it likes."""
    size = len(data) if claimed is None else claimed
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, (rate * block) & 0xFFFFFFFF, block & 0xFFFF, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", len(body) & 0xFFFFFFFF) + body
