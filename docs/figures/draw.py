"""Draws the figures of the page on the drafts' history.

    python -m docs.figures.draw

They are made of the registry's rows, of their codecs, of the tests' vectors and of
docs/drafts.json, and are the same each time; a test compares them with those that are there.
"""

from __future__ import annotations

import json
from pathlib import Path

from .frames import draw_closings, draw_frames, draw_header
from .shipped import draw as draw_shipped
from .timeline import draw as draw_timeline

DOCS = Path(__file__).parent.parent
DATA = DOCS / "drafts.json"


def figures() -> dict[str, str]:
    """Each figure, by its file's name."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return {
        "timeline.svg": draw_timeline(data["history"]),
        "shipped.svg": draw_shipped(data["browsers"]),
        "frames.svg": draw_frames(),
        "header.svg": draw_header(),
        "closings.svg": draw_closings(),
    }


if __name__ == "__main__":
    for name, drawing in figures().items():
        (DOCS / "_static" / name).write_text(drawing, encoding="utf-8")
