"""Which files of tests reach everything that has to be covered, at the least cost.

    python -m tests.counted        the list `counted` of scripts/programs.sh, found anew

All tests run once, but those of `programs` in scripts/programs.sh, with branch coverage and the
processor's time of each file; that takes some ten minutes. Then whatever reaches the most for its
time is chosen, until nothing is left that the files together reach. What they do not reach, no list
of them does. Where a test reaches a branch only now and then, the list should have a second one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import coverage
import pytest

PROJECT = Path(__file__).parent.parent
FOLDER = "TRIO_DRAFTWS_COUNTED"
# What a file costs beside its tests: it is read by each process
READING = 0.2
ASK_BASH = """
    eval "$(grep ^covered= scripts/test)"; . scripts/programs.sh
    echo "${covered[@]}"; echo "${programs[@]}"
"""

Reached: TypeAlias = set[tuple[str, ...]]
"""Lines and branches, each with its file."""


# In each of pytest's processes


class Recorder:
    """Keeps apart what each file of tests reaches, and sums up its time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.times: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        name, _, _ = item.nodeid.partition("::")
        if (running := coverage.Coverage.current()) is not None:
            running.switch_context(name)
        begin = processor_time()
        result = yield
        self.times[name] += processor_time() - begin
        return result

    def pytest_sessionfinish(self) -> None:
        (self.folder / f"{os.getpid()}.json").write_text(json.dumps(self.times))


def processor_time() -> float:
    """Of this process and of those that it started and has waited for."""
    return sum(os.times()[:4])


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(Path(os.environ[FOLDER])))


# And behind them


def run_all(folder: Path, covered: list[str], programs: list[str]) -> dict[str, float]:
    """Runs the tests; the seconds that each file took. The coverage is in `folder`."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "tests.counted"),
            *("-n", "auto", "--dist", "worksteal", "--cov-report="),
            *(f"--cov={path}" for path in covered),
            *(f"--ignore={path}" for path in programs),
        ],
        check=False,
        cwd=PROJECT,
        env={**os.environ, FOLDER: str(folder), "COVERAGE_FILE": str(folder / "coverage")},
    )
    # A test that measures memory may fail, and reaches what it reaches all the same.
    if done.returncode not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(done.returncode)
    times: defaultdict[str, float] = defaultdict(float)
    for file in folder.glob("*.json"):
        for name, taken in json.loads(file.read_text()).items():
            times[name] += taken
    return times


def reached_by(name: str, folder: Path) -> Reached:
    """What one file of tests reaches, beside what is reached when modules are imported."""
    data = coverage.Coverage(data_file=str(folder / "coverage"))
    data.load()
    told = folder / "told"
    data.json_report(outfile=str(told), contexts=[f"^{name}$"], ignore_errors=True)
    return {
        (path, *map(str, what if isinstance(what, list) else [what]))
        for path, file in json.loads(told.read_text())["files"].items()
        for what in file["executed_lines"] + file["executed_branches"]
    }


def cheapest(reached: dict[str, Reached], costs: dict[str, float]) -> list[str]:
    """A set of files that reach together what all of them do."""
    chosen: list[str] = []
    left = set().union(*reached.values())
    while left:
        best = max(reached, key=lambda name: len(reached[name] & left) / costs[name])
        chosen.append(best)
        left -= reached[best]
    for name in sorted(chosen, key=lambda name: -costs[name]):
        others = [reached[other] for other in chosen if other != name]
        if reached[name] <= set().union(*others):
            chosen.remove(name)
    return sorted(chosen)


def main() -> None:
    asked = subprocess.run(
        ["bash", "-c", ASK_BASH], check=True, cwd=PROJECT, stdout=subprocess.PIPE
    )
    covered, programs = (line.split() for line in asked.stdout.decode().splitlines())
    with TemporaryDirectory() as name:
        times = run_all(Path(name), covered, programs)
        reached = {file: reached_by(file, Path(name)) for file in times}
    chosen = cheapest(reached, {file: taken + READING for file, taken in times.items()})
    print(f"{sum(times[file] for file in chosen):.0f} of {sum(times.values()):.0f} s")
    indent = " " * 4
    lines = textwrap.wrap(" ".join(chosen), 100 - len(indent), break_on_hyphens=False)
    print(textwrap.indent("\n".join(lines), indent))


if __name__ == "__main__":
    main()
