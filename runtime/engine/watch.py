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
    """To a watcher: `ref`, as it was named to `watch`, has stopped. It comes behind whatever that actor had sent
    before, and only once.
    """

    ref: Ref


def watch(watcher: Cell, target: Cell, ref: Ref) -> None:
    """Have `watcher` told when `target`, which it calls `ref`, stops. Watching twice is watching once."""
    watcher.own().watching[target] = ref
    if target.stopped:
        _tell(watcher, target)
    else:
        target.own().watchers[watcher] = None


def unwatch(watcher: Cell, ref: Ref) -> None:
    """Take a watch back; a notice that is in the mailbox already is not handled any more."""
    # By the ref: an entity may have begun another life since, and the watch was on one before.
    _forget(watcher, [target for target, called in watcher.particulars.watching.items() if ref in (called, target)])


def forget_children(cell: Cell) -> None:
    """Take back the watches on a cell's own children: a restart ends them, and the new instance knows none."""
    _forget(cell, [target for target in cell.particulars.watching if target.parent is cell])


def end(cell: Cell) -> None:
    """A cell has stopped: tell its watchers and forget whom it watched."""
    for watcher in cell.particulars.watchers:
        _tell(watcher, cell)
    _forget(cell, list(cell.particulars.watching))


def _forget(watcher: Cell, targets: list[Cell]) -> None:
    for target in targets:
        del watcher.particulars.watching[target]
        target.particulars.watchers.pop(watcher, None)


def _tell(watcher: Cell, target: Cell) -> None:
    told = False

    def still_counts() -> bool:
        # Handling the notice ends the watch; one that was stashed when it came counts when it comes again.
        nonlocal told
        told = told or watcher.particulars.watching.pop(target, None) is not None
        return told

    # The engine's own word: it goes in even when the mailbox is full.
    notice = Terminated(watcher.particulars.watching[target])
    watcher.put_unbounded(Envelope(notice, still_counts=still_counts))
