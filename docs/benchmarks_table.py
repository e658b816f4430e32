"""The directive `benchmarks`: what docs/benchmarks.json says, which a run of the benchmarks wrote.

`.. benchmarks:: about` is the machine and what was measured, `.. benchmarks:: goals` what is
wanted, and `.. benchmarks:: NAME` the table of the workload with that name, or that the run was
of before there was such a workload.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from benchmarks import goals
from benchmarks.report import Report, as_rst
from benchmarks.workloads import WORKLOADS

RESULTS = Path(__file__).parent / "benchmarks.json"


def about(report: Report) -> Iterator[str]:
    yield from (f":{name}: {said}" for name, said in report.about.items())
    # Several peers may be one package.
    yield f":Peers: {'; '.join(dict.fromkeys(report.versions.values()))}"
    yield from (f":Missing: {name}: {why}" for name, why in report.missing.items())


def part(report: Report, name: str) -> Iterator[str]:
    if name == "about":
        return about(report)
    if name == "goals":
        return goals.as_rst(report)
    table = report.table(name)
    if table is not None:
        return as_rst(table)
    if name not in {workload.name for workload in WORKLOADS}:
        raise ValueError(f"{name} is no workload")
    return iter([f"``{name}`` was not measured in this run."])


class Benchmarks(SphinxDirective):
    """`.. benchmarks::` and what of it."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(RESULTS))
        report = Report.from_json(json.loads(RESULTS.read_text(encoding="utf-8")))
        try:
            lines = list(part(report, self.arguments[0]))
        except ValueError as error:
            raise self.error(str(error)) from error
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("benchmarks", Benchmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
