"""What was measured: as JSON in a file, and as tables for people.

Ratios are those of one round, in which all peers had their turn; of them, and of the costs, the
median over the rounds is told, and the smallest and the largest.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from .task import Sample
from .workloads import Workload

Rounds: TypeAlias = "list[Sample | None]"
"""A sample of each round, for which the server was started anew; None where there is none."""

SPREAD = "median (lowest to highest)"
HEADINGS = ("Peer", f"cost of one: {SPREAD}", f"against the base: {SPREAD}", "in a second")
SENT = "bytes sent for each"


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

    def costs(self, peer: str) -> list[float]:
        """Those of the rounds that have it."""
        entry = self.entries.get(peer, Entry())
        return [sample.cost for sample in entry.rounds if sample]

    def median(self, peer: str) -> float | None:
        """The median of its costs."""
        costs = self.costs(peer)
        return statistics.median(costs) if costs else None

    @property
    def tells_sent(self) -> bool:
        """Whether it is known how many bytes the servers sent for each message."""
        return any(
            sample is not None and sample.sent is not None
            for entry in self.entries.values()
            for sample in entry.rounds
        )

    def ratios(self, peer: str, base: str) -> list[float]:
        """The costs of the one in those of the other, in the rounds that have both."""
        if peer not in self.entries or base not in self.entries:
            return []
        # A run that was cut has one round less of some.
        pairs = zip(self.entries[peer].rounds, self.entries[base].rounds, strict=False)
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

    @classmethod
    def read(cls, path: Path) -> Report:
        """The one that `write` wrote.

        Raises:
            ValueError: there is none.
        """
        try:
            return cls.from_json(json.loads(path.read_text("utf-8")))
        except OSError as error:
            raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{str(path)!r} holds no results of benchmarks/run") from error

    def write(self, path: Path) -> None:
        """Writes it, in place of what is there, all at once."""
        beside = path.with_name(f"{path.name}.part")
        beside.write_text(json.dumps(self.to_json(), indent=1) + "\n", "utf-8")
        beside.replace(path)

    def table(self, workload: str) -> Table | None:
        """The one of the workload with that name."""
        return next((table for table in self.tables if table.workload.name == workload), None)


def spread(values: Sequence[float]) -> str:
    """The median, and from where to where they go."""
    if not values:
        return "–"
    middle, low, high = statistics.median(values), min(values), max(values)
    return spread_of(middle, low, high)


def spread_of(middle: float, low: float, high: float) -> str:
    return f"{number(middle)} ({number(low)} to {number(high)})"


def number(value: float) -> str:
    """In three digits or more."""
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def rows(table: Table) -> Iterator[tuple[str, ...]]:
    """A table's cells, in the order of `HEADINGS` and `SENT`, the cheapest peer first."""

    def cost(name: str) -> float:
        median = table.median(name)
        return float("inf") if median is None else median

    for name in sorted(table.entries, key=cost):
        entry = table.entries[name]
        samples = [sample for sample in entry.rounds if sample]
        if not samples:
            why = "" if entry.failed is None else f": {entry.failed}"
            yield name, f"not measured{why}", "–", "–", *(["–"] if table.tells_sent else [])
            continue
        sent = [sample.sent for sample in samples if sample.sent is not None]
        yield (
            name,
            spread([sample.cost for sample in samples]),
            spread(table.ratios(name, table.workload.base)),
            number(statistics.median([sample.rate for sample in samples])),
            *([f"{statistics.median(sent):,.0f}"] if sent else ["–"] if table.tells_sent else []),
        )


def as_text(report: Report) -> str:
    lines = [f"{name}: {said}" for name, said in report.about.items()]
    for table in report.tables:
        workload = table.workload
        lines += ["", f"{workload.title}: {workload.unit} for each {workload.each}"]
        headings = (*HEADINGS, *([SENT] if table.tells_sent else []))
        lines += (f"  {line}" for line in aligned([headings, *rows(table)]))
        lines.append(f"  The base is {workload.base}.")
    if report.missing:
        lines.append("")
        lines += [f"missing: {name}: {why}" for name, why in report.missing.items()]
    return "\n".join(line.rstrip() for line in lines)


def aligned(cells: list[tuple[str, ...]]) -> Iterator[str]:
    """A line for each row, its columns below one another."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def as_rst(table: Table) -> Iterator[str]:
    workload = table.workload
    headings = (
        "Peer",
        f"{workload.unit} for each {workload.each}: {SPREAD}",
        f"against {workload.base}: {SPREAD}",
        f"{workload.each}s in a second",
        *([SENT] if table.tells_sent else []),
    )
    yield from (f".. list-table:: {workload.title}", "   :header-rows: 1", "")
    for cells in (headings, *rows(table)):
        for column, cell in enumerate(cells):
            yield f"   {'*' if column == 0 else ' '} - {cell}"
    yield ""
