"""What a failure of Redis means to a caller, and which ones pass by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis import exceptions

from protocols.errors import Internal, ParleyError, PermissionDenied, Unavailable

RETRY_AFTER_S: Final = 1.0

_PASSING: Final = (
    exceptions.ConnectionError,  # BusyLoading and "no more connections" are kinds of it
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.NoScriptError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.AskError,
    exceptions.RedisClusterException,
    OSError,
)
_PASSING_REPLIES: Final = ("MISCONF", "LOADING", "BUSY", "NOREPLICAS", "UNBLOCKED", "CLUSTERDOWN", "MASTERDOWN")
_REFUSED: Final = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)


@contextmanager
def translated() -> Iterator[None]:
    """Within it, an error of redis-py is raised as the ParleyError that it means: Unavailable for what will pass."""
    try:
        yield
    except (exceptions.RedisError, exceptions.RedisClusterException, OSError) as error:
        raise _meaning(error) from error


def _meaning(error: Exception) -> ParleyError:
    if isinstance(error, _REFUSED):
        return PermissionDenied(f"Redis refuses the login or the command: {error}")
    # A cross-slot script is a defect of ours, not a state of the cluster.
    wrong = isinstance(error, exceptions.ClusterCrossSlotError | exceptions.CrossSlotTransactionError)
    if not wrong and (isinstance(error, _PASSING) or str(error).startswith(_PASSING_REPLIES)):
        return Unavailable(f"Redis is away: {error}", retry_after_s=RETRY_AFTER_S)
    return Internal(f"Redis refused a command: {error}")
