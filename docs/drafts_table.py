"""The directives `drafts-table` and `protection-table`: tables made from the registry."""

from __future__ import annotations

from collections.abc import Callable

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from trio_draftws import DRAFTS, Draft


def yes(capability: bool) -> str:
    return "yes" if capability else "–"


def codes(names: tuple[str, ...]) -> str:
    return ", ".join(f"``{name}``" for name in names) or "–"


def capabilities(draft: Draft) -> dict[str, str]:
    """The names and capabilities of a draft: one row, by the heading of each column."""
    return {
        "Name": f"``{draft.name}``",
        "Also called": codes(draft.aliases),
        "Published": draft.published,
        "Announced by": ", ".join(draft.announced_by),
        "Closing frame": yes(draft.closing_handshake),
        "Close codes": yes(draft.close_status),
        "Binary": yes(draft.binary),
        "Fragments": yes(draft.fragments),
        "Ping": yes(draft.ping),
        "Compression": yes(draft.compression),
    }


def protection(draft: Draft) -> dict[str, str]:
    """What a draft protects against: one row, by the heading of each column."""
    if draft.version is not None:
        proof = "SHA-1 of a key"
    elif draft.opening.request_body:
        proof = "MD5 of two keys and the body"
    else:
        proof = "–"
    return {
        "Name": f"``{draft.name}``",
        "The page's origin": f"``{draft.origin_fields[0]}``",
        "Proof of the handshake": proof,
        "Masked": yes(hides_payload(draft)),
        "Close differs from loss": yes(draft.closing_handshake),
        "Pings": yes(draft.ping),
    }


def hides_payload(draft: Draft) -> bool:
    """Whether a page cannot choose the bytes that its browser sends."""
    said = "chosen by the page"
    return said.encode() not in b"".join(draft.codec("client", 1024).encode(said))


def table(cells: Callable[[Draft], dict[str, str]]) -> type[SphinxDirective]:
    """A directive without arguments or content that shows one row for each draft."""

    class Table(SphinxDirective):
        def run(self) -> list[nodes.Node]:
            rows = [cells(draft) for draft in DRAFTS]
            lines = [".. list-table::", "   :class: drafts", "   :header-rows: 1", ""]
            for row in [{heading: heading for heading in rows[0]}, *rows]:
                for number, cell in enumerate(row.values()):
                    lines.append(f"   {'*' if number == 0 else ' '} - {cell}")
            return self.parse_text_to_nodes("\n".join(lines))

    return Table


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("drafts-table", table(capabilities))
    app.add_directive("protection-table", table(protection))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
