"""The journal of durable groups: an event is in it from before `publish` returns until its group has handled it.

A group that has once subscribed is in the journal for good: events are kept for it also while nobody subscribes for it,
after a restart for example, until `forget`.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

from protocols.errors import FailedPrecondition, ResourceExhausted, Unavailable
from runtime.topics.journal_file import DeadEvent, Entry, GroupName, JournalFile, Outcome
from runtime.topics.journal_writer import RETRY_AFTER_S, JournalWriter

LATEST: Final = 2**63 - 1


class Journal:
    """Opened with `await Journal.open(path)`. `limit` bounds what one group may leave unhandled."""

    def __init__(self, file: JournalFile, executor: ThreadPoolExecutor | None, limit: int) -> None:
        self._file = file
        self._writer = JournalWriter(file, executor)
        self._limit = limit
        self._depths: Counter[GroupName] = Counter()
        self._dead: Counter[GroupName] = Counter()
        self._groups: dict[GroupName, None] = {}
        self._unsaved: dict[GroupName, None] = {}
        self._listeners: dict[GroupName, Callable[[], object]] = {}

    @classmethod
    async def open(cls, path: Path, *, limit: int = 100_000, busy_timeout_s: float = 1.0) -> Journal:
        """Open or make the journal at `path`, readable by its owner alone.

        Raises Unavailable naming the file when that cannot be done, or when another process holds it for longer than
        `busy_timeout_s`.
        """
        executor = ThreadPoolExecutor(1, thread_name_prefix="journal")
        try:
            file = await asyncio.get_running_loop().run_in_executor(executor, _open_file, path, busy_timeout_s)
        except BaseException as error:
            executor.shutdown(wait=False)
            if isinstance(error, sqlite3.Error | OSError):
                raise Unavailable(f"cannot open the journal {path}: {_reason(error)}") from error
            raise
        journal = cls(file, executor, limit)
        try:
            await journal._load()
        except BaseException:
            await journal.close()
            raise
        return journal

    @classmethod
    async def in_memory(cls, *, limit: int = 100_000) -> Journal:
        """A journal without a file and without a thread: for simulations on virtual time. It ends with the process."""
        journal = cls(JournalFile(":memory:", 0), None, limit)
        await journal._load()
        return journal

    # ---- groups

    def admit(self, group: GroupName) -> None:
        """Keep events for this group from now on, also in later lives of the node. Raises Unavailable when closed."""
        if group not in self._groups:
            self._save(group)
            self._groups[group] = None

    def groups(self, topic: str) -> list[GroupName]:
        """The groups of a topic, with a subscriber or without."""
        return [group for group in self._groups if group.topic == topic]

    def listen(self, group: GroupName, kept: Callable[[], object]) -> Callable[[], None]:
        """Call `kept` on the loop whenever there is something new for a group. Returns the way to end it."""
        self._listeners[group] = kept

        def end() -> None:
            if self._listeners.get(group) is kept:
                del self._listeners[group]

        return end

    def has_listener(self, group: GroupName) -> bool:
        """Whether somebody subscribes for a group now."""
        return group in self._listeners

    async def forget(self, group: GroupName) -> int:
        """Let go of a group that nobody will subscribe for any more; returns how many unhandled events go with it.

        Raises FailedPrecondition while it has a subscriber. Its dead events stay until they are dropped.
        """
        if group in self._listeners:
            raise FailedPrecondition(f"group {group} has a subscriber: end that first")
        dropped: int = await self._writer.change(
            partial(self._file.forget_group, group),
            committed=lambda count: self._depths.subtract({group: count}),
            failed=lambda: self._groups.update({group: None}),
            at_once=lambda: self._groups.pop(group, None),
        )
        return dropped

    @property
    def depths(self) -> dict[GroupName, int]:
        """Events that wait, by group."""
        return {group: self._depths[group] for group in self._groups}

    @property
    def dead_counts(self) -> dict[GroupName, int]:
        """Dead events, by group."""
        return {group: count for group, count in self._dead.items() if count}

    # ---- events

    async def append(self, groups: Sequence[GroupName], envelope: bytes) -> None:
        """Keep an event for these groups, all or none. Raises ResourceExhausted when one of them is full, Unavailable.

        A caller that is cancelled does not take the event back: it is kept, unless the disk refuses it.
        """
        for group in groups:
            if self._depths[group] >= self._limit:
                raise ResourceExhausted(
                    f"group {group.name!r} of {group.topic} has {self._limit} unhandled events",
                    retry_after_s=RETRY_AFTER_S,
                )
        unsaved, self._unsaved = self._unsaved, {}
        for group in unsaved:
            self._save(group)
        await self._writer.change(
            partial(self._file.append, groups, envelope),
            at_once=lambda: self._depths.update(groups),
            committed=lambda _: self._tell(groups),
            failed=lambda: self._depths.subtract(groups),
        )

    async def pending(self, group: GroupName, after: int, limit: int) -> list[Entry]:
        """The oldest unhandled events behind place `after`, at most `limit`. Raises Unavailable."""
        return await self._writer.read(partial(self._file.pending, group, after, limit))

    async def settle(self, group: GroupName, outcome: Outcome) -> tuple[int, int]:
        """Write down what became of events: handled ones are let go of, dead ones put aside with the reason.

        Returns how many of each there were; one that was settled before counts no more. Raises Unavailable.
        """

        def committed(counts: tuple[int, int]) -> None:
            self._depths[group] -= sum(counts)
            self._dead[group] += counts[1]

        settled: tuple[int, int] = await self._writer.change(partial(self._file.settle, outcome), committed=committed)
        return settled

    # ---- dead events, for an operator

    async def dead(self, limit: int = 100, *, before: int = LATEST) -> list[DeadEvent]:
        """The latest dead events, newest first; `before` the `seq` of the last one seen gets the next page."""
        return await self._writer.read(partial(self._file.dead, limit, before))

    async def replay(self, seqs: Iterable[int]) -> int:
        """Offer dead events to their groups again, behind all others, even past the limit. Returns how many there were.

        Those of groups that were forgotten stay where they are.
        """

        def committed(moved: Counter[GroupName]) -> None:
            self._depths.update(moved)
            self._dead.subtract(moved)
            self._tell(moved)

        moved: Counter[GroupName] = await self._writer.change(
            partial(self._file.replay, tuple(seqs)), committed=committed
        )
        return moved.total()

    async def drop(self, seqs: Iterable[int]) -> int:
        """Delete dead events for good. Returns how many there were."""
        gone: Counter[GroupName] = await self._writer.change(
            partial(self._file.drop, tuple(seqs)), committed=self._dead.subtract
        )
        return gone.total()

    async def close(self) -> None:
        """Write what was asked for, and let go of the file. May be called twice."""
        await self._writer.close()

    # ---- within

    async def _load(self) -> None:
        file = self._file
        self._depths, self._dead, groups = await self._writer.read(
            lambda: (file.counts("pending"), file.counts("dead"), file.groups())
        )
        self._groups = dict.fromkeys(groups)

    def _save(self, group: GroupName) -> None:
        # One that could not be written goes along with the next event: from then on it matters.
        self._writer.submit(partial(self._file.add_group, group), failed=lambda: self._unsaved.update({group: None}))

    def _tell(self, groups: Iterable[GroupName]) -> None:
        for group in groups:
            if (listener := self._listeners.get(group)) is not None:
                listener()


def _open_file(path: Path, busy_timeout_s: float) -> JournalFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return JournalFile(str(path), busy_timeout_s)


def _reason(error: Exception) -> str:
    busy = isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    return "another process holds it, and a data folder is for one node" if busy else str(error)
