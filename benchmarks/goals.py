"""What the library is to reach, and how far it is: ratios of the medians of one run."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from .report import Report, number
from .workloads import BARE, STREAM

OLD, NEW, RFC6455 = (f"trio_draftws {mode}" for mode in ("old", "new", "rfc6455"))


@attrs.frozen
class Goal:
    """One peer's cost against another's, under one workload."""

    workload: str
    peer: str
    against: str
    limit: float
    """The most that is wanted."""
    limit_pure: float | None = None
    """The most that is wanted where masks are put on in Python; by default the same."""
    difference: bool = False
    """Whether it is how much more, instead of how many times as much."""

    @property
    def wanted(self) -> str:
        """The limits, for people."""
        wanted = f"≤ +{self.limit} KiB" if self.difference else f"≤ {self.limit}"
        if self.limit_pure is not None:
            wanted += f", {self.limit_pure} with masks in Python"
        return wanted

    def reached(self, report: Report) -> float | None:
        """How far it is; None where that was not measured."""
        table = report.table(self.workload)
        if table is None:
            return None
        cost, other = table.median(self.peer), table.median(self.against)
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
    *(
        Goal("ping-pong-64", mode, BARE, 1.15, 1.2 if mode == RFC6455 else None)
        for mode in (OLD, NEW, RFC6455)
    ),
    Goal("ping-pong-64", RFC6455, STREAM, 1),
    Goal("ping-pong-1", RFC6455, BARE, 1.3),
    Goal("256-kib", RFC6455, BARE, 1.7),
    Goal("1-mib", RFC6455, BARE, 1.7),
    Goal("1-mib", RFC6455, "websockets.trio", 1),
    Goal("tls-64", RFC6455, STREAM, 0.8),
    Goal("handshakes", RFC6455, "trio-websocket", 0.33),
    Goal("memory", RFC6455, BARE, 3, difference=True),
)


def as_text(report: Report) -> Iterator[str]:
    """A line for each goal that this run measured."""
    for goal in GOALS:
        reached = goal.reached(report)
        if reached is not None:
            what = "more than" if goal.difference else "against"
            yield (
                f"{goal.workload}: {goal.peer} {what} {goal.against}: "
                f"{number(reached)}, wanted {goal.wanted}"
            )


def as_rst(report: Report) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "")
    yield "   * - Workload"
    yield from (f"     - {heading}" for heading in ("Peer", "Against", "Wanted", "Measured"))
    for goal in GOALS:
        reached = goal.reached(report)
        sign = "+" if goal.difference else ""
        yield f"   * - ``{goal.workload}``"
        yield f"     - {goal.peer}"
        yield f"     - {goal.against}"
        yield f"     - {goal.wanted}"
        yield f"     - {'–' if reached is None else sign + number(reached)}"
    yield ""
