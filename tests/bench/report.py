"""What a bench found, as one JSON object for programs and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `limit` is that of the bare primitive, measured in the same run; `peers` those of other projects."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    peers: dict[str, float] = field(default_factory=dict)
    lower_is_better: bool = False

    @property
    def of_limit(self) -> float | None:
        """The share of what is possible that Parley reaches: 1.0 is the bare primitive itself."""
        return None if self.limit is None else self._better(self.value, self.limit)

    @property
    def best_peer(self) -> str | None:
        """The peer that does best in this row."""
        if not self.peers:
            return None
        return (min if self.lower_is_better else max)(self.peers, key=self.peers.__getitem__)

    @property
    def over_best_peer(self) -> float | None:
        """How many times better than the best peer Parley is; under 1.0 it is worse."""
        best = self.best_peer
        return None if best is None else self._better(self.value, self.peers[best])

    def _better(self, ours: float, theirs: float) -> float:
        return theirs / ours if self.lower_is_better else ours / theirs


def as_json(bench: str, rows: Sequence[Row]) -> str:
    """One line: {"bench", "rows": [{"name", "value", "unit", "limit", "peers"}]}."""
    found = [
        {"name": row.name, "value": row.value, "unit": row.unit, "limit": row.limit, "peers": row.peers} for row in rows
    ]
    return orjson.dumps({"bench": bench, "rows": found}).decode()


def as_table(bench: str, rows: Sequence[Row]) -> str:
    """A table with a column for each peer; the last two columns say how Parley compares, more is better in both."""
    peers = list(dict.fromkeys(peer for row in rows for peer in row.peers))
    lines = [[bench, "Parley", "unit", "limit", *peers, "of limit", "against best peer"]]
    for row in rows:
        figures = [_figure(row.value), row.unit, _figure(row.limit), *(_figure(row.peers.get(peer)) for peer in peers)]
        lines.append([row.name, *figures, _share(row.of_limit), _times(row)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(_aligned(line, widths)).rstrip() for line in lines)


def _aligned(line: list[str], widths: list[int]) -> list[str]:
    return [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _share(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.0%}"


def _times(row: Row) -> str:
    return "-" if row.over_best_peer is None else f"{row.over_best_peer:.2f}x {row.best_peer}"
