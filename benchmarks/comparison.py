"""Two runs: whether they can be compared, how they compare, and parts of one put together."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from .peers import name_of
from .report import Entry, Report, Table
from .tables import NOTHING, SPREAD, Spread, aligned, number
from .workloads import WORKLOADS, Workload

# Facts in which two runs may differ
DO_NOT_MATTER = ("Rounds", "Day")
# The fields of a workload that change what is measured; the others are names.
ASKED = ("exercise", "connections", "in_flight", "at_once", "size", "content", "delay", "tls")


def differences(one: Report, other: Report) -> Iterator[tuple[str, str, str]]:
    """Each fact, and each peer's version, in which two runs differ, with both values."""
    for fact in dict.fromkeys((*one.about, *other.about)):
        said = [report.about.get(fact, "not said") for report in (one, other)]
        if fact not in DO_NOT_MATTER and said[0] != said[1]:
            yield fact, said[0], said[1]
    for peer, version in one.versions.items():
        there = other.versions.get(peer, version)
        if there != version:
            yield peer, version, there


def same_question(one: Workload, other: Workload) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in ASKED)


def as_text(now: Report, then: Report) -> Iterator[str]:
    """The costs of this run divided by those of an earlier one."""
    yield f"Against the run of {then.about.get('Day', 'an unknown day')}: costs now in costs then."
    yield "The lowest ratio is the lowest now in the highest then, the highest the other way round."
    for what, there, here in differences(then, now):
        yield f"NOT THE SAME: {what}: {there} then, {here} now"
    for table in now.tables:
        workload = table.workload
        yield from ("", f"{workload.title}: {workload.unit} for each {workload.each}")
        earlier = then.table(workload.name)
        if earlier is None:
            yield "  not measured then"
        elif not same_question(workload, earlier.workload):
            yield "  then it was another workload with the same name"
        else:
            cells = [("Peer", "then", "now", f"ratio: {SPREAD}"), *compared(table, earlier)]
            yield from (f"  {line}" for line in aligned(cells))


def compared(table: Table, earlier: Table) -> Iterator[tuple[str, ...]]:
    for peer in table.entries:
        costs, before = table.costs(peer), earlier.costs(peer)
        told = [number(statistics.median(some)) if some else NOTHING for some in (before, costs)]
        if not costs or not before:
            yield peer, *told, NOTHING
            continue
        ratio = statistics.median(costs) / statistics.median(before)
        spread = Spread(ratio, min(costs) / max(before), max(costs) / min(before))
        yield peer, *told, str(spread)


def of_checkout(report: Report, checkout: Path) -> Report:
    """The results of another checkout's library in the same run, as an earlier run."""

    def entries(table: Table) -> dict[str, Entry]:
        others = {name_of(peer, checkout): peer for peer in table.entries}
        return {others[name]: entry for name, entry in table.entries.items() if name in others}

    tables = [attrs.evolve(table, entries=entries(table)) for table in report.tables]
    return Report(report.about, {}, {}, tables)


def joined(parts: Sequence[Report]) -> Report:
    """One report of several: of other workloads or peers, or more rounds of the same.

    Raises:
        ValueError: they differ in what must be the same.
    """
    whole = Report(dict(parts[0].about), {}, {}, [])
    for part in parts:
        for what, one, other in differences(whole, part):
            raise ValueError(f"they differ in {what}: {one}, and {other}")
        whole.versions.update(part.versions)
        whole.missing.update(part.missing)
        for table in part.tables:
            if not any(entry.rounds for entry in table.entries.values()):
                continue
            kept = whole.table(table.workload.name)
            if kept is None:
                kept = Table(table.workload)
                whole.tables.append(kept)
            elif not same_question(kept.workload, table.workload):
                raise ValueError(f"they ask different things by {table.workload.name!r}")
            append(kept, table)
    if not whole.tables:
        raise ValueError("nothing was measured in them")
    whole.missing = {name: why for name, why in whole.missing.items() if name not in whole.versions}
    order = [workload.name for workload in WORKLOADS]
    whole.tables.sort(key=lambda table: (*order, table.workload.name).index(table.workload.name))
    rounds = {rounds_of(table) for table in whole.tables}
    whole.about["Rounds"] = " to ".join(map(str, sorted({min(rounds), max(rounds)})))
    days = (part.about.get("Day", "") for part in parts)
    whole.about["Day"] = ", ".join(dict.fromkeys(days))
    return whole


def rounds_of(table: Table) -> int:
    return max((len(entry.rounds) for entry in table.entries.values()), default=0)


def append(kept: Table, table: Table) -> None:
    """Appends rounds; a peer that had no turn in a round gets None for it, so that all align."""
    before = rounds_of(kept)
    for peer in dict.fromkeys((*kept.entries, *table.entries)):
        more = table.entries.get(peer, Entry())
        entry = kept.entries.setdefault(peer, Entry())
        entry.rounds += [None] * (before - len(entry.rounds))
        entry.rounds += more.rounds + [None] * (rounds_of(table) - len(more.rounds))
        entry.failed = more.failed or entry.failed
