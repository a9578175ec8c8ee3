"""Going to rest early: for an entity that knows that nobody will ask for it again soon."""

from __future__ import annotations

from runtime.engine import Actor


def rest_if_idle(actor: Actor) -> None:
    """Stop an entity whose mailbox is empty. Its next message begins a new life; while any waits here, it goes on."""
    if actor.system.statistics_of(actor.ref).mailbox == 0:
        actor.stop()
