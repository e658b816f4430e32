"""The results of a run: every sample as JSON, and the figures as text."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import attrs

from .judge import Ended, Exercise, growth
from .load import Alive, Look, Result


@attrs.define
class Report:
    """All of a run."""

    about: dict[str, str]
    """The machine, and how long it was."""
    exercises: list[Exercise]

    def faults(self) -> list[str]:
        return [
            f"{exercise.result.exercise}: {fault}"
            for exercise in self.exercises
            for fault in exercise.faults()
        ]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """What `to_json` gave."""
        exercises = [
            Exercise(result_from_json(one["result"]), Ended(**one["server"]))
            for one in data["exercises"]
        ]
        return cls(data["about"], exercises)

    def exercise(self, name: str) -> Exercise | None:
        return next((one for one in self.exercises if one.result.exercise == name), None)


def result_from_json(data: dict[str, Any]) -> Result:
    before, after = (data[name] and Alive(**data[name]) for name in ("before", "after"))
    looks = [Look(**look) for look in data["looks"]]
    return Result(**{**data, "before": before, "after": after, "looks": looks})


def facts(exercise: Exercise) -> Iterator[tuple[str, str]]:
    """Names and figures, of what an exercise is about."""
    result, server = exercise.result, exercise.server
    yield "connections that stay", f"{result.connections:,}"
    if result.exercise == "crowd":
        yield from crowd_facts(result)
    elif len(result.rates) == 3:
        yield from (
            (f"messages in a second, {when} the one that does not read", f"{rate:,.0f}")
            for when, rate in result.rates.items()
        )
        yield "MiB that the server accepted from that one", f"{result.taken:.1f}"
        yield "MiB that the server's memory grew meanwhile", f"{result.stalled:.2f}"
    yield "longest wait for a message", f"{result.slowest:.2f} s"
    yield "fewest and most messages of one talker", f"{result.fewest:,}, {result.most:,}"
    if result.before is not None and result.after is not None:
        yield (
            "objects of the library, before and after",
            (f"{result.before.objects:,}, {result.after.objects:,}"),
        )
    yield "from SIGTERM to the end of the last connection", f"{result.seconds_to_end:.2f} s"
    yield "connections closed properly after SIGTERM", f"{result.goodbyes:,}"
    yield "from there to the end of the process", f"{server.seconds:.2f} s"
    yield from ((f"logged: {what}", f"{count:,}") for what, count in server.counts.items())


def crowd_facts(result: Result) -> Iterator[tuple[str, str]]:
    yield "of which talk all the time", f"{result.connections // 2:,}"
    yield "visitors at a time, who come and go", f"{result.visitors:,}"
    if result.looks:
        last = result.looks[-1]
        yield "messages echoed", f"{last.messages:,}"
        yield "messages in a second", f"{last.messages / last.seconds:,.0f}"
        yield (
            "growth of memory in the second half",
            f"{growth(result.looks) * 1024:.0f} KiB a minute",
        )
    yield "memory without connections", f"{result.empty:.1f} MiB"
    yield (
        "memory of a connection at rest",
        (f"{(result.full - result.empty) * 1024 / result.connections:.1f} KiB"),
    )
    yield "openings", f"{result.openings:,}"
    yield from ((f"visitors who {way}", f"{count:,}") for way, count in result.visits.items())
    yield "pings from the server, answered", f"{result.pings:,}"


def minutes(looks: list[Look]) -> Iterator[tuple[str, str, str]]:
    """Of each minute: which it is, the memory on average, messages in a second."""
    begun = Look(0, 0, 0)
    for minute in range(1, 1 + round(looks[-1].seconds / 60) if looks else 1):
        there = [look for look in looks if begun.seconds < look.seconds <= minute * 60 + 0.5]
        mib = statistics.mean(look.mib for look in there)
        rate = (there[-1].messages - begun.messages) / (there[-1].seconds - begun.seconds)
        yield str(minute), f"{mib:.2f}", f"{rate:,.0f}"
        begun = there[-1]


HEADINGS = ("minute", "MiB of memory", "messages in a second")


def as_text(report: Report) -> str:
    lines = [f"{name}: {said}" for name, said in report.about.items()]
    for exercise in report.exercises:
        lines += ["", exercise.result.exercise]
        lines += [f"  {name:62}{figure}" for name, figure in facts(exercise)]
        rows = list(minutes(exercise.result.looks))
        if len(rows) > 1:
            lines += ["", *(f"  {row[0]:>8}{row[1]:>16}{row[2]:>24}" for row in (HEADINGS, *rows))]
    return "\n".join(lines)
