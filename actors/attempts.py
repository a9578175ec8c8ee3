"""A brute-force limit: so many failures within a window, and no further try until the oldest has left it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    """`most` failures within `window_s` seconds."""

    most: int = 10
    window_s: float = 300.0


class Attempts:
    """The failures of one account, or of one user at one door. Times are any clock's that only grows, in seconds."""

    __slots__ = ("_failures", "_limit")

    def __init__(self, limit: AttemptLimit) -> None:
        self._limit = limit
        self._failures: deque[float] = deque(maxlen=limit.most)

    def wait_s(self, now: float) -> float:
        """How long until the next try is let through; 0.0: at once."""
        if len(self._failures) < self._limit.most:
            return 0.0
        return max(0.0, self._failures[0] + self._limit.window_s - now)

    def failed(self, now: float) -> None:
        """Count a failure."""
        self._failures.append(now)

    def forget(self) -> None:
        """It went well: begin anew."""
        self._failures.clear()

    def matter(self, now: float) -> bool:
        """Whether any failure is still within the window."""
        return bool(self._failures) and self._failures[-1] + self._limit.window_s > now
