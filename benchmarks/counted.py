"""The process whose instructions are counted: it does one piece of work so many times.

    python -m benchmarks.counted DRAFT WORK REPEATS

`DRAFT` may be `bare`, for an echo on a bare socket. Everything is prepared and warmed up first, so
that the difference from the same process with no repeats is the work.
"""

from __future__ import annotations

import gc
import itertools
import sys
import time
from collections.abc import Callable

# Seconds that pass whenever the clock is read; see `replace_clock`
TICK = 2e-6


def replace_clock() -> None:
    """Replaces the clock by a counter of how often it is read.

    Under callgrind everything takes fifty times as long, so what happens by the clock (a write
    after 1 ms, a round every quarter of a second) would happen fifty times too often, and at other
    moments in every run. Call this before anything imports `perf_counter`.
    """
    time.perf_counter = itertools.count(1000.0, TICK).__next__


def repeated(do: Callable[[], object], repeats: int) -> None:
    # A collection could happen at any time, and would count the garbage of others.
    gc.collect()
    gc.disable()
    for _ in range(repeats):
        do()
    gc.enable()


def main() -> None:
    draft, name, repeats = sys.argv[1:]
    replace_clock()
    # Only now may Trio and the library be imported.
    from . import codec_works, echoes

    if name in codec_works.WORKS:
        repeated(codec_works.prepare(draft, name), int(repeats))
    else:
        echoes.run(draft, echoes.ECHOES[name], int(repeats))


if __name__ == "__main__":
    main()
