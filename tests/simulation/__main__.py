"""Runs programs: `python -m tests.simulation --seed 17`, `--seeds 0-999`, `--minutes 30`.

What is found is told with its seed and a program that was made as small as it fails in the same
way; `--replay FILE` runs such a program again (`-` reads it from standard input).
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from .directed import DIRECTED
from .generate import program as program_of
from .programs import Program, parse
from .shrink import shrink
from .world import Seams, World, run


def main(arguments: Sequence[str] | None = None, seams: Seams | None = None) -> int:
    """Returns 1 if anything failed, else 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--seed", type=int, help="run one")
    which.add_argument("--seeds", type=_span, metavar="A-B", help="run all from A to B")
    which.add_argument("--minutes", type=float, help="run for so long, from --first on")
    which.add_argument("--replay", metavar="FILE", help="run the program in this file")
    which.add_argument("--directed", action="store_true", help="run those picked by hand")
    parser.add_argument("--first", type=int, default=0, help="the first seed for --minutes")
    parser.add_argument("--whole", action="store_true", help="do not make smaller what fails")
    args = parser.parse_args(arguments)
    runner = Runner(seams or Seams(), shrinking=not args.whole)
    if args.replay is not None:
        text = sys.stdin.read() if args.replay == "-" else Path(args.replay).read_text("utf-8")
        return runner.replay(parse(text))
    if args.directed:
        return runner.run_directed()
    if args.minutes is not None:
        return runner.run_seeds(itertools.count(args.first), args.minutes * 60)
    return runner.run_seeds([args.seed] if args.seeds is None else args.seeds)


def _span(text: str) -> range:
    first, last = text.split("-")
    return range(int(first), int(last) + 1)


@attrs.frozen
class Runner:
    """Runs programs, and tells what is found."""

    seams: Seams
    shrinking: bool

    def run_seeds(self, seeds: Iterable[int], seconds: float = float("inf")) -> int:
        begun = time.monotonic()
        count = failed = 0
        virtual = 0.0
        for seed in seeds:
            if time.monotonic() - begun > seconds:
                break
            world = run(program_of(seed), self.seams)
            count += 1
            virtual += world.ended
            if world.findings:
                failed += 1
                _tell(f"seed {seed}", world)
                if self.shrinking:
                    _tell(f"seed {seed}, made smaller", run(self._shrunk(world), self.seams))
        hours, minutes = virtual / 3600, (time.monotonic() - begun) / 60
        print(f"{count} programs, {hours:.1f} hours in {minutes:.1f} minutes; {failed} failed")
        return min(failed, 1)

    def _shrunk(self, world: World) -> Program:
        invariant = world.findings[0].invariant

        def fails(program: Program) -> bool:
            return any(found.invariant == invariant for found in run(program, self.seams).findings)

        return shrink(world.program, fails)

    def run_directed(self) -> int:
        failed = 0
        for directed in DIRECTED:
            worlds = [run(program, self.seams) for program in directed.programs()]
            bad = [world for world in worlds if world.findings]
            print(f"{directed.name}: {len(bad)} of {len(worlds)} failed")
            if bad:
                failed += 1
                _tell("the first of them", bad[0])
        return min(failed, 1)

    def replay(self, program: Program) -> int:
        world = run(program, self.seams)
        _tell("this program", world)
        return 1 if world.findings else 0


def _tell(what: str, world: World) -> None:
    print(f"\n{what}: {'fails' if world.findings else 'holds'}\n{world.program}")
    for finding in world.findings:
        print(f"  {finding}")
    print(flush=True)


if __name__ == "__main__":
    # What handlers raise on purpose is no news here.
    logging.getLogger("trio_draftws").setLevel(logging.CRITICAL + 1)
    raise SystemExit(main())
