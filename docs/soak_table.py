"""The directive `soak`: what docs/soak.json says, which a run of `soak/run` wrote.

`.. soak:: about` is the machine, `.. soak:: minutes` the load minute by minute, and
`.. soak:: NAME` what came of the exercise with that name. The role `soak` is one figure of it:
`:soak:`crowd: memory of a connection at rest``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.typing import ExtensionMetadata

from soak.report import Report, as_rst, facts, minutes_as_rst

RESULTS = Path(__file__).parent / "soak.json"


def part(report: Report, name: str) -> Iterator[str]:
    if name == "about":
        return (f":{fact}: {said}" for fact, said in report.about.items())
    exercise = report.exercise("crowd" if name == "minutes" else name)
    if exercise is None:
        raise ValueError(f"there is no exercise {name}")
    return minutes_as_rst(exercise) if name == "minutes" else as_rst(exercise)


def figure(report: Report, wanted: str) -> str:
    name, _, fact = wanted.partition(": ")
    exercise = report.exercise(name)
    if exercise is None:
        raise ValueError(f"there is no exercise {name}")
    figures = dict(facts(exercise))
    if fact not in figures:
        raise ValueError(f"the exercise {name} has no figure {fact!r}")
    return figures[fact]


def load() -> Report:
    return Report.from_json(json.loads(RESULTS.read_text(encoding="utf-8")))


class Figure(SphinxRole):
    """The role `soak`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        self.env.note_dependency(str(RESULTS))
        try:
            return [nodes.Text(figure(load(), self.text))], []
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]


class Soak(SphinxDirective):
    """`.. soak::` and what of it."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RESULTS))
        try:
            lines = list(part(load(), self.arguments[0]))
        except ValueError as error:
            raise self.error(str(error)) from error
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("soak", Soak)
    app.add_role("soak", Figure())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
