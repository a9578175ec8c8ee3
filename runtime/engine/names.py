"""The registry of names: well-known actors of this node, each name held by one live actor at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.engine.errors import NameTaken, NoSuchActor

if TYPE_CHECKING:
    from runtime.engine.cell import Cell


class Names:
    """Names and who holds them. A name is free again when its actor stops."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}

    def register(self, name: str, cell: Cell) -> None:
        """Give an actor a name. Raises NameTaken."""
        if name in self._cells:
            raise NameTaken(f"the name {name!r} belongs to {self._cells[name].path}")
        if not cell.alive:
            raise NoSuchActor(f"{cell.path} has stopped and can hold no name")
        self._cells[name] = cell
        cell.own().names.append(name)

    def release(self, name: str) -> None:
        """Free a name."""
        self._cells.pop(name, None)

    def lookup(self, name: str) -> Cell | None:
        """Who holds a name."""
        return self._cells.get(name)

    def all(self) -> dict[str, str]:
        """Every name and the path behind it."""
        return {name: cell.path for name, cell in self._cells.items()}
