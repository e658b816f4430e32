"""What was measured: as JSON, and as tables for people.

Ratios are those of one round, in which all peers had their turn; of them, and of the costs, the
median over the rounds is told, and the smallest and the largest.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from .load import Sample
from .workloads import Workload

Rounds: TypeAlias = "list[Sample | None]"
"""A sample of each round; None where the peer failed."""

HEADINGS = ("Peer", "cost of one", "against the base", "in a second")


@attrs.define
class Entry:
    """A peer under a workload."""

    rounds: Rounds = attrs.field(factory=list)
    failed: str | None = None
    """Why a round has no sample."""


@attrs.define
class Table:
    """A workload, and how all peers did, by their names."""

    workload: Workload
    entries: dict[str, Entry] = attrs.field(factory=dict)

    def median(self, peer: str) -> float | None:
        """The median of its costs."""
        entry = self.entries.get(peer, Entry())
        costs = [sample.cost for sample in entry.rounds if sample]
        return statistics.median(costs) if costs else None

    def ratios(self, peer: str, base: str) -> list[float]:
        """The costs of the one in those of the other, in the rounds that have both."""
        if peer not in self.entries or base not in self.entries:
            return []
        pairs = zip(self.entries[peer].rounds, self.entries[base].rounds, strict=True)
        return [one.cost / other.cost for one, other in pairs if one and other and other.cost]


@attrs.define
class Report:
    """All of a run."""

    about: dict[str, str]
    """The machine, and how it was measured."""
    versions: dict[str, str]
    """What was measured, by the peers' names."""
    missing: dict[str, str]
    """Why it was not, by the peers' names."""
    tables: list[Table]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """What `to_json` gave."""

        def sample(row: dict[str, Any] | None) -> Sample | None:
            return None if row is None else Sample(**row)

        tables = [
            Table(
                Workload(**table["workload"]),
                {
                    name: Entry([sample(row) for row in entry["rounds"]], entry["failed"])
                    for name, entry in table["entries"].items()
                },
            )
            for table in data["tables"]
        ]
        return cls(data["about"], data["versions"], data["missing"], tables)

    def table(self, workload: str) -> Table | None:
        """The one of the workload with that name."""
        return next((table for table in self.tables if table.workload.name == workload), None)


def spread(values: Sequence[float]) -> str:
    """The median, and from where to where they go."""
    if not values:
        return "–"
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{number(middle)} ({number(low)} … {number(high)})"


def number(value: float) -> str:
    """In three digits or more."""
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def rows(table: Table) -> Iterator[tuple[str, ...]]:
    """A table's cells, in the order of `HEADINGS`, the cheapest peer first."""

    def cost(name: str) -> float:
        median = table.median(name)
        return float("inf") if median is None else median

    for name in sorted(table.entries, key=cost):
        entry = table.entries[name]
        samples = [sample for sample in entry.rounds if sample]
        if not samples:
            yield name, f"failed: {entry.failed}", "–", "–"
            continue
        yield (
            name,
            spread([sample.cost for sample in samples]),
            spread(table.ratios(name, table.workload.base)),
            number(statistics.median([sample.rate for sample in samples])),
        )


def as_text(report: Report) -> str:
    lines = [f"{name}: {said}" for name, said in report.about.items()]
    for table in report.tables:
        workload = table.workload
        lines += ["", f"{workload.title}: {workload.unit} for each {workload.each}"]
        cells = [HEADINGS, *rows(table)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
        lines += [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in cells
        ]
        lines.append(f"  The base is {workload.base}.")
    if report.missing:
        lines.append("")
        lines += [f"missing: {name}: {why}" for name, why in report.missing.items()]
    return "\n".join(line.rstrip() for line in lines)


def as_rst(table: Table) -> Iterator[str]:
    workload = table.workload
    headings = (
        "Peer",
        f"{workload.unit} for each {workload.each}",
        f"against {workload.base}",
        f"{workload.each}s in a second",
    )
    yield from (f".. list-table:: {workload.title}", "   :header-rows: 1", "")
    for cells in (headings, *rows(table)):
        for column, cell in enumerate(cells):
            yield f"   {'*' if column == 0 else ' '} - {cell}"
    yield ""
