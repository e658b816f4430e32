"""What the commands share: options, limits, and progress on standard error."""

from __future__ import annotations

import argparse
import resource
import sys
from pathlib import Path

from .package import ROOT

# For the idle connections, and what else a process has open
OPEN_FILES = 8192


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def last_words(said: str) -> str:
    """What a program complained of: its last line that is not the edge of an exception group."""
    lines = (line.strip(" |+-") for line in said.splitlines())
    return ([line for line in lines if line] or ["it said nothing"])[-1]


def chosen(given: str | None, names: list[str]) -> list[str]:
    """The names that a comma-separated list has; a name may stand for all that begin with it."""
    if given is None:
        return names
    wanted = [name.strip() for name in given.split(",")]
    for want in wanted:
        if not want or not any(name.startswith(want) for name in names):
            raise SystemExit(f"{want!r} is none of: {', '.join(names)}")
    return [name for name in names if any(name.startswith(want) for want in wanted)]


def allow_many_files() -> None:
    """For this process and those that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (-1, resource.RLIM_INFINITY) and hard < OPEN_FILES:
        raise SystemExit(f"{OPEN_FILES} open files are needed; the limit is {hard} (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, hard))


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--package CHECKOUT`, by default this one."""
    parser.add_argument(
        "--package",
        type=existing_checkout,
        default=ROOT,
        metavar="CHECKOUT",
        help="measure the library of another checkout, with the benchmarks of this one",
    )


def existing_checkout(path: str) -> Path:
    checkout = Path(path)
    if not (checkout / "trio_draftws").is_dir():
        raise argparse.ArgumentTypeError(f"{path!r} has no folder trio_draftws")
    return checkout
