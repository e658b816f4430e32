"""The results of `responsiveness`: sections, their rows, and every sample of each figure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import attrs

from .package import Surroundings
from .tables import aligned, spread

Columns: TypeAlias = "dict[str, list[float]]"
"""Samples, by a heading that names the figure and its unit."""


@attrs.frozen
class Setup:
    """What to measure, and how thoroughly."""

    surroundings: Surroundings
    quick: bool = False
    """Only see whether it works."""
    connections: int = 1000
    """How many are idle."""

    def pick(self, full: int, quick: int) -> int:
        """The one of two sizes that applies."""
        return quick if self.quick else full


@attrs.define
class Results:
    """Sections by their titles, and in them rows by their names."""

    about: dict[str, str]
    sections: dict[str, dict[str, Columns]] = attrs.field(factory=dict)

    def add(self, section: str, row: str, columns: Columns) -> None:
        """Adds samples to those of earlier rounds."""
        kept = self.sections.setdefault(section, {}).setdefault(row, {})
        for heading, samples in columns.items():
            kept.setdefault(heading, []).extend(samples)

    def to_json(self) -> dict[str, Any]:
        """Every sample."""
        return attrs.asdict(self)


def as_text(results: Results) -> str:
    lines = [f"{name}: {said}" for name, said in results.about.items()]
    lines.append("Medians, with the smallest and the largest sample in parentheses.")
    for section, rows in results.sections.items():
        headings = list(dict.fromkeys(heading for row in rows.values() for heading in row))
        cells = [(section, *headings)]
        cells += [(name, *_cells(headings, columns)) for name, columns in rows.items()]
        lines += ["", *aligned(cells)]
    return "\n".join(lines)


def _cells(headings: Iterable[str], columns: Columns) -> Iterator[str]:
    for heading in headings:
        yield spread(columns.get(heading, []))
