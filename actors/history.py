"""Reads one page of what came of a meeting, for a member that the meeting has checked."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from actors.views import analysis_view, transcript_line
from models.records.bounds import PAGE_LIMIT
from models.stores import AnalysisStore, TranscriptStore, UserStore
from protocols.meetings import AnalysisPage, GetAnalyses, GetTranscript, TranscriptPage
from runtime.engine import Actor, on

LONGEST_PAGE: Final = int(PAGE_LIMIT.most)


class History(Actor):
    """For one request."""

    def __init__(
        self,
        meeting_id: int,
        origin: datetime,
        transcripts: TranscriptStore,
        analyses: AnalysisStore,
        users: UserStore,
    ) -> None:
        self._meeting_id = meeting_id
        self._origin = origin
        self._transcripts = transcripts
        self._analyses = analyses
        self._users = users

    @on(GetTranscript)
    async def transcript(self, message: GetTranscript) -> TranscriptPage:
        """A page of the transcript; one that is asked for longer than a store gives is shorter, with a cursor."""
        try:
            limit = min(message.limit, LONGEST_PAGE)
            page = await self._transcripts.list_for_meeting(self._meeting_id, cursor=message.cursor, limit=limit)
            speakers = await self._users.by_ids(sorted({segment.user_id for segment in page.items}))
            names = {user.id: user.username for user in speakers}
            lines = tuple(transcript_line(segment, names) for segment in page.items)
            return TranscriptPage(lines, self._origin, page.next_cursor)
        finally:
            self.stop()

    @on(GetAnalyses)
    async def analyses(self, message: GetAnalyses) -> AnalysisPage:
        """A page of the results of the AI."""
        try:
            limit = min(message.limit, LONGEST_PAGE)
            page = await self._analyses.list_for_meeting(self._meeting_id, cursor=message.cursor, limit=limit)
            return AnalysisPage(tuple(map(analysis_view, page.items)), page.next_cursor)
        finally:
            self.stop()
