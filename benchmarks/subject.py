"""The programs that are measured, each in a process of its own: started, ended, and read from."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from .package import Surroundings

# Seconds for a program to end
PATIENCE = 30


@attrs.frozen
class Subject:
    """A running program."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self.process.pid

    def read_port(self) -> int:
        """The port that a server prints first."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline().split()[-1])

    def restart_heartbeat(self) -> None:
        """Discards what its heartbeat has noted so far."""
        self.process.send_signal(signal.SIGUSR1)

    def end(self) -> Any:
        """Ends the program and returns its heartbeat's summary."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> Any:
        """Waits for the program to end and returns the JSON that it printed."""
        printed, _ = self.process.communicate(timeout=PATIENCE)
        if not printed:
            raise SystemExit(f"the program ended with status {self.process.returncode}")
        return json.loads(printed)


@contextmanager
def started(surroundings: Surroundings, program: str, *arguments: object) -> Iterator[Subject]:
    """Runs a module of `benchmarks`; kills it at the end of the block if it is still running."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{program}", *map(str, arguments)],
        cwd=surroundings.cwd,
        env=surroundings.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Subject(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
