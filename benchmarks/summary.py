"""A run in few lines: the median and the spread of each peer under each workload.

The documentation's tables, figure and goals are made from the summary in docs/benchmarks.json.
Ratios are of one round, in which every peer has its turn; the median of the rounds is shown, with
the lowest and the highest.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from docs.one_line_each import one_line_each

from .report import Entry, Report, Table
from .tables import NOTHING, SPREAD, Spread, aligned, number
from .workloads import WORKLOADS, Workload

PATH = Path(__file__).resolve().parent.parent / "docs/benchmarks.json"
HEADINGS = ("Peer", f"cost of one: {SPREAD}", f"against the base: {SPREAD}", "in a second")
SENT = "bytes sent for each"


@attrs.frozen
class Row:
    """A peer under a workload."""

    peer: str
    cost: Spread | None = None
    """None if no round has a sample."""
    ratio: Spread | None = None
    """The cost divided by that of the workload's base."""
    rate: float | None = None
    """How many in a second."""
    sent: float | None = None
    """Bytes that the server sends for each, if that differs from peer to peer."""
    failed: str | None = None

    @classmethod
    def of(cls, peer: str, entry: Entry, table: Table) -> Row:
        """The medians and spreads of an entry of `table`."""
        samples = entry.samples
        if not samples:
            return cls(peer, failed=entry.failed)
        sent = [sample.sent for sample in samples if sample.sent is not None]
        return cls(
            peer,
            Spread.of([sample.cost for sample in samples]),
            Spread.of(table.ratios(peer, table.workload.base)),
            statistics.median(sample.rate for sample in samples),
            statistics.median(sent) if sent else None,
            entry.failed,
        )

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Row:
        """What `to_json` returned."""

        def spread(name: str) -> Spread | None:
            return Spread(*data[name]) if name in data else None

        return cls(**{**data, "cost": spread("cost"), "ratio": spread("ratio")})

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes: lists for spreads, and nothing that is None."""

        def plain(value: Any) -> Any:
            if isinstance(value, Spread):
                return [round(part, 4) for part in attrs.astuple(value)]
            return round(value, 4) if isinstance(value, float) else value

        given = attrs.asdict(self, recurse=False)
        return {name: plain(value) for name, value in given.items() if value is not None}


@attrs.frozen
class Rows:
    """A workload, and a row for each peer, the cheapest first."""

    workload: Workload
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, table: Table) -> Rows:
        """The rows of a table of samples."""
        rows = [Row.of(peer, entry, table) for peer, entry in table.entries.items()]
        rows.sort(key=lambda row: row.cost.median if row.cost else float("inf"))
        return cls(table.workload, tuple(rows))

    def median(self, peer: str) -> float | None:
        """The median of a peer's costs."""
        costs = (row.cost for row in self.rows if row.peer == peer)
        return next((cost.median for cost in costs if cost), None)

    def headings(self, *first: str) -> tuple[str, ...]:
        """The headings of `cells`."""
        return (*first, *([SENT] if self._has_sent else []))

    def cells(self) -> Iterator[tuple[str, ...]]:
        """What a table shows of each peer."""
        for row in self.rows:
            if row.cost is None or row.rate is None:
                why = "" if row.failed is None else f": {row.failed}"
                yield self._with_sent(row, row.peer, f"not measured{why}", NOTHING, NOTHING)
            else:
                ratio = str(row.ratio or NOTHING)
                yield self._with_sent(row, row.peer, str(row.cost), ratio, number(row.rate))

    def _with_sent(self, row: Row, *cells: str) -> tuple[str, ...]:
        if not self._has_sent:
            return cells
        return (*cells, NOTHING if row.sent is None else f"{row.sent:,.0f}")

    @property
    def _has_sent(self) -> bool:
        return any(row.sent is not None for row in self.rows)


@attrs.frozen
class Summary:
    """All of a run, without its samples."""

    about: dict[str, str]
    versions: dict[str, str]
    missing: dict[str, str]
    tables: tuple[Rows, ...]

    @classmethod
    def of(cls, report: Report) -> Summary:
        """The summary of a whole run."""
        tables = tuple(Rows.of(table) for table in report.tables)
        return cls(report.about, report.versions, report.missing, tables)

    @classmethod
    def read(cls, path: Path = PATH) -> Summary:
        """Reads what `write` wrote: by default, what the documentation shows."""
        data = json.loads(path.read_text("utf-8"))
        by_workload: dict[str, list[Row]] = {}
        for row in data.pop("rows"):
            by_workload.setdefault(row.pop("workload"), []).append(Row.from_json(row))
        workloads = {workload.name: workload for workload in WORKLOADS}
        tables = (Rows(workloads[name], tuple(rows)) for name, rows in by_workload.items())
        return cls(**data, tables=tuple(tables))

    def write(self, path: Path) -> None:
        """Writes the file, one line for each row."""
        rows = [
            {"workload": table.workload.name, **row.to_json()}
            for table in self.tables
            for row in table.rows
        ]
        facts = attrs.asdict(self, filter=lambda field, _: field.name != "tables")
        path.write_text(one_line_each({**facts, "rows": rows}, "rows"), "utf-8")

    def table(self, workload: str) -> Rows | None:
        """The rows of the workload with that name."""
        return next((table for table in self.tables if table.workload.name == workload), None)

    def median(self, workload: str, peer: str) -> float | None:
        """The median cost of a peer under a workload; None if it was not measured."""
        table = self.table(workload)
        return None if table is None else table.median(peer)


def as_text(summary: Summary) -> str:
    """The tables as `benchmarks/run` prints them."""
    lines = [f"{name}: {value}" for name, value in summary.about.items()]
    for table in summary.tables:
        workload = table.workload
        lines += ["", f"{workload.title}: {workload.unit} for each {workload.each}"]
        lines += (f"  {line}" for line in aligned([table.headings(*HEADINGS), *table.cells()]))
        lines.append(f"  The base is {workload.base}.")
    if summary.missing:
        lines.append("")
        lines += [f"missing: {name}: {why}" for name, why in summary.missing.items()]
    return "\n".join(line.rstrip() for line in lines)


def as_rst(table: Rows) -> Iterator[str]:
    """One table of the documentation."""
    workload = table.workload
    headings = table.headings(
        "Peer",
        f"{workload.unit} for each {workload.each}: {SPREAD}",
        f"against {workload.base}: {SPREAD}",
        f"{workload.each}s in a second",
    )
    yield from (f".. list-table:: {workload.title}", "   :header-rows: 1", "")
    for cells in (headings, *table.cells()):
        for column, cell in enumerate(cells):
            yield f"   {'*' if column == 0 else ' '} - {cell}"
    yield ""
