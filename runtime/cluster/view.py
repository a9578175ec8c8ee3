"""What a node knows of the cluster at one moment: the members, and so the owner of every entity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runtime.cluster import rendezvous
from runtime.cluster.store import Member


class View:
    """The members under one version. Never changed, only replaced."""

    __slots__ = ("_by_kind", "_names", "members", "version")

    def __init__(self, version: int, members: Iterable[Member]) -> None:
        self.version = version
        self.members: Mapping[str, Member] = {member.id: member for member in members}
        # Of two runs of one node the later one: the earlier is about to be found dead.
        self._names: dict[str, str] = {}
        for member in sorted(self.members.values(), key=lambda member: member.epoch):
            if not member.leaving:
                self._names[member.name] = member.id
        self._by_kind: dict[str, list[str]] = {}

    def carriers(self, kind: str) -> list[str]:
        """The names of the nodes that entities of this kind may be placed on."""
        found = self._by_kind.get(kind)
        if found is None:
            names = (name for name, node in self._names.items() if kind in self.members[node].kinds)
            found = self._by_kind[kind] = sorted(names)
        return found

    def owner(self, entity: str) -> str | None:
        """The node that carries an entity (`kind/id`); None while no node carries its kind."""
        names = self.carriers(entity.partition("/")[0])
        if len(names) == 1:
            return self._names[names[0]]
        name = rendezvous.owner(names, entity)
        return None if name is None else self._names[name]
