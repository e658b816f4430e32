"""Writes the README's table of what a message costs, from docs/benchmarks.json.

python -m docs.readme_figures
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.report import Report

PROJECT = Path(__file__).parent.parent
RESULTS = PROJECT / "docs/benchmarks.json"
README = PROJECT / "README.md"
BEGIN, END = "<!-- figures: python -m docs.readme_figures -->\n", "<!-- end of figures -->\n"

OURS = "trio_draftws rfc6455"
PEERS = (OURS, "websockets.trio", "trio-websocket", "aiohttp + uvloop", "picows + uvloop")
WORKLOADS = {
    "ping-pong-64": "a short message, in µs",
    "in-flight-100": "the same, a hundred in flight, in µs",
    "256-kib": "a message of 256 KiB, in µs",
    "handshakes": "a connection opened and closed, in µs",
    "memory": "an idle connection, in KiB",
}


def table() -> str:
    """In Markdown: a row for each workload, a column for each peer."""
    report = Report.from_json(json.loads(RESULTS.read_text(encoding="utf-8")))
    rows = [["What it costs a server", *("**here**", *PEERS[1:])], ["---"] * (len(PEERS) + 1)]
    for name, called in WORKLOADS.items():
        measured = report.table(name)
        assert measured is not None, f"{name} was not measured"
        rows.append([called, *(shown(measured.median(peer)) for peer in PEERS)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def shown(cost: float | None) -> str:
    """In two digits, or whole where there are more."""
    if cost is None:
        return "–"
    return f"{cost:.0f}" if cost >= 10 else f"{cost:.1f}"


def written(readme: str) -> str:
    """The README with the table of now."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
