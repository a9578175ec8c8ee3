"""What an operator sees: figures of each actor and of the whole system, and the tree as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.engine.states import STATE_NAMES

if TYPE_CHECKING:
    from runtime.engine.cell import Cell
    from runtime.engine.system import ActorSystem


@dataclass(frozen=True, slots=True)
class ActorStatistics:
    """Figures of one actor. `waiting_senders` are those that wait for room in its mailbox; `refused` those turned
    away.
    """

    path: str
    type: str
    state: str
    mailbox: int
    handled: int
    failures: int
    restarts: int
    refused: int
    stashed: int
    waiting_senders: int
    timers: int
    children: int
    last_error: str


class Tally:
    """What actors of one class did who are gone."""

    __slots__ = ("failures", "handled", "restarts")

    def __init__(self) -> None:
        self.handled = self.failures = self.restarts = 0

    def add(self, cell: Cell) -> None:
        """Count one in."""
        self.handled += cell.handled
        self.failures += cell.particulars.failures
        self.restarts += cell.particulars.restarts


@dataclass(frozen=True, slots=True)
class ClassStatistics:
    """Figures of all actors of one class; what they did counts those that are gone too."""

    actors: int
    mailbox: int
    handled: int
    failures: int
    restarts: int


@dataclass(frozen=True, slots=True)
class SystemStatistics:
    """Figures of the system, and by class of actor. `handled` counts messages since the start, also of the gone."""

    actors: int
    classes: dict[str, ClassStatistics]
    spawned: int
    stopped: int
    handled: int
    mailbox: int
    deepest_mailbox: int
    failures: int
    restarts: int
    busy_handlers: int
    hung_handlers: int
    asks_pending: int
    asks_expired: int
    dead_letters: dict[str, int]
    turns: int
    tasks: int


def of_actor(cell: Cell) -> ActorStatistics:
    """The figures of one actor."""
    rare = cell.particulars
    return ActorStatistics(
        path=cell.path,
        type=type(cell.actor).__name__,
        state=STATE_NAMES[cell.state],
        mailbox=len(cell.queue),
        handled=cell.handled,
        failures=rare.failures,
        restarts=rare.restarts,
        refused=rare.refused,
        stashed=len(rare.stash),
        waiting_senders=len(rare.senders),
        timers=len(rare.timers) if rare.timers is not None else 0,
        children=len(rare.children),
        last_error=rare.last_error,
    )


def of_system(system: ActorSystem) -> SystemStatistics:
    """The figures of the system. Walks the tree: for a scrape, not for a hot path."""
    cells = [cell for depth, cell in walk(system.root) if depth]
    classes = _by_class(system, cells)
    return SystemStatistics(
        actors=len(cells),
        classes=classes,
        spawned=system.spawned,
        stopped=system.stopped,
        handled=sum(one.handled for one in classes.values()),
        mailbox=sum(one.mailbox for one in classes.values()),
        deepest_mailbox=max((len(cell.queue) for cell in cells), default=0),
        failures=sum(one.failures for one in classes.values()),
        restarts=sum(one.restarts for one in classes.values()),
        busy_handlers=len(system.busy),
        hung_handlers=system.watchdog.hung,
        asks_pending=system.asks.pending,
        asks_expired=system.asks.expired,
        dead_letters={reason.value: count for reason, count in system.dead_letters.counts.items()},
        turns=system.dispatcher.turns,
        tasks=len(system.tasks),
    )


def _by_class(system: ActorSystem, cells: list[Cell]) -> dict[str, ClassStatistics]:
    tallies = {name: (0, 0, gone.handled, gone.failures, gone.restarts) for name, gone in system.gone.items()}
    for cell in cells:
        name, rare = type(cell.actor).__name__, cell.particulars
        actors, mailbox, handled, failures, restarts = tallies.get(name, (0, 0, 0, 0, 0))
        tallies[name] = (
            actors + 1,
            mailbox + len(cell.queue),
            handled + cell.handled,
            failures + rare.failures,
            restarts + rare.restarts,
        )
    return {name: ClassStatistics(*figures) for name, figures in sorted(tallies.items())}


def walk(cell: Cell, depth: int = 0) -> Iterator[tuple[int, Cell]]:
    """A cell and all below it with their depths, parents first, in order of start."""
    yield depth, cell
    for child in cell.particulars.children.values():
        yield from walk(child, depth + 1)


def tree(system: ActorSystem, limit: int = 1000) -> str:
    """The actors as an indented list, a line each, at most `limit` lines."""
    lines = [f"{system.name}: {system.spawned - system.stopped} actors, {system.dead_letters.total} dead letters"]
    for depth, cell in walk(system.root):
        if depth == 0:
            continue
        if len(lines) > limit:
            lines.append(f"... and {system.spawned - system.stopped - limit} more")
            break
        lines.append("  " * depth + _line(of_actor(cell), str(cell.name)))
    return "\n".join(lines)


def _line(figures: ActorStatistics, name: str) -> str:
    parts = [f"{name} <{figures.type}> {figures.state} mailbox={figures.mailbox} handled={figures.handled}"]
    if figures.restarts:
        parts.append(f"restarts={figures.restarts}")
    if figures.last_error:
        parts.append(f"last_error={figures.last_error!r}")
    return " ".join(parts)
