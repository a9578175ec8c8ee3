"""Addresses and refs: what a ref is called on the wire, and which ref an address is on this node."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from protocols.errors import InvalidArgument
from runtime.cluster.refs import PlacedRef, RemoteRef
from runtime.engine import ActorSystem, NoSuchActor, Ref

if TYPE_CHECKING:
    from runtime.cluster.refs import Ways
    from runtime.engine.cell import Cell


def is_entity(address: str) -> bool:
    """Whether an address is `kind/id`, and not `name:epoch/path`."""
    return ":" not in address.partition("/")[0]


class Addresses:
    """The addresses as this node sees them. `node` gives this run's id."""

    def __init__(self, system: ActorSystem, ways: Ways, node: Callable[[], str], placed: Collection[str]) -> None:
        self._system = system
        self._ways = ways
        self._node = node
        self._placed = frozenset(placed)
        # Ids that this process had before; what was called by them is still here.
        self.former: set[str] = set()

    def placed(self, kind: str, entity_id: str) -> PlacedRef | None:
        """The ref of an entity; None for a kind of which each node has its own."""
        return PlacedRef(self._ways, f"{kind}/{entity_id}") if kind in self._placed else None

    def of(self, ref: Ref) -> str:
        """The address of a ref, good on every node."""
        if isinstance(ref, PlacedRef | RemoteRef):
            return ref.address
        return f"{self._node()}/{ref.path}"

    def ref(self, address: str) -> Ref:
        """The ref of an address. One of this node whose actor is gone is a ref all the same, to nobody.

        Raises InvalidArgument for what is no address.
        """
        head, _, rest = address.partition("/")
        if not head or not rest:
            raise InvalidArgument(f"{address[:128]!r} is no address: those are kind/id and node:epoch/path")
        if is_entity(address):
            return self.placed(head, rest) or self._system.entity(head, rest)
        try:
            return self.here(address)
        except NoSuchActor:
            return RemoteRef(self._ways, address)

    def here(self, address: str) -> Ref:
        """The actor of this node at `name:epoch/path`. Raises NoSuchActor."""
        node, _, path = address.partition("/")
        if node != self._node() and node not in self.former:
            raise NoSuchActor(f"{address} is on another run or another node")
        named = self._system.names.lookup(path)
        if named is not None:
            return named
        kind, _, entity_id = path.partition("/")
        if entity_id and "/" not in entity_id and kind not in self._placed and kind in self._system.entities.kinds:
            return self._system.entity(kind, entity_id)
        return _below(self._system.root, path)


def _below(root: Cell, path: str) -> Cell:
    cell: Cell | None = root
    for part in path.split("/"):
        children = cell.particulars.children if cell is not None else {}
        cell = children.get(part) or (children.get(int(part)) if part.isdecimal() else None)
    if cell is None or cell is root:
        raise NoSuchActor(f"there is no actor at {path!r}")
    return cell
