"""The command: every workload against every peer, in turn, round after round.

python -m benchmarks --quick
python -m benchmarks --workloads ping-pong-64,tls-64 --json results.json
python -m benchmarks --json all.json --summary docs/benchmarks.json
python -m benchmarks --json now.json --against earlier.json
python -m benchmarks --join part.json rest.json --json results.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import trustme

from . import comparison, goals
from .command import allow_many_files, chosen, existing_checkout, tell
from .peers import PEERS, with_another
from .report import Report
from .summary import Summary, as_text
from .turns import run
from .workloads import WORKLOADS

ROUNDS = 3


def results(path: str) -> Report:
    """Those of an earlier run."""
    try:
        return Report.read(Path(path))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def earlier(path: str) -> Path | Report:
    """Another checkout, which is a folder, or the results of an earlier run, which are a file."""
    if Path(path).is_dir():
        return existing_checkout(path)
    return results(path)


def positive(given: str) -> int:
    number = int(given)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} rounds are none")
    return number


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="one short round, to see that it works"
    )
    parser.add_argument("--workloads", help="some of: " + ", ".join(w.name for w in WORKLOADS))
    parser.add_argument("--peers", help="some of: " + ", ".join(p.name for p in PEERS))
    parser.add_argument(
        "--against",
        type=earlier,
        metavar="CHECKOUT or FILE",
        help="measure the library of another checkout too, in turn with this one's; or compare "
        "with what --json wrote earlier",
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        help=f"processes for each pair of peer and workload: by default {ROUNDS}, or 1 with "
        "--quick",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write every sample there, again after each turn; `--against` and `--join` read it",
    )
    parser.add_argument(
        "--summary",
        type=Path,
        metavar="FILE",
        help="write medians and spreads there, from which the documentation is made",
    )
    parser.add_argument(
        "--join",
        nargs="+",
        metavar="FILE",
        help="measure nothing, but join what --json wrote: parts of a run that was stopped, or "
        "runs of other workloads, peers or rounds",
    )
    return parser


def main() -> None:
    parser = arguments()
    options = parser.parse_args()
    for path in filter(None, (options.json, options.summary)):
        if not path.parent.is_dir():
            parser.error(f"there is no folder {str(path.parent)!r}")
        if path.is_dir():
            parser.error(f"{str(path)!r} is a folder")
    if options.join is None:
        report = measured(options)
    else:
        if options.workloads or options.peers or options.rounds or options.quick:
            parser.error("--join measures nothing: it goes with --json and --against FILE alone")
        if isinstance(options.against, Path):
            parser.error("--join measures nothing: it cannot be compared with a checkout")
        paths = [Path(path).resolve() for path in options.join]
        for number, path in enumerate(paths):
            if path in paths[:number]:
                parser.error(f"{options.join[number]!r} is given twice")
        try:
            report = comparison.joined([results(path) for path in options.join])
        except argparse.ArgumentTypeError as error:
            parser.error(str(error))
        except ValueError as error:
            parser.error(f"the parts cannot be joined: {error}")
    if options.json is not None:
        report.write(options.json)
    summary = Summary.of(report)
    if options.summary is not None:
        summary.write(options.summary)
    print(as_text(summary))
    before = options.against
    if isinstance(before, Report):
        print("", *comparison.as_text(report, before), sep="\n")
    elif before is not None:
        before = comparison.of_checkout(report, before)
    earlier = None if before is None else Summary.of(before)
    print("", *goals.as_text(summary, earlier), sep="\n")


def measured(options: argparse.Namespace) -> Report:
    peers = list(PEERS)
    if isinstance(options.against, Path):
        peers = list(with_another(peers, options.against))
    names = chosen(options.peers, [peer.name for peer in peers])
    peers = [peer for peer in peers if peer.name in names]
    names = chosen(options.workloads, [workload.name for workload in WORKLOADS])
    workloads = [workload for workload in WORKLOADS if workload.name in names]
    if not any(peer.takes(workload) for peer in peers for workload in workloads):
        raise SystemExit("none of these peers can do any of these workloads")
    kept = False

    def keep(report: Report) -> None:
        nonlocal kept
        if options.json is not None:
            report.write(options.json)
            kept = True

    allow_many_files()
    with tempfile.TemporaryDirectory() as folder:
        certificate = Path(folder, "certificate.pem")
        trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(certificate)
        )
        try:
            return run(
                peers,
                workloads,
                options.rounds or (1 if options.quick else ROUNDS),
                options.quick,
                str(certificate),
                keep,
            )
        except KeyboardInterrupt:
            where = f"what there is stands in {options.json}" if kept else "nothing was written"
            tell(f"cut; {where}")
            raise SystemExit(130) from None


if __name__ == "__main__":
    main()
