"""Counts the instructions that the codecs execute, which no other program on the machine changes.

    python -m benchmarks.instructions [--drafts old,new,rfc6455]

Python runs under valgrind's callgrind, with bytes made beforehand: each piece of work once so many
times, and once not at all; the difference is what the work took.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from trio_draftws import DRAFTS, Draft

from .wire import text

ROOT = Path(__file__).resolve().parent.parent
# Python rewrites code that was run some times; what it is rewritten to is what counts.
WARM_UP = 16


@attrs.frozen
class Work:
    """Something that a server's codec does, again and again."""

    name: str
    messages: int
    """So many each time."""
    repeats: int
    prepare: Callable[[Draft], Callable[[], object]]


def decoding(messages: int, size: int) -> Callable[[Draft], Callable[[], object]]:
    def prepare(draft: Draft) -> Callable[[], object]:
        client = draft.codec("client", math.inf)
        message = text(size).decode("ascii")
        wire = b"".join(part for _ in range(messages) for part in client.encode(message))
        server = draft.codec("server", math.inf)

        def decode() -> None:
            events = server.decode(wire)
            assert len(events) == messages

        return decode

    return prepare


def encoding(size: int) -> Callable[[Draft], Callable[[], object]]:
    def prepare(draft: Draft) -> Callable[[], object]:
        server = draft.codec("server", math.inf)
        message = text(size).decode("ascii")
        return lambda: server.encode(message)

    return prepare


WORKS = (
    Work("decode 100 × 32 bytes", 100, 50, decoding(100, 32)),
    Work("encode 32 bytes", 1, 5000, encoding(32)),
    Work("decode 256 KiB", 1, 50, decoding(1, 2**18)),
)


def named(name: str) -> Draft:
    for draft in DRAFTS:
        if name in (draft.name, *draft.aliases):
            return draft
    raise argparse.ArgumentTypeError(f"no draft is called {name!r}")


def work(draft: Draft, name: str) -> None:
    """In the process that is counted. It prepares all, so that only the work is the difference."""
    for each in WORKS:
        do = each.prepare(draft)
        for _ in range(WARM_UP):
            do()
        if each.name == name:
            # A collection would come at any time, and cost what others left behind.
            gc.collect()
            gc.disable()
            for _ in range(each.repeats):
                do()
            gc.enable()


def counted(draft: str, name: str) -> int:
    """The instructions of a whole process."""
    done = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable),
            *("-m", "benchmarks.instructions", "--drafts", draft, "--work", name),
        ],
        cwd=ROOT,
        # Sets and dicts in the same order each time
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )
    total = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or total is None:
        raise SystemExit(done.stderr)
    return int(total[1])


def per_message(draft: str, chosen: Work, empty: int) -> float:
    return (counted(draft, chosen.name) - empty) / (chosen.repeats * chosen.messages)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/instructions", description=__doc__)
    parser.add_argument(
        "--drafts",
        type=lambda names: [named(n) for n in names.split(",")],
        default="old,new,rfc6455",
    )
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work is not None:
        work(options.drafts[0], options.work)
        return
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed (Debian: valgrind)")
    print("instructions for each message")
    for draft in options.drafts:
        empty = counted(draft.name, "nothing")
        for each in WORKS:
            count = per_message(draft.name, each, empty)
            print(f"{draft.name:16}{each.name:24}{count:14,.0f}", flush=True)


if __name__ == "__main__":
    main()
