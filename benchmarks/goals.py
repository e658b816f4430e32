"""The costs that the library aims at, and those it has: ratios of the medians of one run.

Some goals compare this run with an earlier one.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .summary import Summary
from .tables import NOTHING, number
from .workloads import BARE, OURS, RFC6455, STREAM

OLD, NEW, ISAL = (f"{OURS} {mode}" for mode in ("old", "new", "isal"))


@attrs.frozen
class Goal:
    """One peer's cost against another's, under one workload."""

    workload: str
    peer: str
    against: str
    limit: float
    """The highest acceptable ratio, or difference."""
    limit_pure: float | None = None
    """The same where masking is in Python; by default no different."""
    difference: bool = False
    """Whether the goal is a difference instead of a ratio."""
    before: bool = False
    """Whether `against` is measured in the earlier run."""

    @property
    def wanted(self) -> str:
        """The limits, for people."""
        wanted = f"≤ +{self.limit} KiB" if self.difference else f"≤ {self.limit}"
        if self.limit_pure is not None:
            wanted += f", {self.limit_pure} with masks in Python"
        return wanted

    def reached(self, summary: Summary, earlier: Summary | None = None) -> float | None:
        """The ratio or difference now; None if one of the two was not measured."""
        cost = summary.median(self.workload, self.peer)
        base = earlier if self.before else summary
        other = None if base is None else base.median(self.workload, self.against)
        if cost is None or other is None:
            return None
        return cost - other if self.difference else cost / other


GOALS = (
    *(
        Goal("in-flight-100", mode, "picows + uvloop", 0.55, 0.75 if mode == RFC6455 else None)
        for mode in (OLD, NEW, RFC6455)
    ),
    *(Goal("in-flight-100", mode, "websockets.trio", 0.05) for mode in (OLD, NEW, RFC6455)),
    Goal("in-flight-100", OLD, "npm ws old", 0.5),
    Goal("256-kib", OLD, "npm ws old", 0.3),
    *(Goal("ping-pong-64", mode, BARE, 1.15) for mode in (OLD, NEW)),
    Goal("ping-pong-64", RFC6455, BARE, 1.1, 1.2),
    Goal("ping-pong-64", RFC6455, "aiohttp + uvloop", 1.3),
    Goal("ping-pong-64", RFC6455, STREAM, 1),
    Goal("ping-pong-1", RFC6455, BARE, 1.3),
    Goal("256-kib", RFC6455, BARE, 1.25),
    Goal("256-kib", RFC6455, "picows + uvloop", 1.05),
    Goal("binary-256-kib", RFC6455, BARE, 1.25),
    Goal("binary-256-kib", RFC6455, "picows + uvloop", 1),
    Goal("1-mib", RFC6455, BARE, 1.4),
    Goal("1-mib", RFC6455, "websockets.trio", 1),
    Goal("two-byte-256-kib", RFC6455, BARE, 2.5),
    Goal("tls-64", RFC6455, STREAM, 0.8),
    Goal("handshakes", RFC6455, BARE, 1.6),
    Goal("handshakes", RFC6455, "aiohttp + uvloop", 1),
    Goal("handshakes", RFC6455, "trio-websocket", 0.35),
    Goal("memory", RFC6455, BARE, 3, difference=True),
)
# Goals relative to an earlier run; printed with `--against` only
GOALS_AGAINST_BEFORE = (
    Goal("json-64-kib", RFC6455, RFC6455, 0.65, before=True),
    Goal("json-64-kib", ISAL, RFC6455, 0.3, before=True),
    *(Goal(name, RFC6455, RFC6455, 1, before=True) for name in ("in-flight-100", "tls-64")),
    Goal("memory", RFC6455, RFC6455, 1, before=True),
)


def as_text(summary: Summary, earlier: Summary | None = None) -> Iterator[str]:
    """A line for each goal that this run measured, and for those against an earlier one."""
    for goal in (*GOALS, *GOALS_AGAINST_BEFORE):
        reached = goal.reached(summary, earlier)
        if reached is not None:
            what = "more than" if goal.difference else "against"
            before = ", as it was" if goal.before else ""
            yield (
                f"{goal.workload}: {goal.peer} {what} {goal.against}{before}: "
                f"{number(reached)}, wanted {goal.wanted}"
            )


def as_rst(summary: Summary) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    yield "   * - Workload"
    yield from (f"     - {heading}" for heading in ("Peer", "Against", "Wanted", "Measured"))
    for goal in GOALS:
        reached = goal.reached(summary)
        sign = "+" if goal.difference else ""
        yield f"   * - ``{goal.workload}``"
        yield f"     - {goal.peer}"
        yield f"     - {goal.against}"
        yield f"     - {goal.wanted}"
        yield f"     - {NOTHING if reached is None else sign + number(reached)}"
    yield ""
