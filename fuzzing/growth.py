"""Is the work proportional to the input? A part of it is repeated, and then four times as often.

Two things are looked at. Calls are counted, each weighed with the bytes that it is made on: that
counts the same each time. What happens within one call, as in a regular expression, only a clock
tells: the CPU time of this process, the least of several rounds, each of which has both sizes in
turn. Only a growth that no round refutes, that goes on when there is four times as much again, and
that is worth speaking of is a finding: an input may well begin with a frame that is skipped, and
cost something only behind that.
"""

from __future__ import annotations

import math
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from types import FrameType
from typing import TypeAlias

import attrs

from .oracle import Choices, Finding

Work: TypeAlias = Callable[[bytes], object]

FACTOR = 4
# Methods that need not look at all of what they are called on
LOCAL = {"append", "endswith", "extend", "find", "index", "rfind", "rindex", "startswith"}
# Of the input, and of the growth of its cost
STEPS = 2
# The longest part that is repeated
LONGEST_PART = 64
# All this takes long, so it is done with one input in so many: which, their checksum says.
ONE_IN = 2048


@attrs.frozen
class Measure:
    """A way to tell what work costs."""

    unit: str
    cost: Callable[[Work, bytes], float]
    smallest: int
    """The size of the smallest input."""
    most: float
    """What four times the input may cost; if work is quadratic, it is 16 times as much."""
    little: float
    """What a byte may cost in any case."""
    rounds: int
    certain: float
    """A cost that nothing but the work itself accounts for: one round will do."""


def calls(work: Work, data: bytes) -> float:
    """How many calls `work` makes, each weighed with the bytes that it is made on."""
    counted = 0

    def count(frame: FrameType, what: str, function: object) -> None:
        nonlocal counted
        counted += 1
        if what == "c_call" and getattr(function, "__name__", "") not in LOCAL:
            owner = getattr(function, "__self__", None)
            counted += len(owner) if isinstance(owner, (str, bytes, bytearray)) else 0

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work(data)
    finally:
        sys.setprofile(before)
    return counted


def cpu_seconds(work: Work, data: bytes) -> float:
    started = time.process_time()
    work(data)
    return time.process_time() - started


MEASURES = (
    Measure("calls", calls, smallest=512, most=6, little=30, rounds=1, certain=0),
    Measure("s", cpu_seconds, smallest=2048, most=9, little=5e-6, rounds=5, certain=1),
)


def check_growth(work: Work, choices: Choices) -> None:
    """With one input in many, does `work` on others in which a part of it is repeated.

    Raises:
        Finding: it takes more than proportional work.
    """
    begin, size = choices.byte(), choices.byte()
    if zlib.crc32(choices.data) % ONE_IN == 0:
        data = choices.rest
        end = begin + size % LONGEST_PART + 1
        check_repeated(work, data[:begin], data[begin:end] or b"\x00", data[end:])


def check_repeated(
    work: Work,
    before: bytes,
    part: bytes,
    behind: bytes,
    measures: Sequence[Measure] = MEASURES,
) -> None:
    """Does `work` on inputs that begin and end so, with more and more of `part` between.

    Raises:
        Finding: it takes more than proportional work.
    """

    def grown(size: int) -> bytes:
        return before + part * (size // len(part) + 1) + behind

    for measure in measures:
        sizes = [measure.smallest * FACTOR**step for step in range(STEPS + 1)]
        costs = []
        for pair in pairwise(sizes):
            cost = too_much(measure, work, *map(grown, pair))
            if cost is None:
                break
            costs.append(cost)
        else:
            raise Finding(f"{part!r}, {FACTOR} times as often: {costs} {measure.unit}")


def too_much(
    measure: Measure, work: Work, small: bytes, large: bytes
) -> tuple[float, float] | None:
    """What both cost, if the larger input costs more than it should, in every round."""
    little = much = math.inf
    for _ in range(measure.rounds):
        little = min(little, measure.cost(work, small))
        much = min(much, measure.cost(work, large))
        if much < max(measure.little * len(large), measure.most * little):
            return None
        if much > measure.certain:
            break
    return little, much
