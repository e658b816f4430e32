"""Measures how soon a program answers, how long a flood stops it, and what idle connections cost.

    python -m benchmarks.responsiveness [--only pings,leaving] [--package CHECKOUT]

Everything runs with the default settings. On a busy machine, look at the smallest sample of a time,
and at processor time.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import trio

from .answers import answered, leaving, pings
from .command import add_option, allow_many_files, chosen, tell
from .gaps import gaps_of_clients, gaps_of_server
from .idle import idle, memory
from .package import has_c, importing
from .results import Columns, Results, Setup, as_text
from .tables import spread

Section: TypeAlias = "Callable[[Setup], Iterator[tuple[str, Columns]]]"

SECTIONS: Mapping[str, tuple[str, Section]] = {
    "pings": ("From a ping to its pong", pings),
    "leaving": ("Leaving `async with open_websocket`", leaving),
    "answered": ("The handler answered one message, and sleeps", answered),
    "idle": ("Processor time of idle connections", idle),
    "gaps-server": ("Heartbeat of a server that ten clients flood", gaps_of_server),
    "gaps-client": ("Heartbeat of ten clients that their server floods", gaps_of_clients),
    "memory": ("Memory of an idle connection", memory),
}
# They take minutes, and one sample hardly differs from the next.
ONE_ROUND = ("idle",)


def measure(setup: Setup, names: Sequence[str], rounds: int, about: dict[str, str]) -> Results:
    results = Results(about)
    for number in range(1, rounds + 1):
        for name in names:
            if name in ONE_ROUND and number > 1:
                continue
            title, section = SECTIONS[name]
            tell(f"round {number} of {rounds}: {title}")
            for row, columns in section(setup):
                results.add(title, row, columns)
                told = (f"{spread(samples)} {heading}" for heading, samples in columns.items())
                tell(f"  {row}: {'; '.join(told)}")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/responsiveness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="to see that it works: one round")
    parser.add_argument("--only", help="some of: " + ", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, help="by default 3, or 1 with --quick")
    parser.add_argument(
        "--connections", type=int, default=1000, help="how many are idle: by default 1000"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    add_option(parser)
    options = parser.parse_args()
    names = chosen(options.only, list(SECTIONS))
    allow_many_files()
    about = {
        "Python": platform.python_version(),
        "Trio": trio.__version__,
        "System": f"{platform.system()} {platform.machine()}",
        "Processors": str(os.cpu_count()),
        "The C part": "built" if has_c(options.package) else "not built",
        "Day": dt.datetime.now(dt.timezone.utc).date().isoformat(),
    }
    with importing(options.package) as surroundings:
        setup = Setup(surroundings, options.quick, options.connections)
        results = measure(setup, names, options.rounds or (1 if options.quick else 3), about)
    if options.json is not None:
        options.json.write_text(json.dumps(results.to_json(), indent=1) + "\n", "utf-8")
    print(as_text(results))


if __name__ == "__main__":
    main()
