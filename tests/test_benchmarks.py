"""The benchmarks run, and reckon rightly; what they measure is no concern of the tests."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import attrs
import pytest

from benchmarks import goals
from benchmarks.__main__ import main
from benchmarks.command import chosen, last_words
from benchmarks.cpu import cpu_nanoseconds, resident_bytes
from benchmarks.peers import PEERS, Peer, with_another
from benchmarks.report import Entry, Report, Table
from benchmarks.summary import SENT, Row, Rows, Summary, as_rst, as_text
from benchmarks.tables import number, spread
from benchmarks.task import Sample
from benchmarks.turns import run
from benchmarks.workloads import BARE, WORKLOADS, Workload

from .rows import each_row

ROOT = Path(__file__).resolve().parent.parent
NAMES = [workload.name for workload in WORKLOADS]


def peer(name: str) -> Peer:
    return next(peer for peer in PEERS if peer.name == name)


def workload(name: str) -> Workload:
    return next(workload for workload in WORKLOADS if workload.name == name)


# The command


def test_a_quick_run(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--quick"),
            *("--workloads", "ping-pong-1,handshakes,client-1"),
            *("--peers", f"{BARE},trio_draftws rfc"),
            *("--json", str(results), "--summary", str(tmp_path / "summary.json")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    report = Report.from_json(json.loads(results.read_text("utf-8")))
    names = [table.workload.name for table in report.tables]
    assert names == ["ping-pong-1", "handshakes", "client-1"]
    assert not report.missing
    for table in report.tables:
        assert list(table.entries) == [BARE, "trio_draftws rfc6455"]
        for entry in table.entries.values():
            assert entry.failed is None
            (sample,) = entry.rounds
            assert sample is not None
            assert sample.count > 0
            assert sample.seconds > 0
            assert sample.cost > 0
        (ratio,) = table.ratios("trio_draftws rfc6455", BARE)
        assert ratio > 0
    summary = Summary.of(report)
    printed = [as_text(summary), "", *goals.as_text(summary), ""]
    assert done.stdout == "\n".join(printed)
    kept = Summary.read(tmp_path / "summary.json")
    assert kept.about == report.about
    assert [table.workload for table in kept.tables] == [table.workload for table in report.tables]


def measured(*peers: Peer) -> Report:
    # The certificate is for TLS only.
    return run(list(peers), [WORKLOADS[0]], 1, True, "")


def test_compression_is_measured(tmp_path: Path) -> None:
    """And in the form that the documentation shows."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.compressing", "--quick", "--csv", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    has_isal = find_spec("isal") is not None
    for name in ("compression-time", "inflating-time", "compression-memory"):
        new, shown = (
            list(csv.reader((folder / f"{name}.csv").read_text("utf-8").splitlines()))
            for folder in (tmp_path, ROOT / "docs")
        )
        assert {len(row) for row in new} == {len(new[0])}
        assert new[0] == shown[0]
        assert [row[0] for row in new] == [
            row[0] for row in shown if has_isal or not row[0].startswith("isal")
        ]


def test_a_missing_peer_is_named() -> None:
    report = measured(attrs.evolve(peer(BARE), name="nobody's", packages=("is-no-package-at-all",)))
    assert report.missing == {"nobody's": "is-no-package-at-all is not installed here"}
    assert not report.versions
    assert not report.tables[0].entries
    assert "missing: nobody's: is-no-package-at-all is not installed" in as_text(Summary.of(report))


@pytest.mark.parametrize(
    ("lame", "told"),
    [
        # It does not start.
        (
            attrs.evolve(peer(BARE), command=(sys.executable, "-c", "raise SystemExit('no')")),
            "no",
        ),
        (attrs.evolve(peer(BARE), command=(sys.executable, "-c", "")), "it said nothing"),
        # It is no WebSocket server.
        (
            attrs.evolve(peer(BARE), dialect="rfc6455"),
            "the server answered b'GET / HTTP/1.1",
        ),
    ],
    ids=["complains", "silent", "bare"],
)
def test_a_peer_that_fails_is_told(lame: Peer, told: str) -> None:
    report = measured(lame)
    entry = report.tables[0].entries[BARE]
    assert entry.rounds == [None]
    assert entry.failed is not None
    assert entry.failed.startswith(told)
    assert f"not measured: {told}" in as_text(Summary.of(report))


def test_last_words() -> None:
    group = (
        "  + Exception Group Traceback (most recent call last):\n"
        "  | ExceptionGroup: two (1 sub-exception)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | TypeError: no such thing\n"
        "    +------------------------------------\n"
    )
    assert last_words(group) == "TypeError: no such thing"
    assert last_words("Traceback\nValueError: no\n") == "ValueError: no"
    assert last_words("\n") == "it said nothing"


def test_names_are_chosen_by_their_beginning() -> None:
    names = ["ping-pong-1", "ping-pong-64", "tls-64"]
    assert chosen(None, names) == names
    assert chosen("tls-64, ping", names) == names
    assert chosen("ping-pong-6", names) == ["ping-pong-64"]
    with pytest.raises(SystemExit, match="'pong' is none of"):
        chosen("tls-64,pong", names)


def test_another_checkout_is_measured_beside_this_one(tmp_path: Path) -> None:
    some = [peer(BARE), peer("trio_draftws old")]
    names = [peer.name for peer in with_another(some, tmp_path)]
    assert names == [BARE, "trio_draftws old", f"trio_draftws old of {tmp_path.name}"]


# What a process has used


def test_processor_time_and_memory() -> None:
    pid = os.getpid()
    before = cpu_nanoseconds(pid)
    while cpu_nanoseconds(pid) == before:
        pass
    assert cpu_nanoseconds(pid) > before > 0
    size = resident_bytes(pid)
    held = b"x" * (64 << 20)
    assert resident_bytes(pid) - size > len(held) // 2


# What is reckoned from it


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


def summary_of(table: Table) -> Summary:
    return Summary.of(Report({}, {}, {}, [table]))


def test_ratios_are_those_of_one_round(table: Table) -> None:
    assert table.ratios("dear", BARE) == [2, 3, 1.5]
    assert table.ratios("lame", BARE) == [2, 0.5]
    assert table.ratios("dead", BARE) == table.ratios("nobody", BARE) == []


def test_rows(table: Table) -> None:
    assert list(Rows.of(table).cells()) == [
        (BARE, "20.0 (10.0 to 30.0)", "1.00 (1.00 to 1.00)", "1,000"),
        ("dear", "30.0 (20.0 to 90.0)", "2.00 (1.50 to 3.00)", "1,000"),
        ("lame", "35.0 (10.0 to 60.0)", "1.25 (0.50 to 2.00)", "1,000"),
        ("dead", "not measured: it never came", "–", "–"),
    ]


def test_rows_of_those_that_send_more_or_less(table: Table) -> None:
    table.entries["dear"].rounds = [attrs.evolve(sample(20), sent=some) for some in (1234, 1233.6)]
    assert [row[-1] for row in Rows.of(table).cells()] == ["1,234", "–", "–", "–"]
    assert f"{SENT}\n" in as_text(summary_of(table))
    assert f"     - {SENT}" in as_rst(Rows.of(table))


def test_numbers() -> None:
    assert [number(value) for value in (0.054, 9.5, 12.34, 1234.5)] == [
        "0.05",
        "9.50",
        "12.3",
        "1,234",
    ]
    assert spread([3, 1, 2]) == "2.00 (1.00 to 3.00)"
    assert spread([]) == "–"


def test_rst(table: Table) -> None:
    assert list(as_rst(Rows.of(table)))[:8] == [
        ".. list-table:: Made up",
        "   :header-rows: 1",
        "",
        "   * - Peer",
        "     - µs of server CPU for each message: median (lowest to highest)",
        "     - against bare Trio: median (lowest to highest)",
        "     - messages in a second",
        "   * - bare Trio",
    ]


def test_json_and_back(table: Table) -> None:
    report = Report({"Python": "3"}, {BARE: "trio 1"}, {"gone": "not here"}, [table])
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_summary_and_back(table: Table, tmp_path: Path) -> None:
    """What a summary loses is the samples alone; its figures have four decimals."""
    ours = Table(workload("tls-64"), table.entries)
    summary = Summary.of(Report({"Python": "3"}, {BARE: "trio 1"}, {"gone": "not here"}, [ours]))
    summary.write(tmp_path / "summary.json")
    assert Summary.read(tmp_path / "summary.json") == summary
    lame = Row.of("lame", Entry([None, sample(1 / 3)], "it fell"), Table(ours.workload))
    assert lame.to_json() == {
        "peer": "lame",
        "cost": [0.3333] * 3,
        "rate": 1000,
        "failed": "it fell",
    }


def test_goals(table: Table) -> None:
    summary = summary_of(table)
    assert goals.Goal("made-up", "dear", BARE, 1).reached(summary) == 1.5
    assert goals.Goal("made-up", "dear", BARE, 1, difference=True).reached(summary) == 10
    assert goals.Goal("made-up", "dear", "dead", 1).reached(summary) is None
    assert goals.Goal("elsewhere", "dear", BARE, 1).reached(summary) is None


def test_goals_are_told_that_were_measured(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    some = (
        goals.Goal("made-up", "dear", BARE, 1.2, 1.4),
        goals.Goal("made-up", "dear", BARE, 3, difference=True),
        goals.Goal("elsewhere", "dear", BARE, 1),
    )
    monkeypatch.setattr(goals, "GOALS", some)
    assert list(goals.as_text(summary_of(table))) == [
        "made-up: dear against bare Trio: 1.50, wanted ≤ 1.2, 1.4 with masks in Python",
        "made-up: dear more than bare Trio: 10.0, wanted ≤ +3 KiB",
    ]


def test_goals_against_an_earlier_run(monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    monkeypatch.setattr(goals, "GOALS", ())
    goal = goals.Goal("made-up", "dear", BARE, 0.65, before=True)
    monkeypatch.setattr(goals, "GOALS_AGAINST_BEFORE", (goal,))
    summary = summary_of(table)
    earlier = summary_of(Table(table.workload, {BARE: Entry([sample(60)])}))
    assert list(goals.as_text(summary)) == []
    assert list(goals.as_text(summary, earlier)) == [
        "made-up: dear against bare Trio, as it was: 0.50, wanted ≤ 0.65"
    ]


def test_goals_are_about_what_is_measured() -> None:
    peers = {peer.name: peer for peer in PEERS}
    for goal in (*goals.GOALS, *goals.GOALS_AGAINST_BEFORE):
        asked = workload(goal.workload)
        assert peers[goal.peer].takes(asked)
        assert peers[goal.against].takes(asked)


def test_every_base_is_measured() -> None:
    for workload in WORKLOADS:
        assert peer(workload.base).takes(workload)


def test_no_name_stands_for_another_by_its_beginning() -> None:
    for name in NAMES:
        assert chosen(name, NAMES) == [name]


# Bad arguments


@each_row(
    "arguments, told",
    [
        (["--workloads", "pong"], "'pong' is none of: ping-pong-1"),
        (["--workloads", "ping-pong-1,"], "'' is none of: ping-pong-1"),
        (["--workloads", "client", "--peers", "npm"], "none of these peers can do any"),
        (["--peers", "nobody"], "'nobody' is none of: Trio's streams"),
        (["--rounds", "0"], "0 rounds are none"),
        (["--rounds", "many"], "invalid positive value: 'many'"),
        (["--against", "no/such/thing"], "'no/such/thing' cannot be read: No such file"),
        (["--against", "docs"], "'docs' has no folder trio_draftws"),
        (["--against", "README.md"], "'README.md' holds no results of benchmarks/run"),
        (["--against", "docs/peers.json"], "'docs/peers.json' holds no results of benchmarks/run"),
        (["--join", "README.md"], "'README.md' holds no results of benchmarks/run"),
        (["--join", "docs"], "'docs' cannot be read: Is a directory"),
        (["--join", "README.md", "--peers", BARE], "--join measures nothing"),
        (["--join", "README.md", "--against", "."], "--join measures nothing"),
        (
            ["--join", "docs/benchmarks.json", "./docs/../docs/benchmarks.json"],
            "'./docs/../docs/benchmarks.json' is given twice",
        ),
        (["--json", "no/such/folder/results.json"], "there is no folder 'no/such/folder'"),
        (["--json", "docs"], "'docs' is a folder"),
        (["--summary", "no/such/folder/it.json"], "there is no folder 'no/such/folder'"),
        (["--summary", "docs"], "'docs' is a folder"),
        (["--against", "docs/benchmarks.json"], "'docs/benchmarks.json' is a summary; this needs"),
        (["--join", "docs/benchmarks.json"], "'docs/benchmarks.json' is a summary; this needs"),
    ],
)
def test_bad_arguments(
    arguments: list[str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["run", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert told in f"{caught.value.code} {capsys.readouterr().err}"


# The page


def test_the_results_in_the_documentation() -> None:
    page = (ROOT / "docs" / "performance.rst").read_text("utf-8")
    for name in (*NAMES, "about", "goals"):
        assert f".. benchmarks:: {name}\n" in page
    assert int(Summary.read().about["Rounds"]) >= 3


def test_the_results_in_the_documentation_are_of_all_workloads() -> None:
    summary = Summary.read()
    assert [table.workload.name for table in summary.tables] == NAMES
    assert all(goal.reached(summary) is not None for goal in goals.GOALS)


def test_the_results_in_the_documentation_are_few_lines() -> None:
    """A line for each peer under a workload, so that a new run changes no more than that."""
    rows = sum(len(table.rows) for table in Summary.read().tables)
    text = (ROOT / "docs/benchmarks.json").read_text("utf-8")
    assert len(text.splitlines()) == rows + 7
