"""Runs programs one after the other, each in a fork of a process that has imported the library.

That import is most of what a small program takes. For each line on standard input, the path of a
program and those of two files as JSON, a line on standard output says how it ended; what it printed
and its errors are in the files.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

import trio_draftws

ROOT = Path(__file__).parent.parent
# Far above what any of them takes
DEADLINE = 30


@attrs.frozen
class Ran:
    status: int
    out: str
    err: str


@attrs.frozen
class Forks:
    """That process, as a test sees it."""

    process: subprocess.Popen[str]
    folder: Path

    def run(self, program: Path) -> Ran:
        """Runs a program to its end, as `python PROGRAM` does."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        files = [self.folder / name for name in ("out", "err")]
        for file in files:
            file.write_bytes(b"")
        print(json.dumps([str(path) for path in (program, *files)]), file=self.process.stdin)
        self.process.stdin.flush()
        status = int(self.process.stdout.readline())
        return Ran(status, *(file.read_text(encoding="utf-8") for file in files))


@contextmanager
def forks(folder: Path) -> Iterator[Forks]:
    with subprocess.Popen(
        [sys.executable, "-X", "utf8", "-W", "error", "-m", "tests.forks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        # Also where the project is not installed
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        try:
            yield Forks(process, folder)
        finally:
            process.kill()


def become(program: str, out: str, err: str) -> None:
    """Runs a program in this process, which has no other purpose any more."""
    signal.alarm(DEADLINE)
    for descriptor, path in enumerate((os.devnull, out, err)):
        file = os.open(path, os.O_RDWR)
        os.dup2(file, descriptor)
        os.close(file)
    sys.argv = [program]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


def main() -> None:
    # They are loaded when they are asked for.
    for name in trio_draftws.__all__:
        getattr(trio_draftws, name)
    for line in sys.stdin:
        if not (child := os.fork()):
            become(*json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
