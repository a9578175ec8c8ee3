"""Membership: this node's heartbeat, and from the answers to it who else is there.

A node that cannot renew its heartbeat stops counting on it before others may (`settings.py` states the margin). One
that was out of touch buries nobody, and takes nobody for gone, until it has been in touch for as long as a heartbeat
lives: after an outage of the store everybody gets the time to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

import structlog

from protocols.errors import ParleyError
from runtime.cluster.patience import pause, retry_s, within
from runtime.cluster.settings import ClusterSettings
from runtime.cluster.signal import Signal
from runtime.cluster.store import Beat, Member, SharedStore
from runtime.cluster.view import View
from runtime.engine import Clock
from runtime.engine.clock import Handle

log: Final = structlog.get_logger("parley.cluster")

REFRESH_AT_MOST_EVERY_S: Final = 0.02


class Follower(Protocol):
    """Who is told what becomes of the membership. Calls come on the loop, one after the other."""

    def view_changed(self, view: View, gone: Iterable[Member]) -> None:
        """Another view holds from now on; these members are in it no more."""

    def out_of_touch(self) -> None:
        """This node must not count on what it holds any more, until `in_touch`."""

    async def reborn(self, before: str) -> None:
        """This node was `before`, has been buried, and begins again under a new id. ParleyError: it did not work."""

    async def verify(self) -> None:
        """The heartbeat holds again: find out what this node still holds. ParleyError: it did not work."""

    def in_touch(self) -> None:
        """What `verify` has left may be counted on again."""


@dataclass(slots=True)
class Identity:
    """What this node says of itself."""

    name: str
    kinds: frozenset[str]
    roles: tuple[str, ...] = ()
    node: str = ""
    leaving: bool = False


class Membership:
    """Keeps the heartbeat and the view. Owned by the cluster, which runs `run` in a task."""

    def __init__(
        self,
        identity: Identity,
        store: SharedStore,
        clock: Clock,
        rng: Random,
        settings: ClusterSettings,
    ) -> None:
        self.identity = identity
        self.view = View(0, ())
        self.paused = False
        self.away_since: float | None = None
        self._store = store
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self.follower: Follower
        self._signal = Signal(asyncio.get_running_loop(), clock)
        self._in_touch_since: float | None = None
        self._safe_until = 0.0
        self._alarm: Handle | None = None
        self._joined = False
        self._born = 0

    @property
    def node(self) -> str:
        """This run's id, `name:epoch`."""
        return self.identity.node

    async def enrol(self) -> None:
        """Get this run's id. Raises Unavailable when the store is away."""
        epoch = await within(self._settings.call_timeout_s, self._store.join(self.identity.name))
        self.identity.node = f"{self.identity.name}:{epoch}"

    async def join(self) -> None:
        """Become a member. Raises Unavailable."""
        await self._beat()
        self._joined = True

    async def run(self) -> None:
        """Beat until cancelled."""
        failures = 0
        while True:
            settings = self._settings
            failed_s = retry_s(failures, settings.retry_min_s, settings.beat_s, self._rng)
            await self._signal.wait(failed_s if failures else settings.beat_s)
            try:
                await self._beat()
                failures = 0
            except ParleyError as error:
                failures += 1
                self._missed(error, failures)
            await pause(REFRESH_AT_MOST_EVERY_S, self._clock)

    def refresh(self) -> None:
        """Ask now: somebody knows more."""
        self._signal.set()

    async def caught_up(self, version: int) -> None:
        """Wait until the view is of this version or a later one, for two heartbeats at most."""
        deadline = self._clock.time() + 2 * self._settings.beat_s
        while self.view.version < version and self._clock.time() < deadline:
            self.refresh()
            await pause(REFRESH_AT_MOST_EVERY_S, self._clock)

    async def leave(self) -> None:
        """End the membership."""
        self.close()
        await within(self._settings.call_timeout_s, self._store.leave(self.node))

    def close(self) -> None:
        """Let go of the timer."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def all_have_seen(self, version: int) -> bool:
        """Whether every other member knows the membership of this version."""
        return all(member.seen >= version for member in self.view.members.values() if member.id != self.node)

    def away(self) -> bool:
        """Whether the store has been away for so long that waiting for it makes no sense."""
        since = self.away_since
        return since is not None and self._clock.time() - since > self._settings.fail_fast_after_s

    async def _beat(self) -> None:
        settings, sent = self._settings, self._clock.time()
        since = self._in_touch_since
        bury = since is not None and sent - since >= settings.ttl_s
        mine = self.identity
        member = Member(mine.node, mine.kinds, mine.roles, mine.leaving, self.view.version)
        beat = await within(self._settings.call_timeout_s, self._store.beat(member, settings.ttl_s, bury))
        if beat.was_buried:
            await self._begin_again()
            return
        if beat.born != self._born:
            if self._joined and self.paused:
                # It may have been buried, and that be forgotten too.
                await within(settings.call_timeout_s, self._store.leave(self.node))
                self._born = beat.born
                await self._begin_again()
                return
            # Who is not there has yet to say so again.
            self._born, bury, since = beat.born, False, None
        doubtful = self._joined and (since is None or self.paused)
        self._apply(beat, settled=bury)
        if doubtful:
            # Under the new heartbeat nobody takes anything more; what was taken before shows now.
            await self.follower.verify()
        self._in_touch_since = sent if since is None else since
        self.away_since = None
        self._safe_until = sent + settings.ttl_s - settings.margin_s
        self._set_alarm()
        if self.paused:
            self.paused = False
            log.info("in touch again", node=self.node)
            self.follower.in_touch()

    async def _begin_again(self) -> None:
        """Others took this run of the node for dead: it is, but for the process, which goes on as another."""
        before = self.node
        self._out_of_touch("others took this node for dead")
        self._in_touch_since = None
        await self.enrol()
        log.warning("begins again", node=self.node, before=before)
        await self.follower.reborn(before)
        await self._beat()

    def _apply(self, beat: Beat, *, settled: bool) -> None:
        known = {member.id: member for member in beat.members}
        before = self.view.members
        if not settled:
            # Who is missing may be coming back just as this node is; who was leaving has left.
            mine = self.identity.name
            known = {id_: one for id_, one in before.items() if not one.leaving and one.name != mine} | known
        gone = [member for id_, member in before.items() if id_ not in known]
        changed = known.keys() != before.keys() or beat.version != self.view.version
        self.view = View(beat.version, known.values())
        if changed:
            self.follower.view_changed(self.view, gone)

    def _missed(self, error: ParleyError, failures: int) -> None:
        self._in_touch_since = None
        if self.away_since is None:
            self.away_since = self._clock.time()
        if failures.bit_count() == 1:
            log.warning("heartbeat failed", node=self.node, error=error.detail, failures=failures)

    def _set_alarm(self) -> None:
        self.close()
        self._alarm = self._clock.call_at(self._safe_until, self._lapsed)

    def _lapsed(self) -> None:
        self._alarm = None
        if self._clock.time() >= self._safe_until:
            self._out_of_touch("the heartbeat could not be renewed in time")
        else:
            self._set_alarm()

    def _out_of_touch(self, why: str) -> None:
        if not self.paused:
            self.paused = True
            log.warning("entities pause", node=self.node, why=why)
            self.follower.out_of_touch()
