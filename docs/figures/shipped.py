"""Which browser spoke which draft, in which of its versions."""

from __future__ import annotations

from typing import Any

from trio_draftws import DRAFTS

from .svg import box, figure, line, text

LEFT, COLUMN, ROW, HIGH, TOP = 136, 122, 34, 26, 28


def draw(browsers: list[dict[str, Any]]) -> str:
    """Only drafts that a browser spoke get a column."""
    spoken = [d.name for d in DRAFTS if any(d.name in one["shipped"] for one in browsers)]
    width = LEFT + len(spoken) * COLUMN
    parts = [
        text(LEFT + number * COLUMN + COLUMN / 2 - 2, 16, name, "strong middle")
        for number, name in enumerate(spoken)
    ]
    for number, browser in enumerate(browsers):
        y = TOP + number * ROW
        parts.append(line(0, y - 4, width, y - 4))
        parts.append(text(0, y + 18, browser["name"]))
        unknown = set(browser["shipped"]) - set(spoken)
        assert not unknown, f"no draft is named {unknown}"
        for place, name in enumerate(spoken):
            if name in browser["shipped"]:
                x = LEFT + place * COLUMN
                parts.append(box(x, y, COLUMN - 4, HIGH, "payload pale"))
                parts.append(
                    text(x + COLUMN / 2 - 2, y + 17, browser["shipped"][name], "small middle")
                )
    height = TOP + len(browsers) * ROW
    return figure(width, height, "Which browser spoke which draft", parts)
