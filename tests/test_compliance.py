"""Autobahn's verdicts are read, selected and compared; what they are, `compliance/run` tells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance.verdicts import (
    GOOD,
    ROLES,
    Outcome,
    Verdict,
    faults,
    load,
    read_report,
    save,
    select,
    tally,
)

EXPECTED = Path(__file__).parent.parent / "compliance" / "expected.json"

OK = ("OK", "OK")
INFORMATIONAL = ("INFORMATIONAL", "INFORMATIONAL")


# Verdicts


def test_no_fault_where_all_is_as_expected() -> None:
    found: Outcome = {"1.1": OK, "1.2": INFORMATIONAL}
    assert list(faults(["1.1", "1.2"], dict(found), found)) == []
    assert list(faults(["1.1", "1.2"], None, found)) == []


@pytest.mark.parametrize(
    ("expected", "verdict", "told"),
    [
        ({"1.1": OK}, ("NON-STRICT", "OK"), "1.1: NON-STRICT (close: OK)"),
        ({"1.1": OK}, ("OK", "UNCLEAN"), "1.1: OK (close: UNCLEAN)"),
        ({"1.1": OK}, ("UNIMPLEMENTED", "OK"), "1.1: UNIMPLEMENTED (close: OK)"),
        # Good, but another
        ({"1.1": OK}, INFORMATIONAL, "1.1: INFORMATIONAL, OK was expected"),
        ({}, OK, "1.1: OK, nothing was expected"),
        # A fault stays one if it is expected, or if whatever is found will be.
        ({"1.1": ("FAILED", "FAILED")}, ("FAILED", "FAILED"), "1.1: FAILED"),
        (None, ("OK", "WRONG CODE"), "1.1: OK (close: WRONG CODE)"),
    ],
)
def test_faults(expected: Outcome | None, verdict: Verdict, told: str) -> None:
    assert list(faults(["1.1"], expected, {"1.1": verdict})) == [told]


@pytest.mark.parametrize("expected", [{"1.1": OK}, {}, None])
def test_a_case_that_was_not_run(expected: Outcome | None) -> None:
    assert list(faults(["1.1"], expected, {})) == ["1.1: missing"]


def test_faults_are_told_in_order() -> None:
    cases = ["2.10", "2.9", "10.1"]
    assert list(faults(cases, {}, {})) == ["2.9: missing", "2.10: missing", "10.1: missing"]


def test_an_expected_case_that_is_there_no_more() -> None:
    assert list(faults(["1.1"], {"1.1": OK, "1.2": OK}, {"1.1": OK})) == ["1.2: missing"]


def test_select() -> None:
    cases = ["1.1.1", "1.1.15", "11.1.1", "2.1"]
    assert select(cases, ["*"]) == set(cases)
    assert select(cases, ["1.*"]) == {"1.1.1", "1.1.15"}
    assert select(cases, ["1.1.1", "2.*"]) == {"1.1.1", "2.1"}
    assert select(cases, ["*"], ["1.*", "2.1"]) == {"11.1.1"}
    assert select(cases, ["3.*"]) == set()


def test_tally() -> None:
    found: Outcome = {"1.1": INFORMATIONAL, "1.2": OK, "1.3": OK, "1.4": ("OK", "UNCLEAN")}
    assert tally(found) == "2 OK, 1 INFORMATIONAL, 1 OK (close: UNCLEAN)"


# Files


def test_read_report(tmp_path: Path) -> None:
    """Only the agent that was asked for, and of each case only the two words."""
    entry = {"behavior": "OK", "behaviorClose": "UNCLEAN", "duration": 2, "remoteCloseCode": 1000}
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"a": {"1.1": entry}, "b": {"1.2": entry}}))
    assert read_report(index, "a") == {"1.1": ("OK", "UNCLEAN")}
    assert read_report(index, "c") == {}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "expected.json"
    save(path, {"server": {"1.10": OK, "1.9": OK}, "client": {"1.9": INFORMATIONAL}})
    assert path.read_text().splitlines() == [
        "{",
        '  "1.9": {"server": ["OK", "OK"], "client": ["INFORMATIONAL", "INFORMATIONAL"]},',
        '  "1.10": {"server": ["OK", "OK"]}',
        "}",
    ]
    assert load(path) == {"server": {"1.9": OK, "1.10": OK}, "client": {"1.9": INFORMATIONAL}}


def test_what_is_expected(tmp_path: Path) -> None:
    """Every case in both roles, all of them good, in a file as `save` writes it."""
    expected = load(EXPECTED)
    for role in ROLES:
        assert len(expected[role]) == 517
        assert {word for verdict in expected[role].values() for word in verdict} <= GOOD
        assert [case for case, verdict in expected[role].items() if verdict != OK] == [
            "7.1.6",
            "7.13.1",
            "7.13.2",
        ]
    save(tmp_path / "again.json", expected)
    assert (tmp_path / "again.json").read_text() == EXPECTED.read_text()
