"""How figures are printed: in three digits, with their spread, in columns."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import attrs

SPREAD = "median (lowest to highest)"
NOTHING = "–"


@attrs.frozen
class Spread:
    """The median of some samples, and the range that they are in."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread | None:
        """None if there are no samples."""
        if not samples:
            return None
        return cls(statistics.median(samples), min(samples), max(samples))

    def __str__(self) -> str:
        return f"{number(self.median)} ({number(self.lowest)} to {number(self.highest)})"


def spread(samples: Sequence[float]) -> str:
    """The spread of samples as text; a dash if there are none."""
    return str(Spread.of(samples) or NOTHING)


def number(value: float) -> str:
    """A figure with at least three digits."""
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"


def aligned(cells: list[tuple[str, ...]]) -> Iterator[str]:
    """A line for each row, with its columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
