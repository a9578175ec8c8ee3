"""Start, resume, restart and stop. What needs no awaiting is done at once, the rest in a task that the system owns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Final

import structlog

from runtime.engine import failure, overflow, watch
from runtime.engine.dead_letters import Reason
from runtime.engine.mailbox import IDLE
from runtime.engine.particulars import NOTHING_SPECIAL
from runtime.engine.states import RESTARTING, RUNNING, STARTING, STOPPED, STOPPING, SUSPENDED

if TYPE_CHECKING:
    from runtime.engine.cell import Cell

log: Final = structlog.get_logger("parley.lifecycle")

CANCEL_GRACE_S: Final = 1.0
"""How long a cancelled handler may still take before it is given up as one that cannot be cancelled."""


def start(cell: Cell) -> None:
    """Run the `started` hook; the mailbox waits for it."""
    try:
        result = cell.actor.started()
        if type(result) is CoroutineType:
            cell.occupy(_start(cell, result))
            return
    except (Exception, asyncio.CancelledError) as error:
        failure.fail(cell, error, None)
    _started(cell)


async def _start(cell: Cell, hook: Awaitable[object]) -> None:
    mine = cell.task
    cell.system.watchdog.mark(cell)
    try:
        await hook
    except asyncio.CancelledError:
        if cell.task is mine:
            failure.interrupted(cell, None)
    except Exception as error:
        if cell.task is mine:
            failure.fail(cell, error, None)
    if cell.task is mine:
        _started(cell)


def _started(cell: Cell) -> None:
    if cell.state == STARTING:  # else it failed, or was told to stop
        cell.state = RUNNING
    cell.rest()


def resume(cell: Cell) -> None:
    """Let a cell go on with its mailbox, and those below it whose failure came up to it."""
    cell.state = RUNNING
    if cell.queue:
        cell.schedule()
    for child in cell.particulars.children.values():
        if child.state == SUSPENDED:
            resume(child)


def restart(cells: list[Cell], error: BaseException, delay_s: float) -> None:
    """Restart cells together, after `delay_s` seconds. `cells` is in order of start."""
    # Who is being made anew already is left alone; who only waits for that joins those who fail now.
    cells = [cell for cell in cells if cell.particulars.transition is None]

    def begin() -> None:
        # Who was stopped during the delay is not brought back.
        live = [cell for cell in cells if cell.state == RESTARTING and cell.particulars.plan is begin]
        if live:
            task = live[0].system.create_task(_restart(live, error))
            for cell in live:
                cell.own().transition = task

    for cell in cells:
        cell.state = RESTARTING
        cell.steady = False
        cell.own().plan = begin
    if delay_s <= 0:
        begin()
    else:
        clock = cells[0].system.clock
        clock.call_at(clock.time() + delay_s, begin)


async def _restart(cells: list[Cell], error: BaseException) -> None:
    for cell in reversed(cells):
        if cell.state == RESTARTING:
            await _take_down(cell, error)
    for cell in cells:
        cell.own().transition = None
        if cell.state == STOPPING:
            proceed(cell)
        elif cell.state == RESTARTING:
            _bring_up(cell)


async def _take_down(cell: Cell, error: BaseException) -> None:
    await _end_handler(cell)
    await _run_hook(cell, lambda: cell.actor.restarting(error), "restarting")
    watch.forget_children(cell)
    await _stop_children(cell)
    particulars = cell.own()
    particulars.window = None
    if particulars.timers is not None:
        particulars.timers.cancel_all()
    for item in reversed(particulars.stash):
        cell.put_unbounded(item, first=True)
    particulars.stash.clear()
    particulars.behaviours.clear()
    cell.behaviour = None


def _bring_up(cell: Cell) -> None:
    cell.own().restarts += 1
    try:
        cell.actor = cell.factory(*cell.args)
    except (Exception, asyncio.CancelledError) as error:
        cell.state = STARTING
        failure.fail(cell, error, None)
        return
    cell.actor._cell = cell
    if cell.actor.has_started_hook:
        cell.state = STARTING
        cell.schedule()
    else:
        resume(cell)


def request_stop(cell: Cell) -> None:
    """Stop a cell: no message more, after the one that is being handled."""
    if cell.state >= STOPPING:
        return
    restarting = cell.state == RESTARTING
    cell.state = STOPPING
    cell.steady = False
    cell.capacity = 0
    if restarting and cell.particulars.transition is not None:
        return  # the restart under way sees it and hands over
    if cell.task is None and cell.system.dispatcher.running is cell:
        return  # a `def` handler or hook of this very actor is on the stack; its turn goes on from there
    proceed(cell)


def proceed(cell: Cell) -> None:
    """Go on with stopping: at once where nothing is to be awaited."""
    particulars = cell.particulars
    if particulars.transition is not None or cell.state == STOPPED:
        return
    if cell.task is None and not particulars.children and not cell.actor.has_stopped_hook:
        _finish(cell)
    else:
        cell.own().transition = cell.system.create_task(_stop(cell), cell)


async def _stop(cell: Cell) -> None:
    try:
        await _end_handler(cell)
        await _stop_children(cell)
        if cell.actor.has_stopped_hook:
            await _run_hook(cell, cell.actor.stopped, "stopped")
    finally:
        _finish(cell)


async def _stop_children(cell: Cell) -> None:
    """Children in reverse order of start, one after the other; each has its own time limits."""
    for child in reversed(list(cell.particulars.children.values())):
        request_stop(child)
        await wait_stopped(child)


async def _end_handler(cell: Cell) -> None:
    """Wait for the handler that is running, then cancel it."""
    task = cell.task
    if task is None:
        return
    # Let a task that was only just made take its first step: cancelled before it, its handler would never be awaited.
    await asyncio.sleep(0)
    if not await _ends(cell, task, "handler") and cell.task is task:
        leave_behind(cell)


def leave_behind(cell: Cell) -> None:
    """Go on without the handler that is running: it ignores its cancellation, and what it does is no longer heard."""
    item = cell.current
    cell.task = None
    cell.scheduled = False
    cell.system.busy.pop(cell, None)
    failure.interrupted(cell, item)
    cell.current = None
    if cell.particulars.hung:
        cell.particulars.hung = False


async def _ends(cell: Cell, task: asyncio.Task[None], what: str) -> bool:
    """Wait for a task of the cell within its stop limit, then cancel it. False: it ignores that as well."""
    if await _ends_within(task, cell.options.stop_timeout_s):
        return True
    log.warning("cancelled, its actor must stop", actor=cell.path, work=what, after_s=cell.options.stop_timeout_s)
    task.cancel()
    if await _ends_within(task, CANCEL_GRACE_S):
        return True
    log.error("cannot be cancelled and is left behind", actor=cell.path, work=what)
    return False


async def _ends_within(task: asyncio.Task[None], limit_s: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=limit_s)
    return bool(done)


async def _run_hook(cell: Cell, hook: Callable[[], object], name: str) -> None:
    """Run a hook within the actor's stop limit. It may fail; what it was called for goes on."""
    try:
        result = hook()
    except (Exception, asyncio.CancelledError) as error:
        log.error("hook failed", actor=cell.path, hook=name, exc_info=error)
        return
    if type(result) is CoroutineType:
        await _ends(cell, cell.system.create_task(_await_hook(cell, result, name), cell), f"{name} hook")


async def _await_hook(cell: Cell, hook: Awaitable[object], name: str) -> None:
    try:
        await hook
    except (Exception, asyncio.CancelledError) as error:
        log.error("hook failed", actor=cell.path, hook=name, exc_info=error)


def _finish(cell: Cell) -> None:
    """The end: account for what is left, tell who waits. Synchronous, so that nobody sees half of it."""
    cell.state = STOPPED
    particulars = cell.particulars
    left = [*particulars.stash, *cell.queue]
    cell.queue = IDLE
    for item in left:
        cell.bury(item, Reason.STOPPED)
    overflow.refuse_senders(cell)
    if particulars.timers is not None:
        particulars.timers.cancel_all()
    for name in particulars.names:
        cell.system.names.release(name)
    if cell.parent is not None:
        cell.parent.particulars.children.pop(cell.name, None)
    watch.end(cell)
    for waiter in particulars.waiters:
        if not waiter.done():
            waiter.set_result(None)
    cell.system.cell_stopped(cell)
    cell.particulars = NOTHING_SPECIAL


async def wait_stopped(cell: Cell) -> None:
    """Wait until a cell has stopped. Each waiter has a future of its own, so that one may give up alone."""
    if cell.state == STOPPED:
        return
    waiter: asyncio.Future[None] = cell.system.create_future()
    waiters = cell.own().waiters
    waiters[waiter] = None
    try:
        await waiter
    finally:
        waiters.pop(waiter, None)
