"""The directive `drafts-table`: what the registry's rows say, as a table."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from trio_draftws import DRAFTS, Draft


def cells(draft: Draft) -> dict[str, str]:
    """One row, by the heading of each column."""

    def yes(capability: bool) -> str:
        return "yes" if capability else "–"

    def codes(names: tuple[str, ...]) -> str:
        return ", ".join(f"``{name}``" for name in names) or "–"

    return {
        "Name": f"``{draft.name}``",
        "Also called": codes(draft.aliases),
        "Published": draft.published,
        "Its requests": ", ".join(draft.announced_by),
        "Closing frame": yes(draft.closing_handshake),
        "Close codes": yes(draft.close_status),
        "Binary": yes(draft.binary),
        "Fragments": yes(draft.fragments),
        "Ping": yes(draft.ping),
        "Compression": yes(draft.compression),
    }


class DraftsTable(SphinxDirective):
    """`.. drafts-table::` with nothing else."""

    def run(self) -> list[nodes.Node]:
        rows = [cells(draft) for draft in DRAFTS]
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in [{heading: heading for heading in rows[0]}, *rows]:
            for number, cell in enumerate(row.values()):
                lines.append(f"   {'*' if number == 0 else ' '} - {cell}")
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("drafts-table", DraftsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
