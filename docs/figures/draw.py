"""Draws the figures of the documentation.

    python -m docs.figures.draw

Those of the drafts' history are made from the registry, the codecs, the tests' vectors and
docs/drafts.json; the rooms from the package's docstring; the bars from docs/benchmarks.json;
those of a connection state what the pages that show them say. Drawing them again gives the same
bytes, and a test compares them with the files in docs/_static.
"""

from __future__ import annotations

import json
from pathlib import Path

from .benchmarks import draw as draw_benchmarks
from .connection import draw_closing_sequence, draw_parts, draw_ping_timeline, draw_send
from .frames import draw_closings, draw_frames, draw_header
from .rooms import draw as draw_rooms
from .shipped import draw as draw_shipped
from .timeline import draw as draw_timeline

DOCS = Path(__file__).parent.parent
DATA = DOCS / "drafts.json"


def figures() -> dict[str, str]:
    """Each figure, by its file's name."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return {
        "benchmarks.svg": draw_benchmarks(),
        "rooms.svg": draw_rooms(),
        "timeline.svg": draw_timeline(data["history"]),
        "shipped.svg": draw_shipped(data["browsers"]),
        "frames.svg": draw_frames(),
        "header.svg": draw_header(),
        "closings.svg": draw_closings(),
        "send.svg": draw_send(),
        "parts.svg": draw_parts(),
        "pings.svg": draw_ping_timeline(),
        "closing-sequence.svg": draw_closing_sequence(),
    }


if __name__ == "__main__":
    for name, drawing in figures().items():
        (DOCS / "_static" / name).write_text(drawing, encoding="utf-8")
