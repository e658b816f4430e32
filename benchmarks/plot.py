"""Draws what was measured: docs/benchmarks.json as docs/_static/benchmarks.svg.

benchmarks/.installed/bin/python -m benchmarks.plot
"""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from .report import Report, Table, number

DOCS = Path(__file__).resolve().parent.parent / "docs"
COLUMNS = 2
OURS, BASE, THEIRS = "#2a6fbb", "#9a9a9a", "#d3c7b4"


def draw(axes: Any, table: Table) -> None:
    """One workload: a bar for each peer, and a line from its cheapest round to its dearest."""
    workload = table.workload
    bars = [(median, name) for name in table.entries if (median := table.median(name)) is not None]
    bars.sort(reverse=True)
    for row, (median, name) in enumerate(bars):
        costs = [sample.cost for sample in table.entries[name].rounds if sample]
        ours, base = name.startswith("trio_draftws"), name == workload.base
        axes.barh(row, median, color=OURS if ours else BASE if base else THEIRS)
        axes.plot([min(costs), max(costs)], [row, row], color="black", linewidth=1)
        axes.text(max(costs), row, f" {number(median)}", va="center", fontsize=7)
    axes.set_yticks(range(len(bars)), [name for _, name in bars], fontsize=7)
    axes.set_title(f"{workload.title}\n{workload.unit} for each {workload.each}", fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.margins(x=0.15)
    # Where the dearest would leave nothing to see of the others
    if bars[0][0] > 20 * statistics.median(median for median, _ in bars):
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)


def main() -> None:
    report = Report.from_json(json.loads((DOCS / "benchmarks.json").read_text("utf-8")))
    # The same results give the same file.
    mpl.rcParams["svg.hashsalt"] = "trio_draftws"
    mpl.rcParams["svg.fonttype"] = "none"
    # Each label names all of them.
    mpl.rcParams["font.sans-serif"] = ["DejaVu Sans", "sans-serif"]
    lines = math.ceil(len(report.tables) / COLUMNS)
    figure = Figure(figsize=(10, 3 * lines), layout="constrained")
    grid = list(figure.subplots(lines, COLUMNS, squeeze=False).flat)
    for axes, table in zip(grid, report.tables, strict=False):
        draw(axes, table)
    for axes in grid[len(report.tables) :]:
        axes.remove()
    figure.savefig(DOCS / "_static" / "benchmarks.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
