"""docs/peers.json: what test_peers.py shows of each peer, and the page on peers is made from.

A test says what it shows of the peer and the draft that it is given with the marker `shows`. From
then on nobody writes down by hand what was run:

- `pytest --write-peers-table tests/test_peers.py` writes what passed, and nothing if that is not
  all there is.
- A run with REQUIRE_PEERS=1 fails where the table claims what was skipped or failed, or lacks what
  passed.
- test_peers_table.py compares the table with the tests that there are.

All of it is a plugin of pytest, which conftest.py loads.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from docs.one_line_each import one_line_each
from trio_draftws import DRAFTS

from .catalogue import CLIENTS, SERVERS, Peer
from .versions import Origin, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from types import ModuleType

TABLE = Path(__file__).parents[2] / "docs/peers.json"

# Messages come back; the peer ends first; we do; it agrees to a subprotocol; it compresses.
SHOWN = ("echo", "peer ends", "we end", "subprotocol", "deflate")
ROLES = {"servers": SERVERS, "clients": CLIENTS}
NAMES = [name for draft in DRAFTS for name in (draft.name, *draft.aliases)]

Table = dict[str, list[dict[str, Any]]]


class Fact(NamedTuple):
    """Something that one test shows."""

    role: str
    peer: str
    draft: str
    what: str


def facts(
    mark: pytest.Mark, *, peer: Peer, draft: str, deflate: bool | None = None
) -> Iterator[Fact]:
    """What a test with this marker shows, when it is given these."""
    role = "servers" if peer in SERVERS else "clients"
    yield from (Fact(role, peer.name, draft, what) for what in mark.args)
    # Where it is not the test's parameter, every echo is compressed if the peer can do that.
    if deflate or (deflate is None and "echo" in mark.args and draft in peer.deflate):
        yield Fact(role, peer.name, draft, "deflate")


def planned(tests: ModuleType) -> set[Fact]:
    """What all tests of a module show when they pass."""
    found: set[Fact] = set()
    for test in vars(tests).values():
        marks = {mark.name: mark for mark in getattr(test, "pytestmark", ())}
        if "shows" in marks:
            names, rows = marks["parametrize"].args
            for row in rows:
                found.update(facts(marks["shows"], **dict(zip(names, row.values, strict=True))))
    return found


def oddities(peer: Peer) -> list[str]:
    """Where a peer is odd, from the catalogue's columns."""

    def listed(drafts: Collection[str]) -> str:
        return " (" + ", ".join(name for name in NAMES if name in drafts) + ")"

    found: list[str] = []
    if peer.sends_no_close:
        found.append("ends without a closing frame" + listed(peer.sends_no_close))
    if peer.answers_no_close:
        found.append("answers a closing frame with the end of TCP" + listed(peer.answers_no_close))
    for code in sorted({code for code in peer.answers_code.values() if code is not None}):
        drafts = [name for name, answer in peer.answers_code.items() if answer == code]
        found.append(f"answers with code {code}, whichever it was sent" + listed(drafts))
    if without := [name for name, answer in peer.answers_code.items() if answer is None]:
        found.append("answers without a code" + listed(without))
    if peer.waits_for_tcp:
        found.append("waits for the end of TCP when it got a closing frame")
    if peer.never_ends:
        found.append("cannot end first" + listed(peer.never_ends))
    if peer.attempts > 1:
        found.append(f"answers some openings wrongly, so that up to {peer.attempts} are tried")
    return found


def as_table(shown: Collection[Fact], origin: Callable[[Peer], Origin]) -> Table:
    """The table of these facts."""

    def row(role: str, peer: Peer) -> dict[str, Any]:
        cells = {
            draft: [what for what in SHOWN if Fact(role, peer.name, draft, what) in shown]
            for draft in NAMES
        }
        made = origin(peer)
        return {
            "name": peer.name,
            "package": made.package,
            "version": made.version,
            "shown": {draft: ", ".join(whats) for draft, whats in cells.items() if whats},
            "odd": oddities(peer),
        }

    def name(peer: Peer) -> str:
        return peer.name

    return {role: [row(role, peer) for peer in sorted(ROLES[role], key=name)] for role in ROLES}


def dumped(table: Table) -> str:
    return one_line_each(table, *table)


def read() -> Table:
    table: Table = json.loads(TABLE.read_text("utf-8"))
    return table


def claimed(table: Table) -> set[Fact]:
    """The facts that a table is made of."""
    return {
        Fact(role, row["name"], draft, what)
        for role, rows in table.items()
        for row in rows
        for draft, cell in row["shown"].items()
        for what in cell.split(", ")
    }


class Witness:
    """Sees how the tests end, in whichever process they run."""

    def __init__(self) -> None:
        self._passed: set[Fact] = set()
        self._spoiled: set[Fact] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties: list[tuple[str, Any]] = list(report.user_properties)
        seen = {Fact(*value) for name, value in properties if name == "shows"}
        if not report.passed:
            self._spoiled |= seen
        elif report.when == "call":
            self._passed |= seen

    @property
    def shown(self) -> set[Fact]:
        """What passed every time."""
        return self._passed - self._spoiled

    def write(self, plan: set[Fact]) -> str | None:
        """Writes the table; returns why not, if it is not to be written."""
        if missing := plan - self.shown:
            return f"{TABLE.name} was not written, since these did not pass: {_listed(missing)}"
        TABLE.write_text(dumped(as_table(self.shown, origin)), "utf-8")
        return None

    def compare(self, table: Table) -> str | None:
        """What a table has that did not pass, and lacks that did; a run may be of a few tests."""
        claims = claimed(table)
        wrong = (claims & self._spoiled) | (self.shown - claims)
        return f"{TABLE.name} is wrong about these: {_listed(wrong)}" if wrong else None


def _listed(some: Collection[Fact]) -> str:
    first, rest = sorted(some)[:8], len(some) - 8
    return "; ".join(" ".join(fact) for fact in first) + (f"; and {rest} more" if rest > 0 else "")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-peers-table",
        action="store_true",
        help=f"write to docs/{TABLE.name} what the tests of peers show",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "shows(*what): what a passed test shows of a peer")
    # With pytest-xdist all reports come to one process, which gets no tests to run.
    in_worker = hasattr(config, "workerinput")
    if not in_worker and (_is_to_write(config) or os.environ.get("REQUIRE_PEERS") == "1"):
        config.pluginmanager.register(Witness(), Witness.__name__)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = item.get_closest_marker("shows")
        if mark is not None and isinstance(item, pytest.Function):
            given: dict[str, Any] = dict(item.callspec.params)
            for fact in facts(mark, **given):
                # Goes with the test's reports from process to process, as plain data.
                item.user_properties.append(("shows", list(fact)))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    witness = session.config.pluginmanager.get_plugin(Witness.__name__)
    if not isinstance(witness, Witness):
        return
    if _is_to_write(session.config):
        from tests import test_peers

        complaint = witness.write(planned(test_peers))
    else:
        complaint = witness.compare(read())
    if complaint is not None:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line("")
            reporter.write_line(complaint, red=True)


def _is_to_write(config: pytest.Config) -> bool:
    return bool(config.getoption("--write-peers-table"))
