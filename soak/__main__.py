"""The command: keeps a server busy for minutes, and checks the result.

python -m soak --quick
python -m soak --connections 10000 --minutes 10 --json all.json --summary docs/soak.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import attrs
import trio

from trio_draftws import HAS_SPEEDUPS

from .judge import Ended, Exercise
from .load import Result, Task
from .report import Report, as_text, result_from_json
from .summary import Summary

ROOT = Path(__file__).resolve().parent.parent
SERVER = (sys.executable, "-W", "error", "-m", "soak.server")
# Beside the connections and the time under load, for all that has a deadline of its own
DEADLINE = 600
OTHER_FILES = 500
OTHERS = 1000
SECONDS_OF_OTHERS = 60.0


@attrs.frozen
class Size:
    """How much of it is done."""

    connections: int
    seconds: float
    others: int
    """Connections in the exercise with one that does not read."""
    seconds_of_others: float
    """A third without that one, a third beside it, a third after."""
    patience: float = 60
    """Seconds for what the server does at once, if it has the time."""


QUICK = Size(500, 10, 200, 6)


class Failed(Exception):
    """The load could not be put on; the message says why."""


def run(size: Size, command: Sequence[str] = SERVER) -> Report:
    """Both exercises, each with a server of its own."""
    exercises = [
        crowd(size, command),
        stalled(size, command),
    ]
    about = {
        "Python": platform.python_version(),
        "Trio": trio.__version__,
        "System": f"{platform.system()} {platform.machine()}",
        "Processors": str(os.cpu_count()),
        "Masks": "in C" if HAS_SPEEDUPS else "in Python",
        "Seconds under load": f"{size.seconds:.0f}",
        "Day": dt.datetime.now(dt.timezone.utc).date().isoformat(),
    }
    return Report(about, exercises)


def crowd(size: Size, command: Sequence[str] = SERVER) -> Exercise:
    with serving(command) as server:
        return server.put_to("crowd", size.connections, size.seconds, size.patience)


def stalled(size: Size, command: Sequence[str] = SERVER) -> Exercise:
    with serving(command) as server:
        return server.put_to("stalled", size.others, size.seconds_of_others, size.patience)


@attrs.define
class Serving:
    """A server that runs in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    complaints: IO[str]
    """What it writes to standard error."""

    def put_to(self, name: str, connections: int, seconds: float, patience: float) -> Exercise:
        """Does one exercise, at whose end the server gets SIGTERM."""
        result = load(Task(name, self.port, self.process.pid, connections, seconds, patience))
        began = time.monotonic()
        try:
            said, _ = self.process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            raise Failed(f"the server has not ended {patience} s after its clients") from None
        took = time.monotonic() - began
        self.complaints.seek(0)
        log = json.loads(said) if said else {"counts": {}, "unexpected": []}
        ended = Ended(self.process.returncode, took, complaints=self.complaints.read(), **log)
        return Exercise(result, ended)


@contextmanager
def serving(command: Sequence[str]) -> Iterator[Serving]:
    """Its server; what is left of it at the block's end is cut off.

    Raises:
        Failed: it did not say where it listens.
    """
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, cwd=ROOT
        )
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            if not port:
                complaints.seek(0)
                raise Failed(f"the server did not start: {complaints.read()}")
            yield Serving(process, int(port), complaints)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def load(task: Task) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "soak.load", json.dumps(attrs.asdict(task))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=2 * task.seconds + DEADLINE,
    )
    if done.returncode:
        raise Failed(f"the load ended with status {done.returncode}")
    return result_from_json(json.loads(done.stdout))


def allow_many_files(connections: int) -> None:
    """For this process and those that it starts."""
    wanted = connections * 11 // 10 + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (-1, resource.RLIM_INFINITY) and hard < wanted:
        raise SystemExit(f"{wanted} open files are needed; the limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def main() -> None:
    parser = argparse.ArgumentParser(prog="soak/run", description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000, help="by default 10000")
    parser.add_argument("--minutes", type=float, default=10, help="under load: by default 10")
    parser.add_argument("--quick", action="store_true", help="half a minute, with fewer")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument(
        "--summary", type=Path, metavar="FILE", help="write there what the documentation shows"
    )
    options = parser.parse_args()
    size = QUICK
    if not options.quick:
        size = Size(options.connections, options.minutes * 60, OTHERS, SECONDS_OF_OTHERS)
    allow_many_files(size.connections)
    try:
        report = run(size)
    except Failed as error:
        sys.exit(str(error))
    if options.json is not None:
        options.json.write_text(json.dumps(report.to_json(), indent=1) + "\n", "utf-8")
    if options.summary is not None:
        Summary.of(report).write(options.summary)
    print(as_text(report))
    faults = report.faults()
    for fault in faults:
        print(f"FAULT: {fault}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
