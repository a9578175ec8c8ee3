"""What a node does when the cluster around it changes: nodes come, leave or die, or it was itself taken for dead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog

from protocols.cluster import Ask, Frame, Tell
from runtime.cluster.addresses import is_entity
from runtime.cluster.errors import NodeAway
from runtime.cluster.intake import Intake
from runtime.cluster.parked import Arrived
from runtime.cluster.post_room import PostRoom
from runtime.cluster.station import Station
from runtime.cluster.store import Member
from runtime.cluster.transport import Transport
from runtime.cluster.view import View

log: Final = structlog.get_logger("parley.cluster")

GONE_KEPT: Final = 1024
"""Runs of nodes that are remembered to be over."""


class Tidings:
    """Follows the membership for the other parts."""

    def __init__(self, station: Station, post: PostRoom, intake: Intake, transport: Transport) -> None:
        self._station = station
        self._post = post
        self._intake = intake
        self._transport = transport

    def view_changed(self, view: View, gone: Iterable[Member]) -> None:
        """Nodes came or went."""
        gone = tuple(gone)
        log.info(
            "members changed",
            node=self._station.node,
            members=sorted(view.members),
            gone=[member.id for member in gone],
        )
        for member in gone:
            if len(self._station.gone) >= GONE_KEPT:
                del self._station.gone[next(iter(self._station.gone))]
            self._station.gone[member.id] = member.leaving
        for node in view.members:
            self._station.gone.pop(node, None)
        self._post.activations.view_changed()
        self._post.routes.view_changed(frozenset(member.id for member in gone))
        for member in gone:
            self._lost(member)

    def out_of_touch(self) -> None:
        """The leases may be another's before long."""
        self._post.activations.pause()

    async def reborn(self, before: str) -> None:
        """Everything that others knew of this node is void: what it held, what it was asked, and whom it watches."""
        await self._transport.open(self._station.node)
        self._intake.begin_again()
        self._post.addresses.former.add(before)
        self._post.activations.lose_all()
        self._station.exchange.close(NodeAway("this node was cut off from the others"))
        self._post.watches.begin_again()
        self._refuse(self._station.outbox.begin_again())
        self._post.routes.begin_again()

    async def verify(self) -> None:
        """Find out which leases hold."""
        await self._post.activations.verify()

    def in_touch(self) -> None:
        """Go on with what this node holds."""
        self._post.activations.resume()

    def _lost(self, member: Member) -> None:
        doubtful, unsent = self._station.outbox.drop(member.id)
        # What never left goes to the next owners; what may have arrived is not sent twice.
        again: list[Tell | Ask] = []
        for frame in unsent:
            if isinstance(frame, Tell | Ask) and is_entity(frame.target):
                again.append(frame)
                if isinstance(frame, Ask) and not frame.origin:
                    self._station.exchange.sent_elsewhere(frame.id)
            else:
                doubtful.append(frame)
        if not member.leaving:
            # Who was leaving has passed on what it had: the answers come from elsewhere.
            self._station.exchange.node_gone(member.id)
        self._post.watches.node_gone(member.id)
        self._refuse(doubtful)
        for unhurt in again:
            self._post.activations.put(unhurt.target, self._own_frame(unhurt))

    def _refuse(self, frames: Iterable[Frame]) -> None:
        for lost in frames:
            if isinstance(lost, Tell | Ask):
                self._station.refuse(self._own_frame(lost), NodeAway(f"it may not have got to {lost.target}"))

    def _own_frame(self, frame: Tell | Ask) -> Arrived:
        if isinstance(frame, Tell):
            return Arrived(frame, self._station.node)
        return Arrived(frame, frame.origin or self._station.node, frame.due_s)
