"""Writes the README's tables of costs, from docs/benchmarks.json.

python -m docs.readme_figures
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.summary import Summary

PROJECT = Path(__file__).parent.parent
README = PROJECT / "README.md"
BEGIN, END = "<!-- {}: python -m docs.readme_figures -->\n", "<!-- end -->\n"

OURS = "trio_draftws rfc6455"
# Each table of the README with the peers that it compares with
TABLES = {
    "on Trio": ("websockets.trio", "trio-websocket"),
    "on asyncio": ("aiohttp + uvloop", "picows + uvloop"),
}
WORKLOADS = {
    "ping-pong-64": "a short message, in µs",
    "in-flight-100": "the same, a hundred in flight, in µs",
    "256-kib": "a message of 256 KiB, in µs",
    "handshakes": "a connection opened and closed, in µs",
    "memory": "an idle connection, in KiB",
}


def table(peers: tuple[str, ...]) -> str:
    """In Markdown: a row for each workload, a column for us and for each of `peers`."""
    summary = Summary.read()
    rows = [["What it costs a server", "**here**", *peers], ["---"] * (len(peers) + 2)]
    for name, called in WORKLOADS.items():
        rows.append([called, *(shown(summary.median(name, peer)) for peer in (OURS, *peers))])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def shown(cost: float | None) -> str:
    """With two digits, or as a whole number if that has more."""
    if cost is None:
        return "–"
    return f"{cost:.0f}" if cost >= 10 else f"{cost:.1f}"


def written(readme: str) -> str:
    """The README with the current tables."""
    for name, peers in TABLES.items():
        begin = BEGIN.format(name)
        before, _, rest = readme.partition(begin)
        _, _, after = rest.partition(END)
        readme = f"{before}{begin}{table(peers)}{END}{after}"
    return readme


if __name__ == "__main__":
    README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
