"""The catalogue names every test of an attack, and docs/attacks.json is of the tests there are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trio_draftws import DRAFTS

from . import table
from .catalogue import ROWS
from .table import Tally, without_parameters

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


def named_in(path: Path) -> Iterator[str]:
    """The tests of a file, as pytest names them, without their parameters."""
    found: list[tuple[str, ast.AST]] = [(str(path.relative_to(ROOT)), ast.parse(path.read_text()))]
    while found:
        name, node = found.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef):
                found.append((f"{name}::{child.name}", child))
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
                child.name.startswith("test_")
            ):
                yield f"{name}::{child.name}"


def test_every_test_of_the_catalogue_is_there() -> None:
    there = {test for path in (ROOT / "tests").rglob("test_*.py") for test in named_in(path)}
    assert table.planned() - there == set()


def test_every_test_here_is_in_the_catalogue() -> None:
    here = {test for path in HERE.glob("test_*.py") for test in named_in(path)}
    about_itself = {test for test in here if f"/{Path(__file__).name}::" in test}
    assert about_itself
    assert here - about_itself - table.planned() == set()


def test_rows_are_in_order() -> None:
    names = [draft.name for draft in DRAFTS]
    attacks = [row.attack for row in ROWS]
    assert len(attacks) == len(set(attacks))
    for row in ROWS:
        assert row.drafts == tuple(name for name in names if name in row.drafts)
        assert row.drafts
        assert len(row.ids) == len(set(row.ids)) > 0


def test_the_table_is_of_the_tests_that_there_are() -> None:
    """Every row, and how many cases each test has, as pytest collects them."""
    files = sorted({test.partition("::")[0] for test in table.planned()})
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    cases = Counter(
        without_parameters(line)
        for line in collected.stdout.splitlines()
        if re.match(r"tests/\S+\.py::", line)
    )
    made = table.as_table(cases)
    assert made == table.read(), "write it anew: pytest --write-attacks-table"


def report(nodeid: str, outcome: Any, when: Any = "call") -> pytest.TestReport:
    """As it comes from a test, through another process."""
    return pytest.TestReport(nodeid, ("", 0, ""), {}, outcome, None, when)


@pytest.mark.parametrize(
    ("reports", "cases"),
    [
        ([("a.py::b[1]", "passed"), ("a.py::b[2]", "passed")], {"a.py::b": 2}),
        ([("a.py::b[1]", "passed"), ("a.py::b[1]", "passed")], {"a.py::b": 1}),
        ([("a.py::b[1]", "passed"), ("a.py::b[2]", "failed")], {}),
        ([("a.py::b[1]", "passed"), ("a.py::b[2]", "skipped")], {}),
        ([("a.py::b", "passed"), ("a.py::c", "failed")], {"a.py::b": 1}),
    ],
)
def test_what_is_counted(reports: list[tuple[str, Any]], cases: dict[str, int]) -> None:
    """What passed; nothing of a test of which something did not."""
    tally = Tally()
    for nodeid, outcome in reports:
        tally.pytest_runtest_logreport(report(nodeid, outcome))
    assert tally.cases() == cases


def test_a_table_is_written_only_when_all_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "TABLE", tmp_path / "attacks.json")
    tally = Tally()
    first, *rest = sorted(table.planned())
    for test in rest:
        tally.pytest_runtest_logreport(report(test, "passed"))
    complaint = tally.write()
    assert complaint is not None
    assert first in complaint
    assert not table.TABLE.exists()
    tally.pytest_runtest_logreport(report(first, "passed", when="setup"))
    assert tally.write() is not None
    tally.pytest_runtest_logreport(report(first, "passed"))
    assert tally.write() is None
    assert table.read() == table.as_table(Counter(dict.fromkeys(table.planned(), 1)))
