"""The directive `attacks-table`: a table made from docs/attacks.json, which the tests write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from trio_draftws import DRAFTS

TABLE = Path(__file__).parent / "attacks.json"
NAMES = [draft.name for draft in DRAFTS]


def spans(drafts: list[str]) -> str:
    """The drafts in few words: "all", or runs of neighbours."""
    if drafts == NAMES:
        return "all"
    runs: list[list[str]] = []
    for name in drafts:
        if runs and NAMES.index(runs[-1][-1]) + 1 == NAMES.index(name):
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(
        f"``{run[0]}``" if len(run) == 1 else f"``{run[0]}`` to ``{run[-1]}``" for run in runs
    )


def table_of(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 32 18 10 8 32", "")
    for cells in (
        ["Attack or fault", "Drafts", "Side", "Cases", "Result"],
        *(
            [
                row["attack"],
                spans(row["drafts"]),
                row["roles"] if row["roles"] != "both" else "client, server",
                str(row["cases"]),
                row["answer"],
            ]
            for row in rows
        ),
    ):
        for number, cell in enumerate(cells):
            yield f"   {'*' if number == 0 else ' '} - {cell}"


class AttacksTable(SphinxDirective):
    """`.. attacks-table::`."""

    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(TABLE))
        rows = json.loads(TABLE.read_text(encoding="utf-8"))
        return self.parse_text_to_nodes("\n".join(table_of(rows)))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("attacks-table", AttacksTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
