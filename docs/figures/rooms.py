"""The rooms of the package by floors, from the map in the docstring of `trio_draftws`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import trio_draftws

from .svg import arrow, box, figure, line, text

WIDTH, HIGH, GAP = 736, 30, 5
NAME, ABOUT, INDENT = 14, 172, 14
# What a room is for decides its colour.
KINDS = {"__main__": "payload", "cli": "payload", "testing": "payload", "__init__": "key"}


class Room(NamedTuple):
    """A line of the map."""

    name: str
    about: str
    inside: str = ""
    """The room that it is a part of."""

    @property
    def path(self) -> str:
        """Its name as a test says it: `drafts._http`."""
        return f"{self.inside}.{self.name}" if self.inside else self.name


def rooms(docstring: str = trio_draftws.__doc__ or "") -> Iterator[Room]:
    """The rooms on the map, from the top down."""
    outer = ""
    for map_line in docstring.splitlines():
        if match := re.fullmatch(r" {4}( {2})?(\w+) {2,}(\S.*)", map_line):
            indented, name, about = match.groups()
            outer = outer if indented else name
            yield Room(name, about.replace("`", ""), outer if indented else "")


def draw() -> str:
    """One floor for each room; the rooms inside of another lie within its box."""
    parts: list[str] = []
    y = 22.0
    parts.append(text(0, 12, "A room imports from those below it.", "soft"))
    parts.append(arrow(WIDTH - 8, 2, WIDTH - 8, 18))
    found = list(rooms())
    for room in found:
        inner = [one for one in found if one.inside == room.name]
        if room.inside:
            continue
        high = HIGH + len(inner) * (HIGH + GAP) + (GAP if inner else 0)
        if inner:
            y += 24
            parts.append(line(0, y - 13, WIDTH, y - 13, "arrow late"))
            parts.append(text(WIDTH, y - 18, "above this line: Trio", "soft end"))
        parts += floor(room, 0.5, y, WIDTH - 1, high, "length" if inner else "type")
        for number, part in enumerate(inner, 1):
            below = y + number * (HIGH + GAP)
            parts += floor(part, INDENT, below, WIDTH - 2 * INDENT, HIGH, "length")
        y += high + GAP
    return figure(
        WIDTH,
        y,
        "The rooms of the package, from the top floor down",
        parts,
        "; ".join(f"{room.path}: {room.about}" for room in found),
    )


def floor(room: Room, x: float, y: float, width: float, high: float, kind: str) -> Iterator[str]:
    """A box with the room's name and what is in it."""
    yield box(x, y, width, high, f"{KINDS.get(room.name, kind)} pale")
    yield box(x, y, width, high, "edge")
    yield text(x + NAME, y + HIGH / 2 + 4.5, room.name, "strong")
    yield text(ABOUT, y + HIGH / 2 + 4.5, room.about, "small")
