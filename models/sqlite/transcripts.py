"""Transcripts in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from models.instants import from_us, to_us
from models.paging import Integer, Page, decode_cursor, encode_cursor
from models.records import TranscriptSegment
from models.records.bounds import check_page
from models.sqlite.connection import Database, Row

_COLUMNS: Final = (
    "meeting_id, task_id, user_id, segment_index, text, confidence, language, start_at, start_ms, end_ms, created_at"
)
_FIRST: Final = (-(2**63), "", -1)


class SqliteTranscripts:
    """A `TranscriptStore`."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, segments: Sequence[TranscriptSegment]) -> int:
        if not segments:
            return 0
        async with self._database.transaction() as transaction:
            return await transaction.many(
                f"INSERT INTO transcript_segments ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (task_id, segment_index) DO NOTHING",
                [
                    (
                        segment.meeting_id,
                        segment.task_id,
                        segment.user_id,
                        segment.index,
                        segment.text,
                        segment.confidence,
                        segment.language,
                        to_us(segment.start_at),
                        segment.start_ms,
                        segment.end_ms,
                        to_us(segment.created_at),
                    )
                    for segment in segments
                ],
            )

    async def list_for_meeting(self, meeting_id: int, *, cursor: str = "", limit: int = 500) -> Page[TranscriptSegment]:
        check_page(limit)
        after = decode_cursor(cursor, _FIRST, tuple[Integer, str, Integer])
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM transcript_segments"
            " WHERE meeting_id = ? AND (start_at, task_id, segment_index) > (?, ?, ?)"
            " ORDER BY start_at, task_id, segment_index LIMIT ?",
            (meeting_id, *after, limit + 1),
        )
        found = tuple(map(_segment, rows[:limit]))
        return Page(found, _cursor(found[-1]) if len(rows) > limit else "")


def _cursor(last: TranscriptSegment) -> str:
    return encode_cursor((to_us(last.start_at), last.task_id, last.index))


def _segment(row: Row) -> TranscriptSegment:
    return TranscriptSegment(
        meeting_id=row["meeting_id"],
        task_id=row["task_id"],
        user_id=row["user_id"],
        index=row["segment_index"],
        text=row["text"],
        confidence=row["confidence"],
        language=row["language"],
        start_at=from_us(row["start_at"]),
        start_ms=row["start_ms"],
        end_ms=row["end_ms"],
        created_at=from_us(row["created_at"]),
    )
