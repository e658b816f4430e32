"""What a server pays, at a glance: bars from docs/benchmarks.json."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.summary import Row, Rows, Summary
from benchmarks.tables import number
from benchmarks.workloads import OURS

from .svg import box, figure, line, text

# The page has a table for each workload. The figure has those that differ most in kind.
TITLES = {
    "ping-pong-64": "Short messages on 64 connections",
    "in-flight-100": "Short messages, 100 in flight",
    "256-kib": "Messages of 256 KiB",
    "tls-64": "Short messages on 64 connections, with TLS",
    "handshakes": "Connections opened and closed",
    "memory": "Idle connections",
}
COLUMNS = 2
WIDTH, GAP = 700, 20
COLUMN = (WIDTH - GAP) / COLUMNS
NAMES, FIGURES = 132, 52
BAR, PITCH, TITLE = 9, 15, 42


def draw() -> str:
    """Two charts in a row; a bar for each peer, the cheapest at the top."""
    summary = Summary.read()
    charts = [table for name in TITLES if (table := summary.table(name)) is not None]
    parts: list[str] = []
    y = 0.0
    for first in range(0, len(charts), COLUMNS):
        row = charts[first : first + COLUMNS]
        for column, table in enumerate(row):
            parts += chart(table, column * (COLUMN + GAP), y)
        y += TITLE + PITCH * max(len(table.rows) for table in row) + GAP
    return figure(WIDTH, y - GAP, "What a message or a connection costs a server", parts, TOLD)


TOLD = (
    "A bar for each library under six workloads, the cheapest first. "
    "The tables on this page have the same figures."
)


def chart(table: Rows, x: float, y: float) -> Iterator[str]:
    """A line across a bar goes from the lowest round to the highest."""
    workload = table.workload
    yield text(x, y + 14, TITLES[workload.name], "small strong")
    yield text(x, y + 30, f"{workload.unit} for each {workload.each}", "soft")
    y += TITLE
    room = COLUMN - NAMES - FIGURES
    rows = [row for row in table.rows if row.cost is not None]
    longest = max(row.cost.highest for row in rows if row.cost)
    middle = rows[len(rows) // 2].cost
    assert middle is not None
    # If the dearest would leave nothing to see of the others, its bar is cut.
    scale = room / min(longest, 8 * middle.median)
    for number_of_row, row in enumerate(rows):
        yield from bar(row, x, y + PITCH * number_of_row, scale, room, table)


def bar(row: Row, x: float, y: float, scale: float, room: float, table: Rows) -> Iterator[str]:
    assert row.cost is not None
    ours, base = row.peer.startswith(OURS), row.peer == table.workload.base
    colour = "type" if ours else "key" if base else "rest"
    start = x + NAMES

    def at(cost: float) -> float:
        return start + min(cost * scale, room)

    yield text(start - 6, y + BAR, row.peer, f"soft end{' strong' if ours else ''}")
    yield box(start, y, max(at(row.cost.median) - start, 1), BAR, colour)
    cut = row.cost.median * scale > room * 1.001
    if not cut:
        middle = y + BAR / 2
        yield line(at(row.cost.lowest), middle, at(row.cost.highest), middle, "arrow")
    label = f"{'… ' if cut else ''}{number(row.cost.median)}"
    yield text(at(row.cost.highest) + 4, y + BAR, label, "soft")
