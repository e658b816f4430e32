"""Counts the instructions that a message takes, which no other program on the machine changes.

    python -m benchmarks.instructions [--drafts old,new,rfc6455] [--works echo] [--package CHECKOUT]

Python runs under valgrind's callgrind: one process repeats a piece of work many times, another not
at all, and the difference is what the work takes. It is either a codec's work alone (decoding,
encoding), or a whole echo: a server, its event loop and raw clients in one process. With `bare`, an
echo on a bare socket, that is what Trio and the clients take.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from .codec_works import WORKS, named
from .command import add_option, chosen
from .echoes import ECHOES
from .package import Surroundings, importing
from .wire import DIALECTS

BARE = "bare"
# Seconds: far more than any of them takes
DEADLINE = 1800

Count: TypeAlias = Callable[[str, str, int], "Future[int]"]
"""Counts a whole process that does that draft's work so many times."""


VALGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


def ran(
    surroundings: Surroundings, under: Sequence[str], draft: str, work: str, repeats: int
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*under, sys.executable, "-m", "benchmarks.counted", draft, work, str(repeats)],
        cwd=surroundings.cwd,
        # Sets and dicts in the same order each time
        env={**surroundings.env, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def counted(surroundings: Surroundings, draft: str, work: str, repeats: int) -> int:
    """The instructions of a whole process."""
    done = ran(surroundings, VALGRIND, draft, work, repeats)
    total = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or total is None:
        raise SystemExit(done.stderr)
    return int(total[1])


def asked_for(drafts: Sequence[str], works: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Skips what does not exist: a bare socket has no codec, and few drafts have a raw client."""
    for draft, work in itertools.product(drafts, works):
        if draft in DIALECTS if work in ECHOES else draft != BARE:
            yield draft, work


def figures(
    count: Count, drafts: Sequence[str], works: Sequence[str]
) -> Iterator[tuple[str, str, float]]:
    """Draft, work, and instructions per message, as soon as each is known."""
    counts = []
    for draft, name in asked_for(drafts, works):
        work = WORKS.get(name) or ECHOES[name]
        counts.append((draft, name, work, count(draft, name, work.repeats), count(draft, name, 0)))
    for draft, name, work, full, empty in counts:
        taken = full.result() - empty.result()
        yield draft, name, taken / (work.repeats * work.messages)


def draft_names(given: str) -> list[str]:
    names = given.split(",")
    for name in names:
        if name != BARE:
            named(name)
    return names


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/instructions", description=__doc__)
    parser.add_argument(
        "--drafts",
        type=draft_names,
        default="bare,old,new,rfc6455",
        help="by default bare,old,new,rfc6455; bare is an echo without WebSocket",
    )
    names = [*WORKS, *ECHOES]
    parser.add_argument("--works", help="some of: " + ", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    add_option(parser)
    options = parser.parse_args(arguments)
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed (Debian: valgrind)")
    works = chosen(options.works, names)
    results: dict[str, dict[str, float]] = {}
    print("instructions for each message")
    with importing(options.package) as surroundings, ThreadPoolExecutor(os.cpu_count()) as pool:

        def count(draft: str, work: str, repeats: int) -> Future[int]:
            return pool.submit(counted, surroundings, draft, work, repeats)

        for draft, work in asked_for(options.drafts, works):
            # Changed modules are compiled here, where nothing is counted.
            ran(surroundings, (), draft, work, 0)
        for draft, work, instructions in figures(count, options.drafts, works):
            results.setdefault(draft, {})[work] = instructions
            print(f"{draft:16}{work:24}{instructions:14,.0f}", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
