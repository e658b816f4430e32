"""Every sample of a run, and the file that they are kept in.

What people read is made from a `Summary`; what compares two runs needs the samples.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from .task import Sample
from .workloads import Workload

Rounds: TypeAlias = "list[Sample | None]"
"""A sample of each round, for which the server was started anew; None if it failed."""


@attrs.define
class Entry:
    """A peer under a workload."""

    rounds: Rounds = attrs.field(factory=list)
    failed: str | None = None
    """Why a round has no sample."""

    @property
    def samples(self) -> list[Sample]:
        """Those of the rounds that have one."""
        return [sample for sample in self.rounds if sample]


@attrs.define
class Table:
    """A workload, and each peer under it, by name."""

    workload: Workload
    entries: dict[str, Entry] = attrs.field(factory=dict)

    def costs(self, peer: str) -> list[float]:
        """Those of the rounds that have a sample."""
        return [sample.cost for sample in self.entries.get(peer, Entry()).samples]

    def ratios(self, peer: str, base: str) -> list[float]:
        """The cost of one peer divided by that of another, in each round that has both."""
        if peer not in self.entries or base not in self.entries:
            return []
        # If a run was stopped, some peers have one round less.
        pairs = zip(self.entries[peer].rounds, self.entries[base].rounds, strict=False)
        return [one.cost / other.cost for one, other in pairs if one and other and other.cost]


@attrs.define
class Report:
    """All of a run."""

    about: dict[str, str]
    """The machine, and how it was measured."""
    versions: dict[str, str]
    """What was measured, by the peers' names."""
    missing: dict[str, str]
    """Why a peer was not measured, by its name."""
    tables: list[Table]

    def to_json(self) -> dict[str, Any]:
        """What `from_json` takes."""
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Report:
        """What `to_json` returned."""

        def sample(row: dict[str, Any] | None) -> Sample | None:
            return None if row is None else Sample(**row)

        tables = [
            Table(
                Workload(**table["workload"]),
                {
                    name: Entry([sample(row) for row in entry["rounds"]], entry["failed"])
                    for name, entry in table["entries"].items()
                },
            )
            for table in data["tables"]
        ]
        return cls(data["about"], data["versions"], data["missing"], tables)

    @classmethod
    def read(cls, path: Path) -> Report:
        """Reads what `write` wrote.

        Raises:
            ValueError: the file cannot be read, or holds something else.
        """
        try:
            data = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{str(path)!r} holds no results of benchmarks/run") from error
        if isinstance(data, dict) and "rows" in data:
            raise ValueError(f"{str(path)!r} is a summary; this needs what --json wrote")
        try:
            return cls.from_json(data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{str(path)!r} holds no results of benchmarks/run") from error

    def write(self, path: Path) -> None:
        """Writes the file, or replaces the one that is there, all at once."""
        beside = path.with_name(f"{path.name}.part")
        beside.write_text(json.dumps(self.to_json(), indent=1) + "\n", "utf-8")
        beside.replace(path)

    def table(self, workload: str) -> Table | None:
        """The table of the workload with that name."""
        return next((table for table in self.tables if table.workload.name == workload), None)
