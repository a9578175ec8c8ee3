"""A transcript as subtitles: WebVTT (https://www.w3.org/TR/webvtt1/) and SubRip, one cue a line of the transcript.

Times count from the transcript's origin. A cue never ends before it starts, and never starts before the origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from protocols.meetings import TranscriptLine

VTT_TYPE: Final = "text/vtt"
SRT_TYPE: Final = "application/x-subrip"

_MILLISECOND: Final = timedelta(milliseconds=1)
_VTT_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
"""`>` as well, so that no text can hold the arrow `-->`, which a cue's text may not (WebVTT, section 3.1)."""


def vtt(lines: Iterable[TranscriptLine], origin: datetime) -> str:
    """The WebVTT file: each cue is spoken by its user (a voice span)."""
    cues = ["WEBVTT\n"]
    for number, line in enumerate(lines, 1):
        start, end = _times(line, origin)
        name = _vtt_text(line.username)
        cues.append(f"\n{number}\n{_clock(start, '.')} --> {_clock(end, '.')}\n<v {name}>{_vtt_text(line.text)}</v>\n")
    return "".join(cues)


def srt(lines: Iterable[TranscriptLine], origin: datetime) -> str:
    """The SubRip file. SubRip has no escapes: the arrow is broken up instead."""
    cues = []
    for number, line in enumerate(lines, 1):
        start, end = _times(line, origin)
        text = f"{_one_line(line.username)}: {_one_line(line.text)}".replace("-->", "- ->")
        cues.append(f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text}\n")
    return "\n".join(cues)


def _times(line: TranscriptLine, origin: datetime) -> tuple[int, int]:
    start = max(0, (line.start - origin) // _MILLISECOND)
    end = max(0, (line.end - origin) // _MILLISECOND)
    # A cue's end must be greater than its start (WebVTT, section 3.1).
    return start, max(end, start + 1)


def _clock(milliseconds: int, mark: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{mark}{rest:03}"


def _vtt_text(text: str) -> str:
    return "".join(_VTT_ESCAPES.get(char, char) for char in _one_line(text))


def _one_line(text: str) -> str:
    # A blank line would end the cue: every run of white space, line breaks included, becomes one space.
    return " ".join(text.replace("\0", "").split())
