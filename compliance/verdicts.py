"""What Autobahn|Testsuite says of the cases that it ran, and what it is expected to say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeAlias, get_args

Role: TypeAlias = Literal["server", "client"]
ROLES: tuple[Role, ...] = get_args(Role)

Verdict: TypeAlias = tuple[str, str]
"""Autobahn's words for the messages of a case, and for its close."""
Outcome: TypeAlias = dict[str, Verdict]
"""The verdict on each case, by its number, as 7.1.6."""

# Every other word is a fault, whether it is expected or not.
GOOD = frozenset({"OK", "INFORMATIONAL"})


def select(cases: Iterable[str], patterns: Sequence[str], excluded: Sequence[str] = ()) -> set[str]:
    """Those of the cases that a pattern means, as `7.*` does, and that none of `excluded` does."""

    def is_meant(case: str, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(case, pattern) for pattern in patterns)

    return {case for case in cases if is_meant(case, patterns) and not is_meant(case, excluded)}


def in_order(cases: Iterable[str]) -> list[str]:
    """Case numbers in their order: 2.9 before 2.10."""
    return sorted(cases, key=lambda case: [int(part) for part in case.split(".")])


def read_report(index: Path, agent: str) -> Outcome:
    """The outcome that Autobahn's `index.json` tells of one agent."""
    report = json.loads(index.read_text())
    return {
        case: (entry["behavior"], entry["behaviorClose"])
        for case, entry in report.get(agent, {}).items()
    }


def load(path: Path) -> dict[Role, Outcome]:
    """The outcome that is expected in each role."""
    expected: dict[Role, Outcome] = {role: {} for role in ROLES}
    for case, verdicts in json.loads(path.read_text()).items():
        for role, (messages, close) in verdicts.items():
            expected[role][case] = (messages, close)
    return expected


def save(path: Path, expected: Mapping[Role, Outcome]) -> None:
    """Writes what `load` reads: a case a line, in the order of their numbers."""
    lines = []
    for case in in_order({case for outcome in expected.values() for case in outcome}):
        verdicts = {role: expected[role][case] for role in ROLES if case in expected[role]}
        lines.append(f"  {json.dumps(case)}: {json.dumps(verdicts)}")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def faults(cases: Iterable[str], expected: Outcome | None, found: Outcome) -> Iterator[str]:
    """A line for each case that was not run, or whose verdict is not good or not the one expected.

    With None for what is expected, every good verdict is right.
    """
    for case in in_order({*cases, *(expected or ()), *found}):
        if case not in found:
            yield f"{case}: missing"
        elif not GOOD.issuperset(found[case]):
            yield f"{case}: {in_words(found[case])}"
        elif expected is not None and case not in expected:
            yield f"{case}: {in_words(found[case])}, nothing was expected"
        elif expected is not None and found[case] != expected[case]:
            yield f"{case}: {in_words(found[case])}, {in_words(expected[case])} was expected"


def tally(found: Outcome) -> str:
    """How often each verdict was given, the most frequent first."""
    counts = Counter(map(in_words, found.values()))
    return ", ".join(f"{count} {words}" for words, count in counts.most_common())


def in_words(verdict: Verdict) -> str:
    """A verdict in one word, if both sides of it are the same."""
    messages, close = verdict
    return messages if messages == close else f"{messages} (close: {close})"
