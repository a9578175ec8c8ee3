"""The engine: supervised actors with bounded mailboxes on one asyncio loop. Its promises: `runtime/README.md`."""

from runtime.engine.actor import Actor, on
from runtime.engine.clock import Clock, LoopClock
from runtime.engine.dead_letters import DeadLetter, DeadLetters, Reason
from runtime.engine.envelope import Reply
from runtime.engine.errors import (
    ActorStopped,
    AskTimeout,
    ChildFailed,
    EngineError,
    HandlerFailed,
    HandlerHung,
    MailboxFull,
    NameTaken,
    NoSuchActor,
    RestartIntensityExceeded,
    SpawnRefused,
    StashFull,
    Unhandled,
)
from runtime.engine.options import OnHang, Options, Overflow
from runtime.engine.ref import Ref
from runtime.engine.statistics import ActorStatistics, ClassStatistics, SystemStatistics
from runtime.engine.supervision import Backoff, Directive, Strategy, Supervision
from runtime.engine.system import ActorSystem
from runtime.engine.watch import Terminated
from runtime.engine.watchdog import LoopWatch

__all__ = [
    "Actor",
    "ActorStatistics",
    "ActorStopped",
    "ActorSystem",
    "AskTimeout",
    "Backoff",
    "ChildFailed",
    "ClassStatistics",
    "Clock",
    "DeadLetter",
    "DeadLetters",
    "Directive",
    "EngineError",
    "HandlerFailed",
    "HandlerHung",
    "LoopClock",
    "LoopWatch",
    "MailboxFull",
    "NameTaken",
    "NoSuchActor",
    "OnHang",
    "Options",
    "Overflow",
    "Reason",
    "Ref",
    "Reply",
    "RestartIntensityExceeded",
    "SpawnRefused",
    "StashFull",
    "Strategy",
    "Supervision",
    "SystemStatistics",
    "Terminated",
    "Unhandled",
    "on",
]
