"""The directive `benchmarks`: what docs/benchmarks.json says, which a run of the benchmarks wrote.

`.. benchmarks:: about` is the machine and what was measured, `.. benchmarks:: goals` what is
wanted, and `.. benchmarks:: NAME` the table of the workload with that name, or that the run was
of before there was such a workload.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from benchmarks import goals
from benchmarks.summary import PATH, Summary, as_rst
from benchmarks.workloads import WORKLOADS


def about(summary: Summary) -> Iterator[str]:
    yield from (f":{name}: {said}" for name, said in summary.about.items())
    # Several peers may be one package.
    yield f":Peers: {'; '.join(dict.fromkeys(summary.versions.values()))}"
    yield from (f":Missing: {name}: {why}" for name, why in summary.missing.items())


def part(summary: Summary, name: str) -> Iterator[str]:
    if name == "about":
        return about(summary)
    if name == "goals":
        return goals.as_rst(summary)
    table = summary.table(name)
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
        self.env.note_dependency(str(PATH))
        summary = Summary.read()
        try:
            lines = list(part(summary, self.arguments[0]))
        except ValueError as error:
            raise self.error(str(error)) from error
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("benchmarks", Benchmarks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
