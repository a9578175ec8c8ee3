"""The watchdog: sees handlers that run past their actor's limit, and a loop that a `def` handler holds.

An `async def` handler past its limit is reported once and, by its actor's choice, cancelled and failed; one that
ignores that is left behind. A `def` handler cannot be interrupted; a thread notices that the loop stands still and
reports which actor holds it, with the stack.
"""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final

import structlog

from runtime.engine import lifecycle
from runtime.engine.clock import Handle
from runtime.engine.envelope import message_of
from runtime.engine.options import OnHang
from runtime.engine.states import RUNNING

if TYPE_CHECKING:
    from runtime.engine.cell import Cell
    from runtime.engine.system import ActorSystem

log: Final = structlog.get_logger("parley.watchdog")


class Watchdog:
    """Looks every `interval_s` seconds at the handlers that are being awaited, as long as there are any."""

    def __init__(self, system: ActorSystem, interval_s: float = 1.0) -> None:
        self._system = system
        self._interval_s = interval_s
        self._timer: Handle | None = None
        self._time = system.clock.time
        self._busy = system.busy
        self._reported: dict[Cell, float] = {}
        self.hung = 0

    def mark(self, cell: Cell) -> None:
        """A handler of `cell` is awaited from now on, until the cell is no longer in `system.busy`."""
        self._busy[cell] = self._time()
        if self._timer is None:
            self._arm()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._system.clock.call_at(self._time() + self._interval_s, self._look)

    def _look(self) -> None:
        now = self._time()
        for cell, since in list(self._busy.items()):
            if self._reported.get(cell) != since:
                if now - since >= cell.options.handler_limit_s:
                    self._reported[cell] = since
                    self._report(cell, now - since)
            elif cell.particulars.hung and cell.state <= RUNNING:
                log.error("hanging handler ignores its cancellation and is left behind", actor=cell.path)
                lifecycle.leave_behind(cell)
        self._reported = {cell: since for cell, since in self._reported.items() if self._busy.get(cell) == since}
        self._timer = None
        if self._busy:
            self._arm()

    def _report(self, cell: Cell, after_s: float) -> None:
        self.hung += 1
        message = message_of(cell.current)
        fails = cell.options.on_hang is OnHang.FAIL and cell.task is not None
        log.error(
            "handler hangs",
            actor=cell.path,
            message=type(message).__qualname__,
            after_s=round(after_s, 3),
            cancelled=fails,
        )
        if fails and cell.task is not None:
            cell.own().hung = True
            cell.task.cancel()


class LoopWatch:
    """A thread that sees the loop standing still for `limit_s` seconds, and says which actor holds it."""

    def __init__(self, system: ActorSystem, limit_s: float = 2.0) -> None:
        self._system = system
        self._limit_s = limit_s
        self._loop_thread = threading.get_ident()
        self._ended = threading.Event()
        self._beat = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="parley-loop-watch", daemon=True)
        self.stalls = 0

    def start(self) -> None:
        """Begin to watch. Call it on the loop's thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._beat.set()
        self._thread.join()

    def _watch(self) -> None:
        beat = self._beat
        while not self._ended.is_set():
            beat.clear()
            try:
                self._system.loop.call_soon_threadsafe(beat.set)
            except RuntimeError:
                return  # the loop is closed: nothing to watch any more
            if not beat.wait(self._limit_s) and not self._ended.is_set():
                self._stalled()
                while not beat.wait(self._limit_s) and not self._ended.is_set():
                    continue
            self._ended.wait(self._limit_s / 2)

    def _stalled(self) -> None:
        self.stalls += 1
        running = self._system.dispatcher.running
        frame = sys._current_frames().get(self._loop_thread)
        log.error(
            "the loop stands still",
            actor=running.path if running is not None else None,
            message=type(message_of(running.current)).__qualname__ if running is not None else None,
            for_s=self._limit_s,
            stack="".join(traceback.format_stack(frame)[-6:]) if frame is not None else None,
        )
