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


def settle(cell: Cell, item: object, error: BaseException) -> None:
    """Account for what the handler of `item` raised. One that it stashed or forwarded lives on elsewhere."""
    ours = cell.current is not None
    reply = item.reply if ours and type(item) is Envelope else None
    message = message_of(item)
    if isinstance(error, ParleyError):
        if reply is not None:
            if not reply.done():
                reply.set_exception(error)
        elif ours:
            cell.bury(item, Reason.UNHANDLED if isinstance(error, Unhandled) else Reason.REFUSED, str(error))
        else:
            log.warning("refused after it was passed on", actor=cell.path, message=type(message).__qualname__)
        return
    if reply is not None and not reply.done():
        failed = HandlerFailed(f"{cell.path} broke while handling {type(message).__name__}")
        failed.__cause__ = error
        reply.set_exception(failed)
    if ours:
        cell.bury(item, Reason.FAILED, type(error).__name__)
    fail(cell, error, message)


def interrupted(cell: Cell, item: object) -> None:
    """Account for a handler that was cancelled: by the watchdog, by its own code, or because its actor ends."""
    if cell.particulars.hung:
        settle(cell, item, HandlerHung(f"a handler ran longer than {cell.options.handler_limit_s:g} s"))
    elif cell.state <= RUNNING:
        settle(cell, item, RuntimeError("a handler was cancelled from inside"))
    elif cell.current is not None:
        if type(item) is Envelope and item.reply is not None and not item.reply.done():
            item.reply.set_exception(ActorStopped(f"{cell.path} was interrupted"))
        cell.bury(item, Reason.FAILED, "interrupted")


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
    window = _window(parent, child)
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


def _window(parent: Cell, child: Cell) -> RestartWindow:
    if parent.options.supervision.per_child:
        rare = child.own()
        rare.own_window = rare.own_window or RestartWindow()
        return rare.own_window
    rare = parent.own()
    rare.window = rare.window or RestartWindow()
    return rare.window


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
