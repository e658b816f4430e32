"""The directive `closes-table`: how a bridge translates a close code to another draft."""

from __future__ import annotations

from itertools import groupby

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from trio_draftws import DRAFTS, Close, Draft
from trio_draftws._relay.bridge import close_arguments

MEANINGS: dict[int | None, str] = {
    1000: "done",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported kind of message",
    1004: "too big, before version 13",
    1007: "invalid data, such as bad UTF-8",
    1008: "policy violation",
    1009: "too big",
    1010: "an extension is missing",
    1011: "internal error",
    1012: "restarting",
    1013: "try again later",
    1014: "bad gateway",
    4000: "3000 to 4999: the application's codes",
    None: "none",
}


def drafts_alike() -> list[list[Draft]]:
    """The drafts with codes, grouped by which codes they have."""
    with_codes = [draft for draft in DRAFTS if draft.close_status]
    return [list(alike) for _, alike in groupby(with_codes, key=lambda draft: draft.close_codes)]


def rows() -> list[list[str]]:
    """Heading and rows: the code of one side, and the code that the other side gets."""
    groups = drafts_alike()
    heading = ["One side's code", *(", ".join(f"``{d.name}``" for d in group) for group in groups)]
    table = [heading]
    for code, meaning in MEANINGS.items():
        said = [close_arguments(group[0], Close(code))[0] for group in groups]
        own = ["unchanged" if code == 4000 else str(told) for told in said]
        table.append([meaning if code in (None, 4000) else f"{code}, {meaning}", *own])
    return table


class ClosesTable(SphinxDirective):
    """Takes neither arguments nor content."""

    def run(self) -> list[nodes.Node]:
        """Called by Sphinx."""
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in rows():
            for number, cell in enumerate(row):
                lines.append(f"   {'*' if number == 0 else ' '} - {cell}")
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("closes-table", ClosesTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
