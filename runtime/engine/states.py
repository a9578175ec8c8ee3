"""The states of an actor, in the order of its life. Plain integers: the hot path compares them."""

from __future__ import annotations

from typing import Final

STARTING: Final = 0
RUNNING: Final = 1
SUSPENDED: Final = 2
"""Failed; its supervisor has not brought it back yet. The mailbox takes messages."""

RESTARTING: Final = 3
"""Being taken down and made anew, or waiting for its backoff. The mailbox takes messages."""

STOPPING: Final = 4
"""From here on messages are refused."""

STOPPED: Final = 5

STATE_NAMES: Final = ("starting", "running", "suspended", "restarting", "stopping", "stopped")
