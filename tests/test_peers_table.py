"""docs/peers.json says what test_peers.py runs, and is written of what passed only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from trio_draftws import DRAFTS

from . import test_peers
from .peers import table, versions
from .peers.catalogue import CLIENTS, SERVERS, Peer
from .peers.table import Fact, Witness

ECHO = Fact("servers", "ws-8", "rfc6455", "echo")
ENDS = Fact("servers", "ws-8", "rfc6455", "peer ends")


def report(outcome: Any, *facts: Fact, when: Any = "call") -> pytest.TestReport:
    """As it comes from a test, through another process."""
    shown: list[tuple[str, object]] = [("shows", list(fact)) for fact in facts]
    return pytest.TestReport("a test", ("", 0, ""), {}, outcome, None, when, user_properties=shown)


def test_the_table_is_of_the_tests_that_there_are() -> None:
    """Every fact, and every row; and where the peers must be there, their versions."""
    committed = table.read()
    told = {
        row["name"]: versions.Origin(row["package"], row["version"])
        for rows in committed.values()
        for row in rows
    }

    def origin(peer: Peer) -> versions.Origin:
        return told.get(peer.name, versions.Origin("", ""))

    demanded = os.environ.get("REQUIRE_PEERS") == "1"
    made = table.as_table(table.planned(test_peers), versions.origin if demanded else origin)
    assert made == committed, "write it anew: pytest --write-peers-table tests/test_peers.py"
    assert table.dumped(made) == table.TABLE.read_text("utf-8")


def test_every_peer_is_shown_to_echo_in_each_of_its_drafts() -> None:
    expected = {
        Fact(role, peer.name, draft, "echo")
        for role, peers in (("servers", SERVERS), ("clients", CLIENTS))
        for peer in peers
        for draft in peer.drafts
    }
    assert {fact for fact in table.claimed(table.read()) if fact.what == "echo"} == expected


def test_no_draft_is_lost_from_the_table() -> None:
    """A draft that no row of the library is called by would have no column."""
    names = {name for draft in DRAFTS for name in (draft.name, *draft.aliases)}
    assert {draft for peer in (*SERVERS, *CLIENTS) for draft in peer.drafts} <= names


@pytest.mark.parametrize(
    ("reports", "shown"),
    [
        ([report("passed", ECHO)], {ECHO}),
        ([report("passed", ECHO, when="setup")], set()),
        ([report("failed", ECHO)], set()),
        ([report("skipped", ECHO, when="setup")], set()),
        ([report("passed", ECHO, ENDS), report("failed", ECHO)], {ENDS}),
        ([report("passed", ECHO), report("failed", ECHO, when="teardown")], set()),
    ],
)
def test_shown_is_what_passed(reports: list[pytest.TestReport], shown: set[Fact]) -> None:
    """Wholly, and in every test that is to show it."""
    witness = Witness()
    for each in reports:
        witness.pytest_runtest_logreport(each)
    assert witness.shown == shown


def test_a_table_is_written_only_when_all_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "TABLE", tmp_path / "peers.json")
    monkeypatch.setattr(table, "origin", lambda peer: versions.Origin("some", "1"))
    witness = Witness()
    witness.pytest_runtest_logreport(report("passed", ECHO))
    complaint = witness.write({ECHO, ENDS})
    assert complaint is not None
    assert complaint.endswith("did not pass: servers ws-8 rfc6455 peer ends")
    assert not table.TABLE.exists()
    witness.pytest_runtest_logreport(report("passed", ENDS))
    assert witness.write({ECHO, ENDS}) is None
    assert table.claimed(table.read()) == {ECHO, ENDS}


def test_a_table_that_is_wrong() -> None:
    """One that claims what was skipped, or lacks what passed; not one that says more than ran."""
    both = table.as_table({ECHO, ENDS}, lambda peer: versions.Origin("some", "1"))
    one = table.as_table({ECHO}, lambda peer: versions.Origin("some", "1"))
    witness = Witness()
    witness.pytest_runtest_logreport(report("passed", ECHO))
    assert (witness.compare(both), witness.compare(one)) == (None, None)
    witness.pytest_runtest_logreport(report("skipped", ENDS, when="setup"))
    wrong = f"peers.json is wrong about these: {' '.join(ENDS)}"
    assert (witness.compare(both), witness.compare(one)) == (wrong, None)
    witness = Witness()
    witness.pytest_runtest_logreport(report("passed", ECHO, ENDS))
    assert (witness.compare(both), witness.compare(one)) == (None, wrong)
