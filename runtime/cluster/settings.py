"""The cluster's times and bounds.

The times that keep two nodes from carrying one entity: a heartbeat lives for `ttl_s`. A node counts on its own for
`ttl_s - margin_s` from the moment it began to send it, then its entities pause; others bury the node when the
heartbeat is gone, `ttl_s` after the store took it in at the earliest. So between the two lie `margin_s` at least, for
clocks that run unevenly and for the message that is being handled when the pause comes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Settings of one node; the times must be alike on all nodes.

    `beat_s`: between heartbeats. `call_timeout_s`: how long a call of the store may take. `fail_fast_after_s`: once
    the store has been away for so long, remote asks fail at once in place of waiting.
    `outbox_frames`: that wait for one node, `parcel_frames`: that leave in one parcel, `inbox_parcels`: that may wait
    in a node's inbox. `hold`: messages that wait for one entity while it starts or moves, for `hold_s` at most.
    `flush_s`: the longest wait for the way to an entity's former node to be clear. `handover_s`: how long an entity
    may take to work off its mailbox before it moves. `routes`: entities whose whereabouts are remembered.
    """

    beat_s: float = 0.5
    ttl_s: float = 3.0
    margin_s: float = 1.0
    call_timeout_s: float = 1.0
    fail_fast_after_s: float = 1.0
    retry_min_s: float = 0.02
    retry_max_s: float = 0.5
    outbox_frames: int = 20_000
    parcel_frames: int = 512
    inbox_parcels: int = 20_000
    hold: int = 10_000
    hold_s: float = 15.0
    flush_s: float = 5.0
    handover_s: float = 10.0
    routes: int = 65_536
    max_hops: int = 8

    def __post_init__(self) -> None:
        if not 0 < self.beat_s < self.ttl_s - self.margin_s < self.ttl_s:
            raise ValueError("0 < beat_s < ttl_s - margin_s, and margin_s > 0: else a node pauses between heartbeats")


DEFAULT = ClusterSettings()
