"""Whole scopes, for hours of a clock that jumps; see README.md."""

from __future__ import annotations

import pytest

from .breaks import BREAKS, Break
from .directed import DIRECTED, Directed
from .generate import program as program_of
from .world import run

# A quarter of a minute on one core
SEEDS = 75
CHUNK = 25
# Of the programs' own time, for each chunk; most have two, but a program may end early.
HOURS = 0.3
# Every break is found with one of so many programs.
SEEDS_FOR_A_BREAK = 60


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_random_programs(first: int) -> None:
    """What must hold does, whatever the two sides do; `python -m tests.simulation --seed N` shows
    what a seed stands for, and makes it smaller.
    """
    failed = []
    seconds = 0.0
    for seed in range(first, first + CHUNK):
        world = run(program_of(seed))
        failed += [f"seed {seed}: {finding}" for finding in world.findings]
        seconds += world.ended
    assert failed == []
    assert seconds > HOURS * 3600


@pytest.mark.parametrize("directed", DIRECTED, ids=lambda directed: directed.name)
def test_directed_programs(directed: Directed) -> None:
    """Programs that were picked by hand, for what was once wrong and what was never found wrong."""
    failed = []
    for program in directed.programs():
        failed += [f"{program}\n  {finding}" for finding in run(program).findings]
    assert failed == [], "\n".join(failed)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.name)
def test_breaks_are_found(broken: Break) -> None:
    """What is broken on purpose is found, by a program that finds nothing else."""
    for seed in range(SEEDS_FOR_A_BREAK):
        program = program_of(seed)
        found = {finding.invariant for finding in run(program, broken.seams).findings}
        if broken.invariant in found:
            unbroken = {finding.invariant for finding in run(program).findings}
            if broken.invariant not in unbroken:
                return
    pytest.fail(f"{broken.name}: not found with {SEEDS_FOR_A_BREAK} programs")
