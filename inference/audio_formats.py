"""Which audio this node reads: the names that clients use, how raw PCM is laid out, and how a container is recognised.

Names are lower case; `audio/wav; codecs=1` counts as `wav`. What a container really is, its first bytes decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class PcmLayout:
    """Raw samples: numpy's name of one sample (3-byte integers have none: empty), its width and its full scale."""

    dtype: str
    width: int
    scale: float
    offset: float = 0.0


_S16: Final = PcmLayout("<i2", 2, 2.0**15)
_F32: Final = PcmLayout("<f4", 4, 1.0)

PCM: Final[dict[str, PcmLayout]] = {
    "pcm": _S16,
    "raw": _S16,
    "l16": PcmLayout(">i2", 2, 2.0**15),
    "pcm_u8": PcmLayout("u1", 1, 128.0, offset=128.0),
    "pcm_s8": PcmLayout("i1", 1, 128.0),
    "pcm_s16": _S16,
    "pcm_s16le": _S16,
    "pcm_s16be": PcmLayout(">i2", 2, 2.0**15),
    "pcm_s24": PcmLayout("", 3, 2.0**31),
    "pcm_s24le": PcmLayout("", 3, 2.0**31),
    "pcm_s32": PcmLayout("<i4", 4, 2.0**31),
    "pcm_s32le": PcmLayout("<i4", 4, 2.0**31),
    "pcm_f32": _F32,
    "pcm_f32le": _F32,
    "pcm_f64le": PcmLayout("<f8", 8, 1.0),
}
"""Raw PCM by name. `l16` is RFC 3551's: big endian. 24-bit samples are widened to 32 before they are scaled."""

DEMUXERS: Final[dict[str, str]] = {
    "wav": "wav",
    "wave": "wav",
    "x-wav": "wav",
    "flac": "flac",
    "x-flac": "flac",
    "ogg": "ogg",
    "oga": "ogg",
    "opus": "ogg",
    "vorbis": "ogg",
    "webm": "matroska",
    "weba": "matroska",
    "mkv": "matroska",
    "mka": "matroska",
    "mp3": "mp3",
    "mpeg": "mp3",
    "mp4": "mov",
    "m4a": "mov",
    "mov": "mov",
    "aac": "aac",
    "adts": "aac",
}
"""FFmpeg's demuxer of each container name. Only these are ever opened: others (playlists, scripts) read other files."""

DECODERS: Final = frozenset(
    (
        *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"),
        *("pcm_s16be", "pcm_s24be", "pcm_s32be", "flac", "alac"),
        *("opus", "libopus", "vorbis", "mp3", "mp3float", "aac"),
    )
)
"""The decoders that may run on what a client sends."""

UNSYNCED: Final = frozenset({"mp3", "aac"})
"""Containers without a signature that raw PCM could not show by chance; only a sender that names one gets one."""


def canonical(name: str) -> str:
    """The bare format name of what a client wrote: `audio/WAV; codecs=1` is `wav`."""
    bare = name.partition(";")[0].strip().lower()
    return bare.rpartition("/")[2]


def sniff(head: bytes) -> str:
    """FFmpeg's demuxer for data that starts like this, by its signature; empty where there is none."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "matroska"
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:3] == b"ID3":
        return "mp3"
    return ""


def demuxer_of(name: str, head: bytes) -> str:
    """How to open the data that is called `name`: a demuxer, or empty for raw PCM.

    A signature wins over the name: WAV data that is called `pcm` or `webm` is read as WAV. A container that is named
    and not there is refused, but for the two without a signature. Raises InvalidArgument.
    """
    found = sniff(head)
    if found:
        return found
    if name in PCM:
        return ""
    if name not in DEMUXERS:
        known = ", ".join(sorted({*PCM, *DEMUXERS}))
        raise InvalidArgument(f"the audio format {name!r} is not known; known: {known}")
    named = DEMUXERS[name]
    if named not in UNSYNCED:
        raise InvalidArgument(f"the audio is called {name!r}, but it does not begin like any {name} file")
    return named
