"""Every workload against every peer that takes it, in turn, round after round.

In each round each server, or client, is a process started anew, as is what puts it under load.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from trio_draftws import HAS_SPEEDUPS

from .command import last_words, tell
from .package import ROOT, importing
from .peers import Missing, NoStart, Peer, running
from .report import Entry, Report, Table
from .task import Sample
from .workloads import Workload

# Of the load generator, which has deadlines of its own for what a peer does not do
DEADLINE = 300


class Failed(Exception):
    """A peer could not be measured; the message says why."""


def measure(peer: Peer, workload: Workload, quick: bool, certificate: str) -> Sample:
    """One peer's turn: it is started, put under load, and ended."""
    task = {**workload.task(quick), "dialect": peer.dialect}
    if "client" in workload.needs:
        with importing(peer.checkout) as there:
            path = {"PYTHONPATH": there.env["PYTHONPATH"]}
            return load({**task, "client": peer.client, "cwd": there.cwd, "environment": path})
    try:
        with running(peer, *options_for(workload, certificate)) as server:
            return load({**task, "port": server.port, "pid": server.pid})
    except NoStart as error:
        raise Failed(str(error)) from error


def options_for(workload: Workload, certificate: str) -> tuple[str, ...]:
    """A server's command-line options for a workload."""
    options = {
        "tls": ("--certificate", certificate),
        "deflate": ("--compress",),
        "broadcast": ("--broadcast",),
    }
    return tuple(option for need in options for option in options[need] if need in workload.needs)


def load(task: dict[str, Any]) -> Sample:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.load", json.dumps(task)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"the load generator took more than {DEADLINE} seconds") from error
    if done.returncode:
        raise Failed(last_words(done.stderr))
    return Sample(**json.loads(done.stdout))


def run(
    peers: list[Peer],
    workloads: list[Workload],
    rounds: int,
    quick: bool,
    certificate: str,
    keep: Callable[[Report], None] = lambda report: None,
) -> Report:
    """Measures; `keep` is given what there is whenever a workload's turns are over."""
    report = Report(about(rounds, quick), {}, {}, [])
    for peer in peers:
        try:
            report.versions[peer.name] = peer.versions()
        except Missing as error:
            report.missing[peer.name] = str(error)
    there = [peer for peer in peers if peer.name in report.versions]
    for workload in workloads:
        report.tables.append(
            Table(workload, {peer.name: Entry() for peer in there if peer.takes(workload)})
        )
    for number in range(1, rounds + 1):
        for table in report.tables:
            tell(f"round {number} of {rounds}: {table.workload.title}")
            for peer in there:
                if (entry := table.entries.get(peer.name)) is not None:
                    take_turn(entry, peer, table.workload, quick, certificate)
            keep(report)
    return report


def about(rounds: int, quick: bool) -> dict[str, str]:
    """The machine, and how it is measured."""
    return {
        "Python": platform.python_version(),
        "Trio": trio.__version__,
        "System": f"{platform.system()} {platform.machine()}",
        "Processors": str(os.cpu_count()),
        "Processor": processor(),
        "Masks": "in C" if HAS_SPEEDUPS else "in Python",
        "Rounds": str(rounds),
        "Day": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        **({"Quick": "yes"} if quick else {}),
    }


def processor() -> str:
    """Its maker's name for it."""
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def take_turn(entry: Entry, peer: Peer, workload: Workload, quick: bool, certificate: str) -> None:
    try:
        sample = measure(peer, workload, quick, certificate)
    except Failed as error:
        entry.rounds.append(None)
        entry.failed = str(error).removeprefix("Failed: ")
        tell(f"  {peer.name}: FAILED: {entry.failed}")
    else:
        entry.rounds.append(sample)
        tell(f"  {peer.name}: {sample.cost:.2f} {workload.unit}")
