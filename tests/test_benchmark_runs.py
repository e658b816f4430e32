"""Two runs of the benchmarks compared, and parts of one put together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from benchmarks import comparison
from benchmarks.__main__ import main
from benchmarks.report import Entry, Report, Table
from benchmarks.summary import Summary, as_text
from benchmarks.task import Sample
from benchmarks.workloads import BARE, WORKLOADS, Workload

ROOT = Path(__file__).resolve().parent.parent


def workload(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


def sample(cost: float, rate: float = 1000) -> Sample:
    return Sample(int(rate * 2), 2.0, cost)


@pytest.fixture
def table() -> Table:
    workload = Workload("made-up", "Made up", "echo")
    return Table(
        workload,
        {
            "dear": Entry([sample(20), sample(90), sample(30)]),
            BARE: Entry([sample(10, 4000), sample(30), sample(20)]),
            "lame": Entry([None, sample(60), sample(10)], "it fell"),
            "dead": Entry([None, None, None], "it never came"),
        },
    )


# Two runs


ABOUT = {"Python": "3.11", "Processors": "2", "Rounds": "3", "Day": "2026-11-27"}


@pytest.fixture
def report(table: Table) -> Report:
    versions = {"dear": "dear 1", BARE: "trio 1", "lame": "lame 1"}
    return Report(dict(ABOUT), versions, {"gone": "not here"}, [table])


def only(report: Report, costs: dict[str, list[float]]) -> Report:
    """The same, with these costs of these peers alone."""
    entries = {name: Entry([sample(cost) for cost in some]) for name, some in costs.items()}
    table = attrs.evolve(report.tables[0], entries=entries)
    versions = {name: report.versions[name] for name in costs}
    return attrs.evolve(report, tables=[table], versions=versions, about=dict(ABOUT))


def test_a_comparison(report: Report) -> None:
    now = only(report, {"dear": [10, 12, 15], BARE: [20], "lame": [1]})
    then = only(report, {"dear": [20, 24, 40], BARE: [20]})
    assert list(comparison.as_text(now, then)) == [
        "Against the run of 2026-11-27: costs now in costs then.",
        "The lowest ratio is the lowest now in the highest then, the highest the other way round.",
        "",
        "Made up: µs of server CPU for each message",
        "  Peer       then  now   ratio: median (lowest to highest)",
        "  dear       24.0  12.0  0.50 (0.25 to 0.75)",
        "  bare Trio  20.0  20.0  1.00 (1.00 to 1.00)",
        "  lame       –     1.00  –",
    ]


def test_what_is_not_the_same_is_told(report: Report) -> None:
    then = only(report, {"dear": [1]})
    then.versions["dear"] = "dear 0"
    then.about.update(Python="3.10", Day="2026-11-01", Rounds="1", Quick="yes")
    del then.about["Processors"]
    told = [line for line in comparison.as_text(report, then) if line.startswith("NOT THE SAME")]
    assert told == [
        "NOT THE SAME: Python: 3.10 then, 3.11 now",
        "NOT THE SAME: Quick: yes then, not said now",
        "NOT THE SAME: Processors: not said then, 2 now",
        "NOT THE SAME: dear: dear 0 then, dear 1 now",
    ]


def test_what_cannot_be_compared_is_told(report: Report) -> None:
    other = attrs.evolve(report.tables[0].workload, size=64)
    then = attrs.evolve(report, tables=[Table(other, report.tables[0].entries)])
    *_, last = comparison.as_text(report, then)
    assert last == "  then it was another workload with the same name"
    *_, last = comparison.as_text(report, attrs.evolve(report, tables=[]))
    assert last == "  not measured then"


def test_another_checkout_is_an_earlier_one(report: Report, tmp_path: Path) -> None:
    name = f"dear of {tmp_path.name}"
    now = attrs.evolve(report.tables[0], entries={"dear": Entry(), name: Entry([sample(3)])})
    then = comparison.of_checkout(attrs.evolve(report, tables=[now]), tmp_path)
    assert then.tables[0].entries == {"dear": Entry([sample(3)])}


def test_rounds_and_peers_are_joined(report: Report) -> None:
    first = only(report, {"dear": [1, 2], BARE: [5]})
    rest = only(report, {BARE: [7], "lame": [9]})
    rest.about["Day"] = "2026-11-28"
    rest.missing["dear"] = "not there then"
    whole = comparison.joined([first, rest])
    assert whole.tables[0].entries == {
        "dear": Entry([sample(1), sample(2), None]),
        BARE: Entry([sample(5), None, sample(7)]),
        "lame": Entry([None, None, sample(9)]),
    }
    assert whole.tables[0].ratios("lame", BARE) == [9 / 7]
    assert list(whole.versions) == ["dear", BARE, "lame"]
    assert whole.missing == {"gone": "not here"}
    assert whole.about == {**ABOUT, "Rounds": "3", "Day": "2026-11-27, 2026-11-28"}
    # The parts are left as they were.
    assert [len(entry.rounds) for entry in first.tables[0].entries.values()] == [2, 1]


def test_workloads_are_joined_in_their_order(report: Report) -> None:
    entries = {"dear": Entry([sample(1)])}
    parts = [
        attrs.evolve(report, tables=[Table(workload(name), entries)])
        for name in ("memory", "64-kib", "ping-pong-1")
    ]
    # Of a run that was cut before this one's first turn
    parts[0].tables.append(Table(workload("tls-64"), {"dear": Entry()}))
    names = [table.workload.name for table in comparison.joined(parts).tables]
    assert names == ["ping-pong-1", "64-kib", "memory"]


def test_what_differs_is_not_joined(report: Report) -> None:
    other = only(report, {"dear": [1]})
    other.about["Python"] = "3.12"
    with pytest.raises(ValueError, match=r"they differ in Python: 3\.11, and 3\.12"):
        comparison.joined([report, other])
    other = only(report, {"dear": [1]})
    other.versions["dear"] = "dear 2"
    with pytest.raises(ValueError, match="they differ in dear: dear 1, and dear 2"):
        comparison.joined([report, other])
    crowd = attrs.evolve(report.tables[0].workload, connections=2)
    asked = attrs.evolve(report, tables=[Table(crowd, report.tables[0].entries)])
    with pytest.raises(ValueError, match="they ask different things by 'made-up'"):
        comparison.joined([report, asked])
    with pytest.raises(ValueError, match="nothing was measured"):
        comparison.joined([attrs.evolve(report, tables=[])])


def test_the_command_joins_and_compares(
    report: Report,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, rest, whole = (str(tmp_path / name) for name in ("first", "rest", "whole"))
    only(report, {"dear": [1, 2]}).write(Path(first))
    only(report, {"dear": [3]}).write(Path(rest))
    arguments = ["run", "--join", first, rest, "--against", first, "--json", whole]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    printed = capsys.readouterr().out
    joined = Report.read(Path(whole))
    assert joined.tables[0].costs("dear") == [1, 2, 3]
    assert printed.startswith(as_text(Summary.of(joined)))
    assert "dear  1.50  2.00  1.33 (0.50 to 3.00)" in printed


def test_a_run_that_is_cut_leaves_what_it_has(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    arguments = ("--workloads", "ping-pong-1,memory", "--peers", BARE, "--json", str(results))
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "--quick", "--rounds", "1000", *arguments],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("round 2"):
            # As Ctrl-C at a terminal, which all of its processes are told
            os.killpg(process.pid, signal.SIGINT)
            break
    _, told = process.communicate()
    assert process.returncode == 130
    assert f"cut; what there is stands in {results}" in told
    assert "Traceback" not in told
    tables = Report.read(results).tables
    assert [len(table.costs(BARE)) for table in tables] == [1, 1]


def test_results_of_before_are_read() -> None:
    """Those that know nothing of what workloads have had since."""
    names = ("ping-pong-64", "256-kib", "memory")
    data = Report({}, {}, {}, [Table(workload(name)) for name in names]).to_json()
    for table in data["tables"]:
        for added in ("at_once", "content", "delay"):
            del table["workload"][added]
    for name in names:
        read = Report.from_json(data).table(name)
        assert read is not None
        assert comparison.same_question(read.workload, workload(name))
