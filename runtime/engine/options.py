"""What may be chosen for an actor, as data: its mailbox, its limits, and how it supervises its children."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from runtime.engine.supervision import Supervision


class Overflow(Enum):
    """What a full mailbox does with one message more.

    REFUSE it (`tell` returns False, `ask` raises MailboxFull). WAIT: `wait_tell` and `ask` wait for room, first come
    first served, `tell` is refused. DROP_OLDEST: the longest-waiting message becomes a dead letter and the new one is
    in.
    """

    REFUSE = "refuse"
    WAIT = "wait"
    DROP_OLDEST = "drop_oldest"


class OnHang(Enum):
    """What the watchdog does with an `async def` handler past its limit: REPORT it, or cancel it and let it FAIL."""

    REPORT = "report"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one actor; most actors share the default object.

    `capacity`: messages its mailbox holds. `stop_timeout_s`: how long a running handler, and after it the `stopped`
    hook, may take when the actor is told to stop. `handler_limit_s`: the longest that one handler may run before the
    watchdog speaks up.
    """

    capacity: int = 10_000
    overflow: Overflow = Overflow.REFUSE
    stop_timeout_s: float = 5.0
    handler_limit_s: float = 30.0
    on_hang: OnHang = OnHang.REPORT
    supervision: Supervision = field(default_factory=Supervision)

    def __post_init__(self) -> None:
        if self.capacity < 1:
            raise ValueError("a mailbox holds at least one message: capacity >= 1")
        if self.stop_timeout_s < 0 or self.handler_limit_s <= 0:
            raise ValueError("stop_timeout_s is 0 or more and handler_limit_s is above 0")


DEFAULT = Options()
