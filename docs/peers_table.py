"""The directive `peers`: tables and lists made from docs/peers.json, which the tests write.

`.. peers:: servers` and `.. peers:: clients` are tables; `.. peers:: odd` lists deviations of
peers, `.. peers:: missing` the drafts that no peer speaks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from trio_draftws import DRAFTS

TABLE = Path(__file__).parent / "peers.json"
NAMES = [name for draft in DRAFTS for name in (draft.name, *draft.aliases)]

Table = dict[str, list[dict[str, Any]]]


def letters(cell: str) -> str:
    """The first letter of each thing shown; the page explains them."""
    return "".join(what[:1].upper() for what in cell.split(", "))


def table_of(role: str, table: Table) -> Iterator[str]:
    spoken = [name for name in NAMES if any(name in row["shown"] for row in table[role])]
    yield from (
        ".. list-table::",
        "   :class: peers",
        "   :header-rows: 1",
        "   :stub-columns: 1",
        "",
    )
    for cells in (
        ["Peer", "Version", *(f"``{name}``" for name in spoken)],
        *(
            [row["name"], row["version"], *(letters(row["shown"].get(name, "")) for name in spoken)]
            for row in table[role]
        ),
    ):
        for number, cell in enumerate(cells):
            yield f"   {'*' if number == 0 else ' '} - {cell}"


def servers(table: Table) -> Iterator[str]:
    return table_of("servers", table)


def clients(table: Table) -> Iterator[str]:
    return table_of("clients", table)


def odd(table: Table) -> Iterator[str]:
    for role, rows in table.items():
        for row in rows:
            for oddity in row["odd"]:
                yield f"* {row['name']}, {role[:-1]}: {oddity}"


def missing(table: Table) -> Iterator[str]:
    for role, rows in table.items():
        spoken = {name for row in rows for name in row["shown"]}
        without = [d.name for d in DRAFTS if not spoken.intersection((d.name, *d.aliases))]
        yield f"* No {role[:-1]}: {', '.join(f'``{name}``' for name in without)}"


PARTS: dict[str, Callable[[Table], Iterator[str]]] = {
    part.__name__: part for part in (servers, clients, odd, missing)
}


class Peers(SphinxDirective):
    """`.. peers:: PART`."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(TABLE))
        table: Table = json.loads(TABLE.read_text(encoding="utf-8"))
        return self.parse_text_to_nodes("\n".join(PARTS[self.arguments[0]](table)))


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.add_directive("peers", Peers)
    app.add_css_file("peers.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
