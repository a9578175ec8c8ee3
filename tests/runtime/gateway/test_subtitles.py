"""WebVTT and SubRip to the letter."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.meetings import TranscriptLine
from runtime.gateway.subtitles import srt, vtt
from tests.runtime.gateway.harness import WHEN


def line(text: str, start_ms: float = 0, end_ms: float = 1000, username: str = "ada") -> TranscriptLine:
    start, end = WHEN + timedelta(milliseconds=start_ms), WHEN + timedelta(milliseconds=end_ms)
    return TranscriptLine("t", 7, username, start, end, text, 0.9, "en")


def test_vtt_exactly() -> None:
    made = vtt([line("Hello & <welcome>"), line("a --> b", 3_661_001, 3_662_999, "O<o>")], WHEN)
    assert made == (
        "WEBVTT\n"
        "\n"
        "1\n"
        "00:00:00.000 --> 00:00:01.000\n"
        "<v ada>Hello &amp; &lt;welcome&gt;</v>\n"
        "\n"
        "2\n"
        "01:01:01.001 --> 01:01:02.999\n"
        "<v O&lt;o&gt;>a --&gt; b</v>\n"
    )


def test_srt_exactly() -> None:
    made = srt([line("Hello & <welcome>"), line("a --> b", 3_661_001, 3_662_999)], WHEN)
    assert made == (
        "1\n00:00:00,000 --> 00:00:01,000\nada: Hello & <welcome>\n\n2\n01:01:01,001 --> 01:01:02,999\nada: a - -> b\n"
    )


def test_nothing_said() -> None:
    assert (vtt([], WHEN), srt([], WHEN)) == ("WEBVTT\n", "")


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "times"),
    [
        (-500, 200, "00:00:00.000 --> 00:00:00.200"),
        (-500, -200, "00:00:00.000 --> 00:00:00.001"),
        (700, 700, "00:00:00.700 --> 00:00:00.701"),
        (700, 600, "00:00:00.700 --> 00:00:00.701"),
        (59_999.9, 60_000, "00:00:59.999 --> 00:01:00.000"),
        (359_999_999, 360_000_000, "99:59:59.999 --> 100:00:00.000"),
    ],
)
def test_times(start_ms: float, end_ms: float, times: str) -> None:
    assert times in vtt([line("x", start_ms, end_ms)], WHEN).splitlines()


@given(st.lists(st.tuples(st.text(), st.text())))
def test_no_text_breaks_a_file(said: list[tuple[str, str]]) -> None:
    lines = [line(text, username=name) for name, text in said]
    blocks = vtt(lines, WHEN).split("\n\n")
    assert len(blocks) == len(lines) + 1
    for number, block in enumerate(blocks[1:], 1):
        count, times, payload = block.rstrip("\n").split("\n")
        assert (count, times) == (str(number), "00:00:00.000 --> 00:00:01.000")
        assert "-->" not in payload
        assert re.fullmatch(r"<v [^<>]*>[^<>]*</v>", payload)
    cues = srt(lines, WHEN).split("\n\n") if lines else []
    assert [cue.split("\n")[0] for cue in cues] == [str(number) for number in range(1, len(lines) + 1)]
    assert all(cue.count("-->") == 1 for cue in cues)
