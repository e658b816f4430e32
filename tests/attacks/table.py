"""docs/attacks.json: how many cases of each attack in the catalogue passed; a page is made from it.

`pytest --write-attacks-table` writes it of what passed, and nothing if that is not all there is.
test_catalogue.py compares it with the catalogue and with the tests that there are.

It is a plugin of pytest, which conftest.py loads.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from docs.one_line_each import one_line_each

from .catalogue import ROWS

TABLE = Path(__file__).parents[2] / "docs/attacks.json"

Table: TypeAlias = list[dict[str, Any]]


def planned() -> set[str]:
    """Every test that the catalogue names."""
    return {test for row in ROWS for test in row.ids}


def as_table(cases: Counter[str]) -> Table:
    """The table, of how many cases of each test passed."""
    return [
        {
            "attack": row.attack,
            "drafts": list(row.drafts),
            "roles": row.roles,
            "answer": row.answer,
            "cases": sum(cases[test] for test in row.ids),
        }
        for row in ROWS
    ]


def read() -> Table:
    table: Table = json.loads(TABLE.read_text("utf-8"))
    return table


def without_parameters(nodeid: str) -> str:
    return nodeid.partition("[")[0]


class Tally:
    """Sees how the tests end, in whichever process they run."""

    def __init__(self) -> None:
        self._passed: set[str] = set()
        self._spoiled: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._spoiled.add(without_parameters(report.nodeid))
        elif report.when == "call":
            self._passed.add(report.nodeid)

    def cases(self) -> Counter[str]:
        """How many cases of each test passed; none where one of them did not."""
        counted = Counter(map(without_parameters, self._passed))
        return Counter({test: n for test, n in counted.items() if test not in self._spoiled})

    def write(self) -> str | None:
        """Writes the table; returns why not, if it is not to be written."""
        cases = self.cases()
        if missing := planned() - cases.keys():
            return f"{TABLE.name} was not written, since these did not pass: {sorted(missing)[:8]}"
        TABLE.write_text(one_line_each(as_table(cases)), "utf-8")
        return None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-attacks-table",
        action="store_true",
        help=f"write to docs/{TABLE.name} which attacks were tested",
    )


def pytest_configure(config: pytest.Config) -> None:
    # With pytest-xdist all reports come to one process, which gets no tests to run.
    if config.getoption("--write-attacks-table") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Tally(), Tally.__name__)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    tally = session.config.pluginmanager.get_plugin(Tally.__name__)
    if isinstance(tally, Tally) and (complaint := tally.write()) is not None:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line("")
            reporter.write_line(complaint, red=True)
