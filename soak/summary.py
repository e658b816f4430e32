"""A run in few lines: the figures of each exercise, and the busy one minute by minute.

The documentation's tables are made from the summary in docs/soak.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from docs.one_line_each import one_line_each

from .report import HEADINGS, Report, facts, minutes

PATH = Path(__file__).resolve().parent.parent / "docs/soak.json"


@attrs.frozen
class Summary:
    """What a run showed, as text."""

    about: dict[str, str]
    """The machine, and how long it was."""
    faults: list[str]
    """What should not be; empty after a good run."""
    minutes: list[list[str]]
    """Of the crowd: which minute, memory, messages in a second."""
    crowd: dict[str, str]
    """Figures by their names."""
    stalled: dict[str, str]
    """Figures by their names."""

    @classmethod
    def of(cls, report: Report) -> Summary:
        exercises = {one.result.exercise: one for one in report.exercises}
        crowd = exercises["crowd"]
        return cls(
            report.about,
            report.faults(),
            [list(row) for row in minutes(crowd.result.looks)],
            dict(facts(crowd)),
            dict(facts(exercises["stalled"])),
        )

    @classmethod
    def read(cls, path: Path = PATH) -> Summary:
        """Reads what `write` wrote: by default, what the documentation shows."""
        return cls(**json.loads(path.read_text("utf-8")))

    def write(self, path: Path) -> None:
        data = attrs.asdict(self)
        path.write_text(one_line_each(data, "minutes", "crowd", "stalled"), "utf-8")

    def exercise(self, name: str) -> dict[str, str]:
        """The figures of an exercise.

        Raises:
            ValueError: there is no such exercise.
        """
        if name not in ("crowd", "stalled"):
            raise ValueError(f"there is no exercise {name}")
        figures: dict[str, str] = getattr(self, name)
        return figures

    def figure(self, wanted: str) -> str:
        """One figure, by the name of its exercise and its own: `"crowd: openings"`.

        Raises:
            ValueError: there is no such figure.
        """
        name, _, fact = wanted.partition(": ")
        figures = self.exercise(name)
        if fact not in figures:
            raise ValueError(f"the exercise {name} has no figure {fact!r}")
        return figures[fact]

    def as_rst(self, name: str) -> Iterator[str]:
        """A part of it for a page: `about`, `minutes`, or the name of an exercise.

        Raises:
            ValueError: there is no such part.
        """
        if name == "about":
            return (f":{fact}: {value}" for fact, value in self.about.items())
        if name == "minutes":
            return _table("Minute by minute", [HEADINGS, *self.minutes], header_rows=1)
        return _table(f"The exercise ``{name}``", list(self.exercise(name).items()))


def _table(title: str, rows: Sequence[Sequence[str]], header_rows: int = 0) -> Iterator[str]:
    yield from (f".. list-table:: {title}", f"   :header-rows: {header_rows}", "")
    for cells in rows:
        for column, cell in enumerate(cells):
            yield f"   {'*' if column == 0 else ' '} - {cell}"
    yield ""
