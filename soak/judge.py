"""Judges an exercise: one line for each fault."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import attrs

from .guests import WAYS
from .load import Alive, Look, Result

# How much memory may grow in the second half of the time under load: a page or two more of
# fragmentation, and far less than anything kept for each message or visitor would take.
MAY_GROW = 0.02
MAY_GROW_MIB = 1.0
# A few more objects may live afterwards: there are pings in flight at any time.
MAY_LIVE = 0.01
# No talker gets less than this part of what another gets.
FAIR = 4
# Next to a client that does not read, the others keep this share of their pace. It would be all of
# it if the machine did nothing else.
PACE = 0.5
# 64 KiB and a message wait to be written, and as much was read ahead; the rest is noise.
STALLED_MIB = 4.0
# The most that the kernel's buffers of both sides hold
TAKEN_MIB = 64.0


@attrs.define
class Ended:
    """How the server ended."""

    status: int
    seconds: float
    """From the end of its last client to its own."""
    counts: dict[str, int]
    """Counts of what it logged."""
    unexpected: list[str]
    """Records that it should not have logged."""
    complaints: str
    """What it wrote to standard error."""


@attrs.define
class Exercise:
    """One exercise: what the load saw, and how the server ended."""

    result: Result
    server: Ended

    def faults(self) -> list[str]:
        """All faults, a line for each."""
        return [*load_faults(self.result), *server_faults(self.result, self.server)]


def load_faults(result: Result) -> Iterator[str]:
    if result.faults:
        yield f"{result.faults} clients met with something wrong:"
        yield from result.told
    if result.unsettled:
        yield f"{result.unsettled} clients waited in vain for a message, or an end"
    if result.goodbyes != result.connections:
        yield f"of {result.connections} clients, {result.goodbyes} saw a goodbye and the end"
    if result.fewest * FAIR < result.most:
        yield f"one client got {result.fewest} messages, another {result.most}"
    yield from what_stayed(result.connections, result.before, result.after)
    if result.exercise == "crowd":
        yield from growth_faults(result.looks)
        yield from (f"nobody {way}" for way in WAYS if way not in result.visits)
    else:
        yield from stalled_faults(result)


def what_stayed(connections: int, before: Alive | None, after: Alive | None) -> Iterator[str]:
    """What clients that left have left behind."""
    if before is None or after is None:
        yield "the exercise was not done to its end"
        return
    for alive in (before, after):
        if alive.connections != connections:
            yield f"{alive.connections} connections were open, not {connections}"
    # One task starts with the first connection on which nobody receives; another waits for many
    # that are busy at once.
    if after.tasks - before.tasks not in (0, 1, 2):
        yield f"{after.tasks} tasks ran afterwards, {before.tasks} before"
    if after.objects > before.objects * (1 + MAY_LIVE):
        yield f"{after.objects} objects lived afterwards, {before.objects} before"


def growth(looks: list[Look]) -> float:
    """MiB in a minute that the memory grew in the second half, by the line that fits best."""
    half = looks[len(looks) // 2 :]
    if len(half) < 2:
        return 0
    line = statistics.linear_regression(
        [look.seconds for look in half], [look.mib for look in half]
    )
    return line.slope * 60


def growth_faults(looks: list[Look]) -> Iterator[str]:
    if len(looks) < 4:
        yield "there was no time to see whether memory grows"
        return
    half = looks[len(looks) // 2 :]
    grown = growth(looks) * (half[-1].seconds - half[0].seconds) / 60
    if grown > half[0].mib * MAY_GROW + MAY_GROW_MIB:
        yield f"memory grew by {growth(looks):.2f} MiB a minute, from {half[0].mib:.1f} MiB"


def stalled_faults(result: Result) -> Iterator[str]:
    if len(result.rates) < 3:
        return
    pace = (result.rates["without"] + result.rates["after"]) / 2
    if result.rates["beside"] < pace * PACE:
        kept = result.rates["beside"] / pace
        yield f"beside one who does not read, {kept:.0%} of the pace was kept"
    if result.stalled > STALLED_MIB:
        yield f"memory grew by {result.stalled:.1f} MiB for one who does not read"
    if not 0 < result.taken < TAKEN_MIB:
        yield f"{result.taken:.1f} MiB were taken from one who does not read"


def server_faults(result: Result, server: Ended) -> Iterator[str]:
    if server.status:
        yield f"the server ended with status {server.status}"
    if server.complaints:
        yield f"the server wrote: {server.complaints}"
    if unexpected := server.counts.get("unexpected"):
        yield f"{unexpected} times the server logged what it should not:"
        yield from server.unexpected
    raised = server.counts.get("handlers that raised", 0)
    wished = result.visits.get("made the handler raise", 0)
    # The last of them may have seen the end of the server in place of their own.
    if not wished <= raised <= wished + result.visitors:
        yield f"{raised} handlers raised, {wished} should"
