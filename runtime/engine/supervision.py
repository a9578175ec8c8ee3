"""How a supervisor answers the failure of a child: strategy, directive, restart intensity and backoff, all as data.

The terms and the strategies are those of Erlang/OTP supervisors; `resume` and `escalate` come from Akka.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from enum import Enum


class Strategy(Enum):
    """Who is restarted when one child is to be."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class Directive(Enum):
    """What happens to a child that failed."""

    RESUME = "resume"
    RESTART = "restart"
    STOP = "stop"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delay before the n-th restart in a row: `min_s * factor**(n-1)`, at most `max_s`, less up to `jitter` of itself.

    Jitter (0 to 1) keeps actors that failed together from coming back together.
    """

    min_s: float = 0.1
    max_s: float = 30.0
    factor: float = 2.0
    jitter: float = 0.2

    def delay_s(self, attempt: int, rng: random.Random) -> float:
        """Seconds to wait before restart number `attempt` (from 1)."""
        # The exponent is capped: a float power overflows long before max_s is in doubt.
        grown = min(self.max_s, self.min_s * self.factor ** min(attempt - 1, 64))
        return grown * (1.0 - self.jitter * rng.random())


@dataclass(frozen=True, slots=True)
class Supervision:
    """A supervisor's rules. `directives` is read in order, the first matching exception type wins, else `otherwise`.

    More than `max_restarts` within `within_s` seconds is too intense: then `exceeded` applies. The window is the
    supervisor's, over all children, or with `per_child` each child's own.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    directives: tuple[tuple[type[BaseException], Directive], ...] = ()
    otherwise: Directive = Directive.RESTART
    max_restarts: int = 5
    within_s: float = 10.0
    exceeded: Directive = Directive.ESCALATE
    per_child: bool = False
    backoff: Backoff | None = None

    def __post_init__(self) -> None:
        if self.max_restarts < 0 or self.within_s <= 0:
            raise ValueError("max_restarts is 0 or more and within_s is above 0")
        if self.exceeded not in (Directive.STOP, Directive.ESCALATE):
            raise ValueError("exceeded is STOP or ESCALATE: a child that failed too often does not run on")

    def directive(self, error: BaseException) -> Directive:
        """What this error calls for."""
        for kind, directive in self.directives:
            if isinstance(error, kind):
                return directive
        return self.otherwise


class RestartWindow:
    """The restarts of the last `within_s` seconds. Holds at most `max_restarts` times."""

    __slots__ = ("_times",)

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def admit(self, now: float, rules: Supervision) -> bool:
        """Count a restart at `now`, or say that it would be one too many."""
        times = self._times
        while times and times[0] <= now - rules.within_s:
            times.popleft()
        if len(times) >= rules.max_restarts:
            return False
        times.append(now)
        return True

    @property
    def attempt(self) -> int:
        """How many restarts lie in the window: the number of the one that is being made."""
        return len(self._times)
