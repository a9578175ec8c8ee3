"""Meetings and participants in SQLite."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from models.instants import from_us, to_us
from models.paging import Integer, Page, decode_cursor, encode_cursor
from models.records import (
    Meeting,
    MeetingSettings,
    MeetingStatus,
    MeetingType,
    NewMeeting,
    Participant,
    ParticipantRole,
)
from models.records.bounds import FENCE, Check, check_page
from models.sqlite.connection import Database, Row, Transaction
from models.stores import Clock
from protocols.errors import Aborted, FailedPrecondition, NotFound

_PLAN: Final = (
    "title, description, status, meeting_type, start_time, end_time, actual_start_time, actual_end_time,"
    " max_participants, password_hash, settings"
)
_COLUMNS: Final = f"id, {_PLAN}, creator_id, created_at, version"
_PARTICIPANT: Final = "meeting_id, user_id, username, role, joined_at, left_at"
_NEWEST: Final = (2**63 - 1,)


class SqliteMeetings:
    """A `MeetingStore`."""

    __slots__ = ("_clock", "_database")

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, new: NewMeeting) -> Meeting:
        async with self._database.transaction() as transaction:
            [row] = await transaction.rows(
                f"INSERT INTO meetings ({_PLAN}, creator_id, created_at, version)"
                f" VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?, ?, ?, ?, 1) RETURNING {_COLUMNS}",
                (
                    new.title,
                    new.description,
                    MeetingStatus.SCHEDULED,
                    new.meeting_type,
                    to_us(new.start_time),
                    to_us(new.end_time),
                    new.max_participants,
                    new.password_hash,
                    _settings_json(new.settings),
                    new.creator_id,
                    to_us(self._clock()),
                ),
            )
            return _meeting(row)

    async def get(self, meeting_id: int) -> Meeting:
        row = await self._database.row(f"SELECT {_COLUMNS} FROM meetings WHERE id = ?", (meeting_id,))
        if row is None:
            raise NotFound("no such meeting")
        return _meeting(row)

    async def update(self, meeting: Meeting, *, fence: int | None = None) -> Meeting:
        async with self._database.transaction() as transaction:
            stored = await _fenced(transaction, meeting.id, fence)
            if stored != meeting.version:
                raise Aborted(f"the meeting is in version {stored}, not {meeting.version}")
            [row] = await transaction.rows(
                f"UPDATE meetings SET ({_PLAN}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?), version = version + 1"
                f" WHERE id = ? RETURNING {_COLUMNS}",
                (
                    meeting.title,
                    meeting.description,
                    meeting.status,
                    meeting.meeting_type,
                    to_us(meeting.start_time),
                    to_us(meeting.end_time),
                    to_us(meeting.actual_start_time),
                    to_us(meeting.actual_end_time),
                    meeting.max_participants,
                    meeting.password_hash,
                    _settings_json(meeting.settings),
                    meeting.id,
                ),
            )
            return _meeting(row)

    async def list_for_user(self, user_id: int, *, cursor: str = "", limit: int = 50) -> Page[Meeting]:
        check_page(limit)
        [before] = decode_cursor(cursor, _NEWEST, tuple[Integer])
        # Two short walks along an index each: with an OR instead, a user of few meetings would cost a walk over all.
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM meetings WHERE id IN ("
            " SELECT id FROM meetings WHERE creator_id = ? AND id < ?"
            " UNION SELECT meeting_id FROM participants WHERE user_id = ? AND meeting_id < ?"
            " ORDER BY 1 DESC LIMIT ?) ORDER BY id DESC",
            (user_id, before, user_id, before, limit + 1),
        )
        return _page(rows, limit)

    async def list_active(self, *, cursor: str = "", limit: int = 50) -> Page[Meeting]:
        check_page(limit)
        [before] = decode_cursor(cursor, _NEWEST, tuple[Integer])
        rows = await self._database.rows(
            f"SELECT {_COLUMNS} FROM meetings WHERE status = 'active' AND id < ? ORDER BY id DESC LIMIT ?",
            (before, limit + 1),
        )
        return _page(rows, limit)

    async def join(self, participant: Participant, *, fence: int | None = None) -> Participant:
        async with self._database.transaction() as transaction:
            await _fenced(transaction, participant.meeting_id, fence)
            [row] = await transaction.rows(
                f"INSERT INTO participants ({_PARTICIPANT}) VALUES (?, ?, ?, ?, ?, NULL)"
                " ON CONFLICT DO UPDATE SET username = excluded.username, role = excluded.role, left_at = NULL"
                f" RETURNING {_PARTICIPANT}",
                (
                    participant.meeting_id,
                    participant.user_id,
                    participant.username,
                    participant.role,
                    to_us(participant.joined_at),
                ),
            )
            return _participant(row)

    async def leave(self, meeting_id: int, user_id: int, left_at: datetime, *, fence: int | None = None) -> Participant:
        async with self._database.transaction() as transaction:
            await _fenced(transaction, meeting_id, fence)
            row = await transaction.row(
                "UPDATE participants SET left_at = coalesce(left_at, max(joined_at, ?))"
                f" WHERE meeting_id = ? AND user_id = ? RETURNING {_PARTICIPANT}",
                (to_us(left_at), meeting_id, user_id),
            )
            if row is None:
                raise NotFound("no such participant")
            return _participant(row)

    async def participant(self, meeting_id: int, user_id: int) -> Participant:
        row = await self._database.row(
            f"SELECT {_PARTICIPANT} FROM participants WHERE meeting_id = ? AND user_id = ?", (meeting_id, user_id)
        )
        if row is None:
            raise NotFound("no such participant")
        return _participant(row)

    async def participants(self, meeting_id: int, *, present: bool = False) -> tuple[Participant, ...]:
        rows = await self._database.rows(
            f"SELECT {_PARTICIPANT} FROM participants WHERE meeting_id = ? AND (left_at IS NULL OR NOT ?)"
            " ORDER BY joined_at, user_id",
            (meeting_id, present),
        )
        return tuple(map(_participant, rows))


async def _fenced(transaction: Transaction, meeting_id: int, fence: int | None) -> int:
    """Claim a meeting for a write under `fence`, and return its version. Raises FailedPrecondition for a lost lease."""
    row = await transaction.row("SELECT version, fence FROM meetings WHERE id = ?", (meeting_id,))
    if row is None:
        raise NotFound("no such meeting")
    version: int = row["version"]
    if fence is None:
        return version
    check = Check("write")
    check.within(FENCE, fence=fence)
    check.done()
    if fence < row["fence"]:
        raise FailedPrecondition(f"the lease under fence {fence} is lost: the meeting was written under {row['fence']}")
    if fence > row["fence"]:
        await transaction.rows("UPDATE meetings SET fence = ? WHERE id = ?", (fence, meeting_id))
    return version


def _page(rows: list[Row], limit: int) -> Page[Meeting]:
    """The page of the first `limit` rows; one row more says that another page follows."""
    found = tuple(map(_meeting, rows[:limit]))
    return Page(found, encode_cursor((found[-1].id,)) if len(rows) > limit else "")


def _settings_json(settings: MeetingSettings) -> str:
    return msgspec.json.encode(settings).decode()


def _meeting(row: Row) -> Meeting:
    return Meeting(
        id=row["id"],
        title=row["title"],
        description=row["description"],
        creator_id=row["creator_id"],
        status=MeetingStatus(row["status"]),
        meeting_type=MeetingType(row["meeting_type"]),
        start_time=from_us(row["start_time"]),
        end_time=from_us(row["end_time"]),
        actual_start_time=from_us(row["actual_start_time"]),
        actual_end_time=from_us(row["actual_end_time"]),
        max_participants=row["max_participants"],
        password_hash=row["password_hash"],
        settings=msgspec.json.decode(row["settings"], type=MeetingSettings),
        created_at=from_us(row["created_at"]),
        version=row["version"],
    )


def _participant(row: Row) -> Participant:
    return Participant(
        meeting_id=row["meeting_id"],
        user_id=row["user_id"],
        username=row["username"],
        role=ParticipantRole(row["role"]),
        joined_at=from_us(row["joined_at"]),
        left_at=from_us(row["left_at"]),
    )
