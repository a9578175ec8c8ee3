"""Watching: an actor learns, by a message in its mailbox, that another has stopped, even when it was gone before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.engine.envelope import Envelope
from runtime.engine.ref import Ref

if TYPE_CHECKING:
    from runtime.engine.cell import Cell


@dataclass(frozen=True, slots=True)
class Terminated:
    """To a watcher: `ref` has stopped for good. It comes behind whatever that actor had sent before, and only once."""

    ref: Ref


def watch(watcher: Cell, target: Cell) -> None:
    """Have `watcher` told when `target` stops. Watching twice is watching once."""
    watcher.own().watching[target] = None
    if target.stopped:
        _tell(watcher, target)
    else:
        target.own().watchers[watcher] = None


def unwatch(watcher: Cell, target: Cell) -> None:
    """Take a watch back; a notice that is in the mailbox already is not handled any more."""
    watcher.particulars.watching.pop(target, None)
    target.particulars.watchers.pop(watcher, None)


def end(cell: Cell) -> None:
    """A cell has stopped: tell its watchers and forget whom it watched."""
    for target in cell.particulars.watching:
        if isinstance(target, type(cell)):
            target.particulars.watchers.pop(cell, None)
    for watcher in cell.particulars.watchers:
        _tell(watcher, cell)


def _tell(watcher: Cell, target: Cell) -> None:
    def still_counts() -> bool:
        # True once: handling the notice ends the watch.
        return watcher.particulars.watching.pop(target, 0) is None

    # The engine's own word: it goes in even when the mailbox is full.
    watcher.put_unbounded(Envelope(Terminated(target), still_counts=still_counts))
