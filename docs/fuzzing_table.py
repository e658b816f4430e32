"""The directive `fuzzing`: a table made from docs/fuzzing.json, which the fuzzer writes."""

from __future__ import annotations

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from fuzzing.report import Report, as_rst

TOTALS = Path(__file__).parent / "fuzzing.json"


class Fuzzing(SphinxDirective):
    """`.. fuzzing::`, without arguments."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(TOTALS))
        report = Report.from_json(json.loads(TOTALS.read_text(encoding="utf-8")))
        return self.parse_text_to_nodes("\n".join(as_rst(report)))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("fuzzing", Fuzzing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
