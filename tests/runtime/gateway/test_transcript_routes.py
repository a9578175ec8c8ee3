"""The transcript in its three forms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from protocols.errors import PermissionDenied
from protocols.meetings import GetTranscript, TranscriptLine, TranscriptPage
from tests.runtime.gateway.harness import WHEN, Edge

PATH = "/api/v1/meetings/5/transcript"


def line(number: int) -> TranscriptLine:
    start = WHEN + timedelta(seconds=number)
    return TranscriptLine(f"t{number}", 7, "ada", start, start + timedelta(seconds=1), f"line {number}", 0.5, "en")


@pytest.fixture
def paged(edge: Edge) -> Edge:
    """Three lines, two a page."""

    def answer(_: Any, message: GetTranscript) -> TranscriptPage:
        if message.cursor:
            return TranscriptPage((line(3),), WHEN)
        return TranscriptPage((line(1), line(2)), WHEN, "more")

    edge.behind.answers[GetTranscript] = answer
    return edge


async def test_json_is_one_page(paged: Edge) -> None:
    first = await paged.send("GET", f"{PATH}?limit=2")
    rest = await paged.send("GET", f"{PATH}?cursor=more")
    assert first.headers["Content-Type"].startswith("application/json")
    assert [one["text"] for one in first.json["items"]] == ["line 1", "line 2"]
    assert (first.json["origin"], first.json["next_cursor"]) == ("2026-05-04T10:30:00Z", "more")
    assert [one["start"] for one in rest.json["items"]] == ["2026-05-04T10:30:03Z"]
    assert paged.behind.told[0] == ("meeting", "5", GetTranscript(7, "", 2))


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        ("?format=vtt", "application/json", "text/vtt"),
        ("", "text/vtt", "text/vtt"),
        ("", "text/*, application/json;q=0.5", "text/vtt"),
        ("?format=srt", "", "application/x-subrip"),
        ("", "application/x-subrip, */*;q=0.1", "application/x-subrip"),
    ],
)
async def test_subtitles_are_whole(paged: Edge, query: str, accept: str, kind: str) -> None:
    answer = await paged.send("GET", PATH + query, headers={"Accept": accept})
    assert (answer.status, answer.headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    assert [f"line {number}" in answer.body.decode() for number in (1, 2, 3)] == [True, True, True]


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html, */*;q=0.8", "application/*"])
async def test_json_is_what_those_get_who_take_anything(paged: Edge, accept: str) -> None:
    answer = await paged.send("GET", PATH, headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"


async def test_a_form_that_there_is_not(paged: Edge) -> None:
    accepted = await paged.send("GET", PATH, headers={"Accept": "text/html"})
    asked = await paged.send("GET", f"{PATH}?format=doc")
    assert (accepted.status, accepted.json["status"]) == (406, 406)
    assert (asked.status, asked.json["errors"][0]["field"]) == (400, "format")


async def test_not_for_strangers(edge: Edge) -> None:
    edge.behind.answers[GetTranscript] = PermissionDenied("not a member")
    answer = await edge.send("GET", f"{PATH}?format=vtt")
    assert (answer.status, answer.json["code"]) == (403, "PERMISSION_DENIED")
