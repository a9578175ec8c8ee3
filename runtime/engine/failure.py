"""When a handler raises: a refusal answers its message, anything else fails the actor and its supervisor decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from protocols.errors import ParleyError
from runtime.engine import lifecycle
from runtime.engine.dead_letters import Reason
from runtime.engine.envelope import Envelope, message_of
from runtime.engine.errors import (
    ActorStopped,
    ChildFailed,
    HandlerFailed,
    HandlerHung,
    RestartIntensityExceeded,
    Unhandled,
)
from runtime.engine.states import RESTARTING, RUNNING, STOPPING, SUSPENDED
from runtime.engine.supervision import Directive, RestartWindow, Strategy

if TYPE_CHECKING:
    from runtime.engine.cell import Cell

log: Final = structlog.get_logger("parley.supervision")


def settle(cell: Cell, error: Exception) -> None:
    """Account for what the handler of the cell's current message raised."""
    item = cell.current
    reply = item.reply if type(item) is Envelope else None
    if isinstance(error, ParleyError):
        if reply is not None:
            if not reply.done():
                reply.set_exception(error)
        elif item is not None:
            cell.bury(item, Reason.UNHANDLED if isinstance(error, Unhandled) else Reason.REFUSED, str(error))
        return
    message = message_of(item)
    if reply is not None and not reply.done():
        failed = HandlerFailed(f"{cell.path} broke while handling {type(message).__name__}")
        failed.__cause__ = error
        reply.set_exception(failed)
    if item is not None:
        cell.bury(item, Reason.FAILED, type(error).__name__)
    fail(cell, error, message)


def interrupted(cell: Cell) -> None:
    """Account for a handler that was cancelled: by the watchdog, because its actor stops, or by its own code."""
    item = cell.current
    reply = item.reply if type(item) is Envelope else None
    if reply is not None and not reply.done():
        reply.set_exception(ActorStopped(f"{cell.path} was interrupted"))
    if item is not None:
        cell.bury(item, Reason.FAILED, "interrupted")
    if cell.particulars.hung:
        cell.particulars.hung = False
        fail(cell, HandlerHung(f"a handler ran longer than {cell.options.handler_limit_s:g} s"), message_of(item))
    elif cell.state == RUNNING:
        fail(cell, RuntimeError("a handler was cancelled from inside"), message_of(item))


def fail(cell: Cell, error: BaseException, message: object) -> None:
    """Fail an actor: record it, log it with the message's type only, and let the supervisor decide."""
    particulars = cell.own()
    particulars.failures += 1
    particulars.last_error = f"{type(error).__name__}: {error}"[:200]
    log.error(
        "actor failed",
        actor=cell.path,
        message=None if message is None else type(message).__qualname__,
        exc_info=(type(error), error, error.__traceback__),
    )
    if cell.state >= RESTARTING:
        return  # it is on its way down or anew already
    cell.state = SUSPENDED
    cell.steady = False
    if cell.parent is not None:
        _decide(cell.parent, cell, error)


def _decide(parent: Cell, child: Cell, error: BaseException) -> None:
    rules = parent.options.supervision
    directive = rules.directive(error)
    holder = (child if rules.per_child else parent).own()
    window = holder.window = holder.window or RestartWindow()
    if directive is Directive.RESTART and not window.admit(child.system.clock.time(), rules):
        directive = rules.exceeded
        exceeded = RestartIntensityExceeded(f"more than {rules.max_restarts} restarts within {rules.within_s:g} s")
        exceeded.__cause__ = error
        error = exceeded
    match directive:
        case Directive.RESUME:
            lifecycle.resume(child)
        case Directive.RESTART:
            delay_s = rules.backoff.delay_s(window.attempt, child.system.rng) if rules.backoff else 0.0
            lifecycle.restart(_group(parent, child, rules.strategy), error, delay_s)
        case Directive.STOP:
            lifecycle.request_stop(child)
        case Directive.ESCALATE:
            _escalate(parent, child, error)


def _group(parent: Cell, child: Cell, strategy: Strategy) -> list[Cell]:
    """Those who are restarted together, in the order of their start."""
    if strategy is Strategy.ONE_FOR_ONE:
        return [child]
    siblings = [cell for cell in parent.particulars.children.values() if cell.state < STOPPING]
    if strategy is Strategy.ONE_FOR_ALL:
        return siblings
    return siblings[siblings.index(child) :]


def _escalate(parent: Cell, child: Cell, error: BaseException) -> None:
    failed = ChildFailed(f"{child.path}: {type(error).__name__}: {error}")
    failed.__cause__ = error
    if parent.parent is None:
        lifecycle.request_stop(child)
        parent.system.escalated(failed)
    else:
        fail(parent, failed, None)
