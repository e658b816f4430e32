"""The soak runs, and each of its checks can fail; what it finds in minutes is for `soak/run`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from soak.__main__ import Failed, Size, allow_many_files, crowd, run, stalled
from soak.crowd import MODES
from soak.guests import WAYS
from soak.judge import Ended, Exercise, growth
from soak.load import Alive, Look, Result
from soak.report import Report, as_text, facts, minutes
from soak.summary import PATH, Summary

ROOT = Path(__file__).resolve().parent.parent
SMALL = Size(connections=40, seconds=1, others=20, seconds_of_others=0.6)
BAD = (sys.executable, "-m", "tests.bad_server")


@pytest.fixture
def good() -> Report:
    """A run of ten minutes in which nothing went wrong."""
    alive = Alive(connections=10_000, tasks=10_009, objects=86_761)
    busy = Result(
        "crowd",
        10_000,
        visitors=500,
        empty=31.6,
        full=89.4,
        before=alive,
        after=alive,
        looks=[Look(second, 100, 17_000 * second) for second in range(601)],
        fewest=2287,
        most=2366,
        slowest=1.9,
        visits=dict.fromkeys(WAYS, 800),
        goodbyes=10_000,
    )
    alive = Alive(connections=1000, tasks=1009, objects=8762)
    beside = Result(
        "stalled",
        1000,
        before=alive,
        after=alive,
        fewest=2215,
        most=2255,
        rates={"without": 40_000, "beside": 30_000, "after": 35_000},
        stalled=0.02,
        taken=3.5,
        goodbyes=1000,
    )
    raised = {"handlers that raised": 800}
    ended = [Ended(0, 1, counts, [], "") for counts in (raised, {})]
    exercises = [Exercise(*both) for both in zip((busy, beside), ended, strict=True)]
    return Report({"Day": "2026-11-30"}, exercises)


# Runs


def test_a_small_run() -> None:
    report = run(SMALL)
    assert report.faults() == []
    busy, beside = (exercise.result for exercise in report.exercises)
    assert set(busy.visits) == set(WAYS)
    assert set(busy.echoed) == set(beside.echoed) == set(MODES)
    assert busy.goodbyes == 40
    assert beside.goodbyes == 20
    assert list(beside.rates) == ["without", "beside", "after"]
    assert Report.from_json(json.loads(json.dumps(report.to_json()))) == report


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("lose", "waited in vain for a message"),
        ("double", " came, not "),
        ("change", " came, not "),
        ("close", "the server said goodbye before its end"),
        ("keep_objects", "objects lived afterwards"),
        ("keep_memory", "memory grew by"),
        ("keep_tasks", "tasks ran afterwards"),
        ("log_an_error", "this is not as it should be"),
        ("complain", "the server wrote: somebody should know"),
        ("die", "the server ended with status -9"),
    ],
)
def test_a_server_with_a_fault(fault: str, told: str) -> None:
    size = attrs.evolve(SMALL, patience=2)
    faults = crowd(size, [*BAD, fault]).faults()
    assert any(told in line for line in faults), faults


def test_a_server_that_does_not_start() -> None:
    with pytest.raises(Failed, match="the server did not start: no"):
        crowd(SMALL, [sys.executable, "-c", "raise SystemExit('no')"])
    with pytest.raises(Failed, match="the server did not start: "):
        stalled(SMALL, [sys.executable, "-c", ""])


def test_too_few_files() -> None:
    with pytest.raises(SystemExit, match="open files are needed; the limit is"):
        allow_many_files(10**9)


def test_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "soak", "--connections", "1000000000"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "open files are needed" in done.stderr


# What is judged


def part(report: Report, name: str) -> Exercise:
    exercise = report.exercise(name)
    assert exercise is not None
    return exercise


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("crowd", {"faults": 2, "told": ["one"]}, "2 clients met with something wrong:"),
        ("crowd", {"unsettled": 1}, "1 clients waited in vain for a message, or an end"),
        ("crowd", {"goodbyes": 9}, "of 10000 clients, 9 saw a goodbye and the end"),
        ("crowd", {"fewest": 1, "most": 5}, "one client got 1 messages, another 5"),
        ("crowd", {"after": None}, "the exercise was not done to its end"),
        ("crowd", {"looks": []}, "there was no time to see whether memory grows"),
        ("crowd", {"visits": {}}, "nobody closed in order"),
        ("stalled", {"stalled": 9.0}, "memory grew by 9.0 MiB for one who does not read"),
        ("stalled", {"taken": 0.0}, "0.0 MiB were taken from one who does not read"),
        (
            "stalled",
            {"rates": {"without": 100.0, "beside": 40.0, "after": 100.0}},
            "beside one who does not read, 40% of the pace was kept",
        ),
    ],
)
def test_faults_of_the_load(good: Report, name: str, changes: dict[str, Any], told: str) -> None:
    exercise = part(good, name)
    assert exercise.faults() == []
    changed = Exercise(attrs.evolve(exercise.result, **changes), exercise.server)
    assert told in changed.faults()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"connections": 9999}, "9999 connections were open, not 10000"),
        ({"tasks": 1}, "1 tasks ran afterwards, 10009 before"),
        ({"objects": 100_000}, "100000 objects lived afterwards"),
    ],
)
def test_what_must_not_stay(good: Report, changes: dict[str, int], told: str) -> None:
    exercise = part(good, "crowd")
    assert exercise.result.after is not None
    after = attrs.evolve(exercise.result.after, **changes)
    changed = Exercise(attrs.evolve(exercise.result, after=after), exercise.server)
    [fault] = changed.faults()
    assert fault.startswith(told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": 1}, "the server ended with status 1"),
        ({"complaints": "no"}, "the server wrote: no"),
        (
            {"counts": {"unexpected": 3}, "unexpected": ["three times"]},
            "3 times the server logged what it should not:",
        ),
        ({"counts": {}}, "0 handlers raised, "),
        ({"counts": {"handlers that raised": 10_000}}, "10000 handlers raised, "),
    ],
)
def test_faults_of_the_server(good: Report, changes: dict[str, Any], told: str) -> None:
    exercise = part(good, "crowd")
    changed = Exercise(exercise.result, attrs.evolve(exercise.server, **changes))
    assert any(fault.startswith(told) for fault in changed.faults())


def test_growth_is_that_of_the_second_half() -> None:
    def look(second: int) -> Look:
        return Look(second, max(second - 100, 100) * 0.5 + 50, 10 * second)

    assert growth([look(second) for second in range(200)]) == 0
    assert growth([look(second) for second in range(200, 400)]) == pytest.approx(30)
    assert growth([]) == 0


# What is told


def test_minutes() -> None:
    looks = [Look(second, 10 + second // 60, 100 * second) for second in range(121)]
    assert list(minutes(looks)) == [("1", "10.02", "100"), ("2", "11.02", "100")]
    assert list(minutes(looks[:20])) == []
    assert list(minutes([])) == []


def test_text(good: Report) -> None:
    text = as_text(good)
    for exercise in good.exercises:
        for name, figure in facts(exercise):
            assert f"  {name:62}{figure}\n" in text + "\n"


def test_a_summary(good: Report, tmp_path: Path) -> None:
    """It is read back as it was written, and has every figure."""
    summary = Summary.of(good)
    summary.write(tmp_path / "summary.json")
    assert Summary.read(tmp_path / "summary.json") == summary
    assert summary.faults == []
    assert summary.figure("crowd: longest wait for a message") == "1.90 s"
    for name, figures in (("crowd", summary.crowd), ("stalled", summary.stalled)):
        assert figures == dict(facts(part(good, name)))
        assert next(summary.as_rst(name)).endswith(f"``{name}``")
    assert list(summary.as_rst("minutes")).count("   * - 10") == 1
    assert list(summary.as_rst("about")) == [":Day: 2026-11-30"]
    with pytest.raises(ValueError, match="there is no exercise nothing"):
        summary.as_rst("nothing")
    with pytest.raises(ValueError, match="the exercise crowd has no figure 'x'"):
        summary.figure("crowd: x")


def test_the_results_in_the_documentation() -> None:
    summary = Summary.read()
    assert summary.faults == []
    assert summary.figure("crowd: connections that stay") == "10,000"
    assert int(summary.about["Seconds under load"]) >= 600
    assert len(PATH.read_text("utf-8").splitlines()) < 100
    page = (ROOT / "docs" / "soak.rst").read_text("utf-8")
    for name in ("about", "minutes", "crowd", "stalled"):
        assert f".. soak:: {name}\n" in page
