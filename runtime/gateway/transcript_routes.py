"""A meeting's transcript over HTTP: page by page as JSON, or whole as WebVTT or SubRip subtitles."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from protocols import http
from protocols.errors import Code
from protocols.meetings import GetTranscript, TranscriptLine, TranscriptPage
from runtime.gateway import negotiation, subtitles
from runtime.gateway.call import Call
from runtime.gateway.failures import NotAcceptable
from runtime.gateway.route import API, Route

JSON_TYPE: Final = "application/json"
_TYPES: Final = {"json": JSON_TYPE, "vtt": subtitles.VTT_TYPE, "srt": subtitles.SRT_TYPE}
_WRITERS: Final = {subtitles.VTT_TYPE: subtitles.vtt, subtitles.SRT_TYPE: subtitles.srt}
_PAGE_LINES: Final = 1000


async def get_transcript(call: Call, sent: http.TranscriptQuery) -> TranscriptPage | web.Response:
    """What was said, as JSON, `text/vtt` or `application/x-subrip`, by `format` or the `Accept` header."""
    kind = _TYPES[sent.format] if sent.format else _accepted(call.request.headers.get("Accept", ""))
    if kind == JSON_TYPE:
        return await _page(call, sent.cursor, sent.limit)
    page = await _page(call, "", _PAGE_LINES)
    lines: list[TranscriptLine] = list(page.items)
    while page.next_cursor:
        page = await _page(call, page.next_cursor, _PAGE_LINES)
        lines.extend(page.items)
    return web.Response(text=_WRITERS[kind](lines, page.origin), content_type=kind, charset="utf-8")


async def _page(call: Call, cursor: str, limit: int) -> TranscriptPage:
    message = GetTranscript(call.user.user_id, cursor, limit)
    return await call.ask(TranscriptPage, "meeting", call.number("meeting_id"), message)


def _accepted(header: str) -> str:
    kind = negotiation.choose(header, tuple(_TYPES.values()))
    if kind is None:
        raise NotAcceptable(f"a transcript comes as {', '.join(_TYPES.values())}")
    return kind


ROUTES: Final[tuple[Route[Any], ...]] = (
    Route(
        "GET",
        f"{API}/meetings/{{meeting_id}}/transcript",
        get_transcript,
        http.TranscriptQuery,
        http.Transcript,
        "What was said in it",
        "meetings",
        also_gives=(subtitles.VTT_TYPE, subtitles.SRT_TYPE),
        refuses=(Code.NOT_FOUND, Code.PERMISSION_DENIED),
    ),
)
