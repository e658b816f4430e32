"""The directive and the role `soak`: what docs/soak.json says, the summary of a run of `soak/run`.

`.. soak:: about` is the machine, `.. soak:: minutes` the load minute by minute, and
`.. soak:: NAME` the figures of the exercise with that name. The role is one figure:
`:soak:`crowd: memory of a connection at rest``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.typing import ExtensionMetadata

from soak.summary import PATH, Summary


class Figure(SphinxRole):
    """The role `soak`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        self.env.note_dependency(str(PATH))
        try:
            return [nodes.Text(Summary.read().figure(" ".join(self.text.split())))], []
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]


class Soak(SphinxDirective):
    """`.. soak::` and the part to show."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(PATH))
        try:
            lines = list(Summary.read().as_rst(self.arguments[0]))
        except ValueError as error:
            raise self.error(str(error)) from error
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("soak", Soak)
    app.add_role("soak", Figure())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
