"""The names of the queue's keys, and the scripts that work on them.

The six lists have the contract's names. Every script touches several keys, and in a cluster those must lie together:
there a prefix with a hash tag, by default `{parley}:`, stands before all names. With one server, or sentinels, there is
no prefix unless one is set.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

import protocols.tasks  # noqa: F401 - registers the types whose aliases the scripts know
from protocols import task_message
from protocols.errors import FailedPrecondition
from protocols.task_message import DEAD_LETTER_QUEUE, PROCESSING_QUEUE, Priority
from runtime.redis import Script

CLUSTER_PREFIX: Final = "{parley}:"
_TAG: Final = re.compile(r"\{[^{}]+\}")
_OWN: Final = (
    *("tasks", "leases", "delayed", "parked", "foreign", "dead", "cancelling", "counts", "progress", "idle", "state"),
)


def prefix_for(given: str, *, cluster: bool) -> str:
    """The prefix to use. Raises FailedPrecondition for one that cannot work in a cluster."""
    if not cluster:
        return given
    if given and not _TAG.search(given):
        raise FailedPrecondition(
            f"in a cluster the queue's prefix holds a hash tag, as {CLUSTER_PREFIX!r} does: {given!r}"
        )
    return given or CLUSTER_PREFIX


def key_names(prefix: str) -> tuple[str, ...]:
    """All fixed keys, in the order in which the scripts expect them."""
    lists = (*(priority.queue for priority in Priority), PROCESSING_QUEUE, DEAD_LETTER_QUEUE)
    return tuple(prefix + name for name in (*lists, *(f"queue:{name}" for name in _OWN)))


def _script(*parts: str) -> Script:
    folder = files("runtime.queue") / "lua"
    aliases = ", ".join(f"['{alias}'] = '{name}'" for alias, name in sorted(task_message.aliases().items()))
    texts = [(folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("common", *parts)]
    return Script("\n".join([f"local ALIASES = {{ {aliases} }}", *texts]))


EXCHANGE: Final = _script("settle", "tidy", "claim", "exchange")
ENQUEUE: Final = _script("enqueue")
RENEW: Final = _script("renew")
CANCEL: Final = _script("cancel")
PROGRESS: Final = _script("progress")
STATUS: Final = _script("status")
DEPTHS: Final = _script("depths")
DEAD: Final = _script("dead")
ADOPT: Final = _script("adopt")
