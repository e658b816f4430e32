"""The directives `history`, tables made from docs/drafts.json, and `drawing`.

`.. history:: drafts` lists each draft and what it changed, `.. history:: programs` who spoke which.
`.. drawing:: NAME` puts a figure of docs/_static into the page, so that it follows the theme's
colours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

DOCS = Path(__file__).parent
DATA = DOCS / "drafts.json"


def day(on: str) -> str:
    if len(on) == len("2011-12"):
        return f"{date.fromisoformat(f'{on}-01'):%B %Y}"
    when = date.fromisoformat(on)
    return f"{when.day} {when:%B %Y}"


def rows(data: dict[str, list[dict[str, Any]]], name: str) -> Iterator[list[str]]:
    if name == "drafts":
        yield ["Published", "Draft", "What it changed on the wire", "Known from"]
        for entry in data["history"]:
            yield [day(entry["on"]), f"``{entry['draft']}``", entry["what"], entry["grade"]]
    else:
        yield ["Program", "Drafts, over all its versions"]
        yield from ([entry["name"], entry["spoke"]] for entry in data["programs"])


class History(SphinxDirective):
    """`.. history:: drafts` or `.. history:: programs`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(DATA))
        name = self.arguments[0]
        widths = "18 14 56 12" if name == "drafts" else "40 60"
        lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
        for row in rows(json.loads(DATA.read_text(encoding="utf-8")), name):
            lines += [
                f"   {'*' if number == 0 else ' '} - {cell}" for number, cell in enumerate(row)
            ]
        return self.parse_text_to_nodes("\n".join(lines))


class Drawing(SphinxDirective):
    """`.. drawing:: NAME`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        file = DOCS / "_static" / f"{self.arguments[0]}.svg"
        self.env.note_dependency(str(file))
        return [nodes.raw("", file.read_text(encoding="utf-8"), format="html")]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("history", History)
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
