"""The directive `features`: tables made from docs/features.json, with the tests for each row.

Naming a test that does not exist fails the build. A row without tests claims nothing and is not
shown.
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

from docs.named_tests import is_there

DATA = Path(__file__).parent / "features.json"


def table(section: dict[str, Any], peers: list[str]) -> Iterator[str]:
    yield f".. list-table:: {section['title']}"
    yield from ("   :header-rows: 1", "   :class: features", "   :widths: 32 42 13 13", "")
    rows = [
        [
            ": ".join(filter(None, (row["feature"], row.get("note")))),
            # Each on a line of its own
            "\n       ".join(f"| ``{test.removeprefix('tests/')}``" for test in row["tests"]),
            *row["others"],
        ]
        for row in section["rows"]
        if row["tests"]
    ]
    for cells in [["Feature", "Shown by, in ``tests/``", *peers], *rows]:
        for number, cell in enumerate(cells):
            yield from f"   {'*' if number == 0 else ' '} - {cell}".splitlines()
    yield ""


class Features(SphinxDirective):
    """`.. features::`."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(DATA))
        data = json.loads(DATA.read_text(encoding="utf-8"))
        lines: list[str] = []
        for section in data["sections"]:
            for row in section["rows"]:
                if missing := [test for test in row["tests"] if not is_there(test)]:
                    raise self.error(f"{row['feature']}: there is no test {', '.join(missing)}")
            lines += table(section, data["peers"])
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("features", Features)
    app.add_css_file("features.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
