"""The journal's SQLite file: what each group has not handled, which groups there are, and what was given up.

Full synchronisation: what was committed survives the process and the machine. One process at a time holds the file.
Everything here blocks and raises sqlite3.Error; `Journal` calls it, from one thread.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS pending (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    envelope BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS pending_of_group ON pending (topic, name, seq);
CREATE TABLE IF NOT EXISTS dead (
    seq INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    envelope BLOB NOT NULL,
    attempts INTEGER NOT NULL,
    error TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS groups (
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (topic, name)
) WITHOUT ROWID;
"""

OF_GROUP: Final = "topic=? AND name=?"


@dataclass(frozen=True, slots=True)
class GroupName:
    """A durable group: subscribers of `topic` that share the name."""

    topic: str
    name: str

    def __str__(self) -> str:
        return f"{self.topic}/{self.name}"


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that a group has not handled: its place in the journal, its JSON envelope and the attempts so far."""

    seq: int
    envelope: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event that a group gave up, after how many attempts, and the error of the last. `seq` names it."""

    seq: int
    group: GroupName
    envelope: bytes
    attempts: int
    error: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of events that were offered to a group: places in the journal, and for `dead` the reasons.

    `back`: let go of, for any node to claim in so many seconds. A journal of one node has none of these.
    """

    handled: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()
    dead: tuple[tuple[int, str], ...] = ()
    back: tuple[tuple[int, float], ...] = ()


class JournalFile:
    """An open journal at `location`, a path or `:memory:`. Raises sqlite3.OperationalError when another holds it."""

    def __init__(self, location: str, busy_timeout_s: float) -> None:
        # Any thread may use it, one at a time: that is the caller's word.
        self._connection = sqlite3.connect(
            location, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            # Held until it is closed or the process is gone. Two nodes on one journal would handle each event twice.
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            # FULL: what was acknowledged outlives a power cut, which NORMAL does not promise under WAL.
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(f"BEGIN EXCLUSIVE; {SCHEMA} COMMIT;")
        except BaseException:
            self._connection.close()
            raise

    def transact(self, steps: Iterable[Callable[[], Any]]) -> list[Any]:
        """Do these steps in one transaction, all or none, and return what each returned."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            results = [step() for step in steps]
            connection.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled it back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return results

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self._connection.close()

    # ---- steps of a transaction

    def add_group(self, group: GroupName) -> None:
        """Remember a group."""
        self._connection.execute("INSERT OR IGNORE INTO groups VALUES (?, ?)", (group.topic, group.name))

    def forget_group(self, group: GroupName) -> int:
        """Drop a group and what waits for it; returns how many events those are."""
        of_group = (group.topic, group.name)
        self._connection.execute(f"DELETE FROM groups WHERE {OF_GROUP}", of_group)
        return self._connection.execute(f"DELETE FROM pending WHERE {OF_GROUP}", of_group).rowcount

    def append(self, groups: Sequence[GroupName], envelope: bytes) -> None:
        """Keep an event for these groups."""
        rows = [(group.topic, group.name, envelope) for group in groups]
        self._connection.executemany("INSERT INTO pending (topic, name, envelope) VALUES (?, ?, ?)", rows)

    def settle(self, outcome: Outcome) -> tuple[int, int]:
        """Write down an outcome. Returns how many events were let go of as handled, and how many as dead."""
        connection = self._connection
        delete = "DELETE FROM pending WHERE seq=?"
        handled = connection.executemany(delete, [(seq,) for seq in outcome.handled]).rowcount
        connection.executemany("UPDATE pending SET attempts=attempts+1 WHERE seq=?", [(seq,) for seq in outcome.failed])
        bury = "INSERT INTO dead SELECT seq, topic, name, envelope, attempts + 1, ? FROM pending WHERE seq=?"
        connection.executemany(bury, [(error, seq) for seq, error in outcome.dead])
        dead = connection.executemany(delete, [(seq,) for seq, _ in outcome.dead]).rowcount
        return max(handled, 0), max(dead, 0)

    def replay(self, seqs: Iterable[int]) -> Counter[GroupName]:
        """Move dead events of groups that still exist behind all others, with no attempt counted. Returns how many to
        which group.
        """
        take = (
            "DELETE FROM dead WHERE seq=? AND (topic, name) IN (SELECT topic, name FROM groups)"
            " RETURNING topic, name, envelope"
        )
        moved: Counter[GroupName] = Counter()
        for seq in seqs:
            for topic, name, envelope in self._connection.execute(take, (seq,)).fetchall():
                group = GroupName(topic, name)
                self.append([group], envelope)
                moved[group] += 1
        return moved

    def drop(self, seqs: Iterable[int]) -> Counter[GroupName]:
        """Delete dead events for good. Returns how many of which group."""
        dropped: Counter[GroupName] = Counter()
        for seq in seqs:
            row = self._connection.execute("DELETE FROM dead WHERE seq=? RETURNING topic, name", (seq,))
            dropped.update(GroupName(topic, name) for topic, name in row.fetchall())
        return dropped

    # ---- reading

    def groups(self) -> list[GroupName]:
        """Every group that has ever been, in the order of their names."""
        query = "SELECT topic, name FROM groups ORDER BY topic, name"
        return [GroupName(topic, name) for topic, name in self._connection.execute(query)]

    def counts(self, table: str) -> Counter[GroupName]:
        """Rows of `pending` or `dead` by group."""
        query = f"SELECT topic, name, COUNT(*) FROM {table} GROUP BY topic, name"
        return Counter({GroupName(topic, name): count for topic, name, count in self._connection.execute(query)})

    def pending(self, group: GroupName, after: int, limit: int) -> list[Entry]:
        """The oldest unhandled events of a group behind place `after`."""
        query = f"SELECT seq, envelope, attempts FROM pending WHERE {OF_GROUP} AND seq>? ORDER BY seq LIMIT ?"
        rows = self._connection.execute(query, (group.topic, group.name, after, limit))
        return [Entry(seq, envelope, attempts) for seq, envelope, attempts in rows]

    def dead(self, limit: int, before: int) -> list[DeadEvent]:
        """The latest dead events at places below `before`, newest first."""
        query = "SELECT seq, topic, name, envelope, attempts, error FROM dead WHERE seq<? ORDER BY seq DESC LIMIT ?"
        return [
            DeadEvent(seq, GroupName(topic, name), envelope, attempts, error)
            for seq, topic, name, envelope, attempts, error in self._connection.execute(query, (before, limit))
        ]
