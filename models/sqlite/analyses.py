"""Results of AI tasks in SQLite, each result as JSON text."""

from __future__ import annotations

from typing import Final

from models.instants import from_us, to_us
from models.paging import Integer, Page, decode_cursor, encode_cursor
from models.records import Analysis, decode_result, encode_result
from models.records.bounds import check_page
from models.sqlite.connection import Database, Row

_COLUMNS: Final = "task_id, result_type, meeting_id, user_id, result, confidence, created_at"
_FIRST: Final = (-(2**63), "", "")


class SqliteAnalyses:
    """An `AnalysisStore`."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, analysis: Analysis) -> bool:
        async with self._database.transaction() as transaction:
            written = await transaction.rows(
                f"INSERT INTO analyses ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (task_id, result_type) DO NOTHING RETURNING task_id",
                (
                    analysis.task_id,
                    analysis.result_type,
                    analysis.meeting_id,
                    analysis.user_id,
                    encode_result(analysis.result),
                    analysis.confidence,
                    to_us(analysis.created_at),
                ),
            )
            return bool(written)

    async def list_for_meeting(self, meeting_id: int, *, cursor: str = "", limit: int = 100) -> Page[Analysis]:
        check_page(limit)
        after = decode_cursor(cursor, _FIRST, tuple[Integer, str, str])
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM analyses"
            " WHERE meeting_id = ? AND (created_at, task_id, result_type) > (?, ?, ?)"
            " ORDER BY created_at, task_id, result_type LIMIT ?",
            (meeting_id, *after, limit + 1),
        )
        found = tuple(map(_analysis, rows[:limit]))
        return Page(found, _cursor(found[-1]) if len(rows) > limit else "")

    async def by_task(self, task_id: str) -> tuple[Analysis, ...]:
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM analyses WHERE task_id = ? ORDER BY result_type", (task_id,)
        )
        return tuple(map(_analysis, rows))


def _cursor(last: Analysis) -> str:
    return encode_cursor((to_us(last.created_at), last.task_id, last.result_type))


def _analysis(row: Row) -> Analysis:
    return Analysis(
        task_id=row["task_id"],
        meeting_id=row["meeting_id"],
        user_id=row["user_id"],
        result=decode_result(row["result_type"], row["result"]),
        confidence=row["confidence"],
        created_at=from_us(row["created_at"]),
    )
