"""What a run of the targets came to: as JSON, and as a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

HEADINGS = ("Target", "What it tries", "Seconds", "Executions", "Edges", "Features", "Corpus")
# As in "#65536 pulse  cov: 431 ft: 1210 corp: 208/11Kb lim: 589 exec/s: 2978 rss: 83Mb"
_STATUS = re.compile(r"^#\d+\s.*\bcov: (\d+) ft: (\d+) corp: (\d+)/", re.MULTILINE)
_EXECUTIONS = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.MULTILINE)


@attrs.frozen
class Result:
    """A target, and how far it came."""

    name: str
    about: str
    seconds: float
    executions: int
    edges: int
    """Between parts of the library's code, that were taken."""
    features: int
    """Edges, and how often each was taken, roughly."""
    corpus: int
    """Inputs that are kept, since each has a feature that those before had not."""
    finding: str | None = None
    """How to meet it again; None where there is none."""

    @classmethod
    def read(
        cls, name: str, about: str, seconds: float, log: str, finding: str | None = None
    ) -> Result:
        """Takes the figures from what libFuzzer has said.

        Raises:
            ValueError: it has said none.
        """
        executions, statuses = _EXECUTIONS.search(log), _STATUS.findall(log)
        if finding is None and (executions is None or not statuses):
            raise ValueError(f"{name} was not fuzzed: {log[-2000:]}")
        edges, features, corpus = map(int, statuses[-1]) if statuses else (0, 0, 0)
        count = int(executions[1]) if executions else 0
        return cls(name, about, round(seconds, 1), count, edges, features, corpus, finding)


@attrs.frozen
class Report:
    """All of a run."""

    about: dict[str, str]
    """The machine, and what was run."""
    results: list[Result]

    @property
    def findings(self) -> list[Result]:
        return [result for result in self.results if result.finding is not None]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """What `to_json` gave."""
        return cls(data["about"], [Result(**result) for result in data["results"]])


def rows(results: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """A table's cells, in the order of `HEADINGS`, and a last row for all of them."""
    for result in results:
        figures = (result.executions, result.edges, result.features, result.corpus)
        yield (
            *(result.name, result.about, f"{result.seconds:,.0f}"),
            *(f"{figure:,}" for figure in figures),
        )
    seconds = sum(result.seconds for result in results)
    executions = sum(result.executions for result in results)
    yield "all", "", f"{seconds:,.0f}", f"{executions:,}", "", "", ""


def as_text(report: Report) -> str:
    cells = [HEADINGS, *rows(report.results)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
    found = [f"{result.name}: FOUND: {result.finding}" for result in report.findings]
    return "\n".join([*lines, *found, f"{len(report.findings)} findings"])


def as_rst(report: Report) -> Iterator[str]:
    yield from (f":{name}: {said}" for name, said in report.about.items())
    yield from ("", ".. list-table::", "   :header-rows: 1", "")
    for cells in (HEADINGS, *rows(report.results)):
        for column, cell in enumerate(cells):
            yield f"   {'*' if column == 0 else ' '} - {cell}"
    yield ""
