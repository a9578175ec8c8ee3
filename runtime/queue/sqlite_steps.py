"""The transitions of the embedded queue: plain functions over one connection, each called within a transaction.

They are what the Lua scripts are to Redis, step by step, and keep the same promises.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from protocols.task_message import Priority
from runtime.queue.limits import QueueLimits
from runtime.queue.task_queue import (
    Buried,
    Claim,
    Completed,
    Entry,
    Exchange,
    Exchanged,
    Failed,
    GivenBack,
    Intake,
    Settlement,
)

REPLY_KEPT_MS: Final = 120_000
CANCELLED_KEPT_MS: Final = 3_600_000
LEASE_RAN_OUT: Final = "its lease ran out: the worker died or hung"

_RANK: Final = {priority: rank for rank, priority in enumerate(Priority)}
_RETRIES: Final = re.compile(rb'"retry_count":\d+')


class Header(msgspec.Struct, frozen=True):
    """What the queue itself reads of a message."""

    id: str
    type: str
    priority: Priority
    retry_count: int
    max_retries: int
    visibility_timeout: float


header: Final = msgspec.json.Decoder(Header).decode


@dataclass(frozen=True, slots=True)
class Steps:
    """`now_ms`: of this transaction."""

    db: sqlite3.Connection
    limits: QueueLimits
    now_ms: int

    # ---- taking in

    def take_in(self, intake: Intake) -> tuple[str | None, ...]:
        """Take tasks in; the answers of the interface."""
        again = self._replied(intake.caller, intake.number)
        if again is not None:
            return tuple(None if one == "-" else one for one in again)
        answers = [self._take_in(entry) for entry in intake.entries]
        self._reply(intake.caller, intake.number, [one or "-" for one in answers])
        return tuple(answers)

    def _take_in(self, entry: Entry) -> str | None:
        due_ms = self.now_ms + round(entry.delay_s * 1000) if entry.due is None else int(entry.due.timestamp() * 1000)
        delayed = due_ms > self.now_ms
        if self._full(_RANK[entry.priority], delayed):
            return None
        if entry.key:
            until_ms = self.now_ms + round(self.limits.key_ttl_s * 1000)
            self.db.execute("DELETE FROM keys WHERE key = ? AND until_ms <= ?", (entry.key, self.now_ms))
            self.db.execute("INSERT OR IGNORE INTO keys VALUES (?, ?, ?)", (entry.key, entry.id, until_ms))
            holder: str = self._one("SELECT id FROM keys WHERE key = ?", entry.key)[0]
            if holder != entry.id:
                return holder
        self._insert(entry.text, due_ms if delayed else 0)
        return entry.id

    def _insert(self, text: bytes, due_ms: int = 0) -> bool:
        read = header(text)
        waits = ("delayed" if due_ms else "waiting", self._last_place(), due_ms)
        counts = (read.retry_count, read.max_retries, round(read.visibility_timeout * 1000))
        columns = "(id, type, priority, state, place, due_ms, retries, most, visibility_ms, text)"
        query = f"INSERT OR IGNORE INTO tasks {columns} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        values = (read.id, read.type, _RANK[read.priority], *waits, *counts, text)
        return bool(self.db.execute(query, values).rowcount)

    def _full(self, rank: int, delayed: bool) -> bool:
        where, values = ("state = 'delayed'", ()) if delayed else ("state = 'waiting' AND priority = ?", (rank,))
        # Counted no further than the limit.
        query = f"SELECT count(*) FROM (SELECT 1 FROM tasks WHERE {where} LIMIT ?)"
        return bool(self._one(query, *values, self.limits.waiting)[0] >= self.limits.waiting)

    # ---- a worker's exchange

    def exchange(self, exchange: Exchange) -> Exchanged:
        """Settle, tidy up, claim."""
        again = self._replied(exchange.caller, exchange.number)
        if again is not None:
            return Exchanged(tuple(self._held(again)), (), self.due_in_s())
        refused = tuple(one.claim.id for one in exchange.settlements if not self._settle(one))
        self.tidy()
        claims = self._claim(exchange.batch, dict(exchange.rooms)) if exchange.batch > 0 else []
        if claims or exchange.settlements:
            self._reply(exchange.caller, exchange.number, [f"{claim.id}/{claim.fence}" for claim in claims])
        return Exchanged(tuple(claims), refused, self.due_in_s())

    def _held(self, marks: Sequence[str]) -> Iterable[Claim]:
        for mark in marks:
            task_id, _, fence = mark.rpartition("/")
            found = self._one("SELECT text FROM tasks WHERE id = ? AND fence = ? AND state = 'running'", task_id, fence)
            if found:
                yield Claim(task_id, int(fence), found[0])

    def _settle(self, settlement: Settlement) -> bool:
        claim = settlement.claim
        query = "SELECT cancelling, retries, most, text FROM tasks WHERE id = ? AND fence = ? AND state = 'running'"
        found = self._one(query, claim.id, claim.fence)
        if not found:
            return False
        cancelling, retries, most, text = found
        match settlement:
            case Completed(result=result, result_ttl_s=ttl_s):
                self._forget(claim.id)
                self.count("done")
                if ttl_s > 0:
                    self._keep(claim.id, result, round(ttl_s * 1000))
            case Buried(reason=reason):
                self._bury(claim.id, text, reason)
            case Failed(reason=reason, delay_s=delay_s) if not cancelling:
                self._failed(claim.id, text, retries, most, reason, round(delay_s * 1000), first=False)
            case GivenBack() if not cancelling:
                self._wait(claim.id, text, retries, self._first_place())
            case _:
                self.finish_cancelled(claim.id)
        return True

    def _failed(
        self, task_id: str, text: bytes, retries: int, most: int, reason: str, delay_ms: int, *, first: bool
    ) -> None:
        if retries >= most:
            self._bury(task_id, text, reason)
            return
        self.count("retried")
        place = self._first_place() if first else self._last_place()
        self._wait(task_id, with_retries(text, retries + 1), retries + 1, place, delay_ms)

    def _wait(self, task_id: str, text: bytes, retries: int, place: int, delay_ms: int = 0) -> None:
        state, due_ms = ("delayed", self.now_ms + delay_ms) if delay_ms > 0 else ("waiting", 0)
        self.db.execute(
            "UPDATE tasks SET state = ?, place = ?, due_ms = ?, text = ?, retries = ?, fence = 0, progress = NULL "
            "WHERE id = ?",
            (state, place, due_ms, text, retries, task_id),
        )

    def tidy(self) -> None:
        """What is due begins to wait; what has lost its worker waits again; what was kept long enough goes."""
        due = "SELECT id FROM tasks WHERE state = 'delayed' AND due_ms <= ? ORDER BY due_ms LIMIT 200"
        for (task_id,) in self.db.execute(due, (self.now_ms,)).fetchall():
            place = self._last_place()
            self.db.execute("UPDATE tasks SET state = 'waiting', place = ?, due_ms = 0 WHERE id = ?", (place, task_id))
        lapsed = (
            "SELECT id, cancelling, retries, most, text FROM tasks WHERE state = 'running' AND due_ms <= ? LIMIT 200"
        )
        for task_id, cancelling, retries, most, text in self.db.execute(lapsed, (self.now_ms,)).fetchall():
            self.count("reaped")
            if cancelling:
                self.finish_cancelled(task_id)
            else:
                self._failed(task_id, text, retries, most, LEASE_RAN_OUT, 0, first=True)
        for table in ("results", "keys", "replies"):
            self.db.execute(f"DELETE FROM {table} WHERE until_ms <= ?", (self.now_ms,))

    def _claim(self, batch: int, rooms: dict[str, int]) -> list[Claim]:
        turn = self.counted("turn")
        high, normal, low = self.limits.own_slots(turn, batch)
        claims: list[Claim] = []
        self._strictly(batch - min(batch, high + normal + low), rooms, claims)
        for rank, own in ((3, low), (2, normal), (1, high)):
            self._take(rank, min(own, batch - len(claims)), rooms, claims)
        self._strictly(batch, rooms, claims)
        if claims:
            self.count("turn", len(claims))
        return claims

    def _strictly(self, most: int, rooms: dict[str, int], claims: list[Claim]) -> None:
        for rank in _RANK.values():
            self._take(rank, most - len(claims), rooms, claims)

    def _take(self, rank: int, most: int, rooms: dict[str, int], claims: list[Claim]) -> None:
        until = len(claims) + most
        while len(claims) < until and (types := [name for name, room in rooms.items() if room > 0]):
            query = (
                "SELECT id, type, visibility_ms, text FROM tasks WHERE state = 'waiting' AND priority = ? "
                f"AND type IN ({','.join('?' * len(types))}) ORDER BY place LIMIT ?"
            )
            asked = until - len(claims)
            found = self.db.execute(query, (rank, *types, asked)).fetchall()
            for task_id, kind, visibility_ms, text in found:
                if rooms[kind] > 0:
                    rooms[kind] -= 1
                    claims.append(self._hold(task_id, visibility_ms, text))
            if len(found) < asked:
                return

    def _hold(self, task_id: str, visibility_ms: int, text: bytes) -> Claim:
        fence = self.count("fence")
        self.db.execute(
            "UPDATE tasks SET state = 'running', fence = ?, due_ms = ? WHERE id = ?",
            (fence, self.now_ms + visibility_ms, task_id),
        )
        return Claim(task_id, fence, text)

    def due_in_s(self) -> float | None:
        """Seconds until the next task is due or the next lease runs out."""
        first = self._one("SELECT min(due_ms) FROM tasks WHERE state <> 'waiting'")[0]
        return None if first is None else max(0.0, (first - self.now_ms) / 1000)

    # ---- the ends

    def _bury(self, task_id: str, text: bytes, reason: str) -> None:
        self.db.execute(
            "INSERT INTO dead (id, died_ms, reason, text) VALUES (?, ?, ?, ?)", (task_id, self.now_ms, reason, text)
        )
        self._forget(task_id)
        self.count("dead")
        over = self._one("SELECT count(*) FROM dead")[0] - self.limits.dead
        if over > 0:
            self.db.execute("DELETE FROM dead WHERE seq IN (SELECT seq FROM dead ORDER BY seq LIMIT ?)", (over,))
            self.count("dead_dropped", over)

    def finish_cancelled(self, task_id: str) -> None:
        """The task is over, and can be seen to have been cancelled for a while."""
        self._forget(task_id)
        self._keep(task_id, None, CANCELLED_KEPT_MS)
        self.count("cancelled")

    def replay(self, seq: int, text: bytes) -> bool:
        """Let a dead task wait again. False when another of its id is alive."""
        if not self._insert(with_retries(text, 0)):
            return False
        self.db.execute("DELETE FROM dead WHERE seq = ?", (seq,))
        return True

    def _forget(self, task_id: str) -> None:
        self.db.execute("DELETE FROM tasks WHERE id = ?", (task_id,))

    def _keep(self, task_id: str, result: bytes | None, kept_ms: int) -> None:
        self.db.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (task_id, result, self.now_ms + kept_ms))

    # ---- small change

    def count(self, what: str, by: int = 1) -> int:
        """Count; the new number."""
        query = (
            "INSERT INTO counts VALUES (?, ?) ON CONFLICT (what) DO UPDATE SET number = number + excluded.number "
            "RETURNING number"
        )
        return int(self._one(query, what, by)[0])

    def counted(self, what: str) -> int:
        """How many were counted so far."""
        found = self._one("SELECT number FROM counts WHERE what = ?", what)
        return int(found[0]) if found else 0

    def _last_place(self) -> int:
        return self.count("last")

    def _first_place(self) -> int:
        return self.count("first", -1)

    def _replied(self, caller: str, number: int) -> list[str] | None:
        found = self._one("SELECT reply FROM replies WHERE caller = ? AND number = ?", caller, number)
        return found[0].split() if found else None

    def _reply(self, caller: str, number: int, words: Sequence[str]) -> None:
        values = (caller, number, " ".join(words), self.now_ms + REPLY_KEPT_MS)
        self.db.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", values)

    def _one(self, query: str, *values: object) -> Any:
        return self.db.execute(query, values).fetchone()


def with_retries(text: bytes, retries: int) -> bytes:
    """The message with another count of retries: the first one in our form is its own."""
    return _RETRIES.sub(b'"retry_count":%d' % retries, text, count=1)


def depths_of(rows: Iterable[tuple[int, int]]) -> Mapping[Priority, int]:
    """The lengths of the lists, from counts by rank."""
    found = dict(rows)
    return {priority: found.get(rank, 0) for priority, rank in _RANK.items()}
