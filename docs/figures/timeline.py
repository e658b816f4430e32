"""When each draft appeared, what its frames look like, and how its opening is proved."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import attrs

from trio_draftws import DRAFTS, Draft

from .svg import box, element, figure, line, text

LEFT, TOP, LEVEL = 176, 64, 19
PER_DAY = 0.82
FIRST, LAST = date(2009, 12, 1), date(2012, 3, 10)
WIDTH = LEFT + (LAST - FIRST).days * PER_DAY + 12
LETTER = 7.2

# What a server's frame with the text "Hello" begins with, and who would call it what
LANES = {
    b"\x00H": "Text between two bytes",
    b"\xff\x00": "A length of 64 bits",
    b"\x04\x05": "A header of two bytes",
    b"\x84\x05": "The same, masked whole",
    b"\x81\x05": "The frames of today",
}


@attrs.frozen
class Published:
    """One draft on its day."""

    name: str
    day: date
    row: Draft

    @property
    def x(self) -> float:
        return LEFT + (self.day - FIRST).days * PER_DAY

    @property
    def lane(self) -> bytes:
        """What its frames look like, of which its row's codec tells."""
        return b"".join(self.row.codec("server", 1024).encode("Hello"))[:2]


def published(history: list[dict[str, Any]]) -> list[Published]:
    rows = {draft.name: draft for draft in DRAFTS}
    return [
        # Of the RFC only the month is told.
        Published(entry["draft"], date.fromisoformat(f"{entry['on']}-01"[:10]), rows[entry["row"]])
        for entry in history
        if entry["row"] is not None
    ]


def draw(history: list[dict[str, Any]]) -> str:
    drafts = published(history)
    parts = [*legend()]
    y: float = TOP
    for start, called in LANES.items():
        those = [draft for draft in drafts if draft.lane == start]
        levels = stagger(those)
        height = (max(levels) + 1) * LEVEL + 22
        parts += lane(those, levels, y, height, called)
        y += height + 8
    return figure(WIDTH, y + 2, "The drafts in time", [*months(y - 8), *parts])


def stagger(drafts: list[Published]) -> list[int]:
    """For each the lowest level on which its name meets neither later names nor their leaders."""
    levels: list[int] = []
    for number, draft in reversed(list(enumerate(drafts))):
        end = draft.x + 8 + len(draft.name) * LETTER
        later = zip(drafts[number + 1 :], levels, strict=True)
        levels.insert(0, max((level + 1 for other, level in later if other.x <= end), default=0))
    return levels


def lane(
    drafts: list[Published], levels: list[int], y: float, height: float, called: str
) -> Iterator[str]:
    yield text(0, y + height / 2 - 3, called, "strong")
    sample = b"".join(drafts[0].row.codec("server", 1024).encode("Hello"))
    yield text(0, y + height / 2 + 13, f"{sample[:3].hex(' ')} …", "soft byte")
    start, end = drafts[0].x - 9, max(d.x + 12 + len(d.name) * LETTER for d in drafts)
    yield box(start, y, end - start, height, "payload pale")
    foot = y + height - 11
    for draft, level in zip(drafts, levels, strict=True):
        name_y = foot - 12 - level * LEVEL
        if level:
            yield line(draft.x, foot - 5, draft.x, name_y - 2)
        yield text(draft.x + (4 if level else -4), name_y, draft.name)
        yield mark(draft.row, draft.x, foot)


def mark(draft: Draft, x: float, y: float) -> str:
    """How the server shows that it understood."""
    if draft.version is not None:
        return element("path", d=f"M{x - 5:.1f} {y}l5 -5l5 5l-5 5z", class_="mark")
    if draft.opening.request_body:
        return element("circle", cx=f"{x:.1f}", cy=y, r=4.5, class_="mark")
    return element("rect", x=f"{x - 4:.1f}", y=y - 4, width=8, height=8, class_="mark")


def legend() -> Iterator[str]:
    x: float = LEFT
    yield text(0, 16, "Proof of the opening", "soft")
    samples = ("none", DRAFTS[0]), ("MD5 of two keys", DRAFTS[1]), ("SHA-1 of a key", DRAFTS[-1])
    for said, draft in samples:
        yield mark(draft, x + 5, 12)
        yield text(x + 16, 16, said)
        x += 34 + len(said) * LETTER


def months(bottom: float) -> Iterator[str]:
    for year in range(FIRST.year, LAST.year + 1):
        for month in range(1, 13, 3):
            day = date(year, month, 1)
            if FIRST <= day <= LAST:
                x = LEFT + (day - FIRST).days * PER_DAY
                yield line(x, TOP - 14, x, bottom)
                yield text(x + 3, TOP - 14, f"{day:%b %Y}" if month == 1 else f"{day:%b}", "soft")
