"""What an operator sees of one node's part in the cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterStatistics:
    """Figures of one node's part. `frames_lost` were lost by the medium, `repeated` came twice and were dropped."""

    node: str
    members: int
    version: int
    paused: bool
    entities: int
    asked: int
    owed: int
    outbox: int
    frames_sent: int
    parcels_sent: int
    parcels_received: int
    parcels_repeated: int
    parcels_lost: int
    send_retries: int
