"""What the parts of one node's cluster share, and how what cannot be delivered is accounted for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from protocols.cluster import Answer, Ask, Flush, Flushed, Gone, Stop, Tell, Watch
from protocols.errors import ParleyError
from runtime.cluster.errors import NodeAway
from runtime.cluster.exchange import Exchange
from runtime.cluster.membership import Membership
from runtime.cluster.outbox import Outbox
from runtime.cluster.parked import Parked
from runtime.cluster.settings import ClusterSettings
from runtime.cluster.view import View
from runtime.engine import ActorSystem, MailboxFull, Reason
from runtime.engine.envelope import Envelope

DONE: Final = Raw(b"\x92\x00\xc0")
"""The answer None (`codec.py`)."""


@dataclass(slots=True)
class Station:
    """The shared parts."""

    system: ActorSystem
    settings: ClusterSettings
    membership: Membership
    outbox: Outbox
    exchange: Exchange
    # Runs of nodes that are over, and whether they left in good order.
    gone: dict[str, bool] = field(default_factory=dict)

    @property
    def node(self) -> str:
        """This run's id."""
        return self.membership.node

    @property
    def view(self) -> View:
        """The members as this node knows them."""
        return self.membership.view

    def is_gone(self, node: str) -> bool:
        """Whether this run of a node is known to be over."""
        return node in self.gone

    def send(self, node: str, target: str, parked: Parked) -> bool:
        """Send to an address on another node what is here. False: refused, and who sent it was told."""
        if isinstance(parked, Envelope):
            if self.membership.away():
                self.exchange.refuse(parked, target, NodeAway("Redis is away, and so is every other node"))
                return False
            return self.exchange.send(node, target, parked)
        frame = parked.frame
        if frame.hops >= self.settings.max_hops:
            self.refuse(parked, NodeAway(f"{target} was passed on {frame.hops} times: the nodes do not agree yet"))
            return False
        changes: dict[str, object] = {"hops": frame.hops + 1}
        if not isinstance(frame, Tell | Stop):
            changes["origin"] = parked.origin
        if isinstance(frame, Ask):
            changes["due_s"] = parked.deadline
        passed = replace(frame, **changes)
        if isinstance(frame, Tell | Ask):
            if not self.outbox.put(node, passed):
                self.refuse(parked, MailboxFull(f"too much waits to be sent to {node}"), Reason.MAILBOX_FULL)
                return False
        else:
            self.outbox.put_always(node, passed)
        return True

    def refuse(self, parked: Parked, error: ParleyError, reason: Reason = Reason.REFUSED, target: str = "") -> None:
        """Account for what will not get to its actor, and tell who waits."""
        if isinstance(parked, Envelope):
            self.exchange.refuse(parked, target, error, reason)
            return
        frame = parked.frame
        match frame:
            case Tell():
                self.exchange.bury(frame.message, frame.target, error, reason)
            case Ask():
                self.exchange.bury(frame.message, frame.target, error, reason)
                self.exchange.fail(parked.origin, frame.id, error)
            case Watch():
                self.outbox.put_always(parked.origin, Gone(frame.id))
            case Flush():
                self.outbox.put_always(parked.origin, Flushed(frame.id))
            case _:
                pass  # a cancellation or a stop of what is not there

    def settle(self, parked: Parked) -> None:
        """Do what there is to do for an entity that is not active, and would not be started for this."""
        if isinstance(parked, Envelope):
            if parked.reply is not None and not parked.reply.done():
                parked.reply.set_result(None)  # who waits for its end need not wait
        elif isinstance(parked.frame, Ask):
            self.outbox.put_always(parked.origin, Answer(parked.frame.id, DONE))
        else:
            self.refuse(parked, NodeAway("it is not active"))
