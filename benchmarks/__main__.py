"""The command: every workload against every peer, in turn, round after round.

python -m benchmarks --quick
python -m benchmarks --workloads ping-pong-64,tls-64 --rounds 5 --json results.json
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import trio
import trustme

from trio_draftws import MASKS_IN_C

from . import goals
from .command import allow_many_files, chosen, existing_checkout, tell
from .load import Sample
from .package import ROOT
from .peers import PEERS, Missing, NoStart, Peer, running, with_another
from .report import Entry, Report, Table, as_text
from .workloads import WORKLOADS, Workload

# Of the load generator, which has deadlines of its own for what a server does not do
DEADLINE = 300


class Failed(Exception):
    """A peer could not be measured; the message says why."""


def measure(peer: Peer, workload: Workload, quick: bool, certificate: str) -> Sample:
    """One peer's turn: its server is started, put under load, and ended."""
    try:
        with running(peer, certificate if workload.tls else None) as server:
            task = {"port": server.port, "pid": server.pid, "dialect": peer.dialect}
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "benchmarks.load"),
                    json.dumps({**task, **workload.task(quick)}),
                ],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=DEADLINE,
            )
    except (NoStart, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from error
    if done.returncode:
        raise Failed((done.stderr.splitlines() or ["it said nothing"])[-1])
    return Sample(**json.loads(done.stdout))


def run(
    peers: list[Peer], workloads: list[Workload], rounds: int, quick: bool, certificate: str
) -> Report:
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for peer in peers:
        try:
            versions[peer.name] = peer.versions()
        except Missing as error:
            missing[peer.name] = str(error)
    there = [peer for peer in peers if peer.name in versions]
    tables = [
        Table(workload, {p.name: Entry() for p in there if p.tls or not workload.tls})
        for workload in workloads
    ]
    for number in range(1, rounds + 1):
        for table in tables:
            tell(f"round {number} of {rounds}: {table.workload.title}")
            for peer in there:
                if (entry := table.entries.get(peer.name)) is not None:
                    take_turn(entry, peer, table.workload, quick, certificate)
    about = {
        "Python": platform.python_version(),
        "Trio": trio.__version__,
        "System": f"{platform.system()} {platform.machine()}",
        "Processors": str(os.cpu_count()),
        "Masks": "in C" if MASKS_IN_C else "in Python",
        "Rounds": str(rounds),
        "Day": dt.datetime.now(dt.timezone.utc).date().isoformat(),
    }
    return Report(about, versions, missing, tables)


def take_turn(entry: Entry, peer: Peer, workload: Workload, quick: bool, certificate: str) -> None:
    try:
        sample = measure(peer, workload, quick, certificate)
    except Failed as error:
        entry.rounds.append(None)
        entry.failed = str(error)
        tell(f"  {peer.name}: FAILED: {error}")
    else:
        entry.rounds.append(sample)
        tell(f"  {peer.name}: {sample.cost:.2f} {workload.unit}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="to see that it works: one round")
    parser.add_argument("--workloads", help="some of: " + ", ".join(w.name for w in WORKLOADS))
    parser.add_argument("--peers", help="some of: " + ", ".join(p.name for p in PEERS))
    parser.add_argument(
        "--against",
        type=existing_checkout,
        metavar="CHECKOUT",
        help="measure the library of another checkout too, in turn with this one's",
    )
    parser.add_argument("--rounds", type=int, help="by default 5, or 1 with --quick")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    options = parser.parse_args()
    peers = list(PEERS)
    if options.against is not None:
        peers = list(with_another(peers, options.against))
    names = chosen(options.peers, [peer.name for peer in peers])
    workloads = chosen(options.workloads, [workload.name for workload in WORKLOADS])
    allow_many_files()
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder, "certificate.pem")
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(certificate)
        )
        report = run(
            [peer for peer in peers if peer.name in names],
            [workload for workload in WORKLOADS if workload.name in workloads],
            options.rounds or (1 if options.quick else 5),
            options.quick,
            str(certificate),
        )
    if options.json is not None:
        options.json.write_text(json.dumps(report.to_json(), indent=1) + "\n", "utf-8")
    print(as_text(report))
    print("", *goals.as_text(report), sep="\n")


if __name__ == "__main__":
    main()
