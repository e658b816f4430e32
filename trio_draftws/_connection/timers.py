"""One heap of deadlines for all connections of a scope.

An entry is the earliest moment at which a connection may need attention; when it comes, the
connection is visited and gets a new one. So a deadline visits only its own connection, and a
message moves none. Entries hold the connection's id and not the connection, which would otherwise
live as long as they do; one that is not the connection's latest is stale, and skipped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

import attrs

# With no more entries than this, stale ones are left in the heap.
FEW = 64


class Timed(Protocol):
    """What can have a deadline."""

    @property
    def id(self) -> int:
        """Different for each."""
        ...


T = TypeVar("T", bound=Timed)


@attrs.define(eq=False)
class Timers(Generic[T]):
    """When each connection wants attention."""

    _heap: list[tuple[float, int]] = attrs.field(factory=list)
    _entries: dict[int, tuple[float, T]] = attrs.field(factory=dict)

    def add(self, timed: T, at: float) -> None:
        """Adds `timed`, which needs attention at the moment `at`."""
        self._entries[timed.id] = (math.inf, timed)
        self.set(timed, at)

    def set(self, timed: T, at: float) -> None:
        """Changes when `timed` needs attention; does nothing if it was not added."""
        if timed.id not in self._entries:
            return
        self._entries[timed.id] = (at, timed)
        if at < math.inf:
            heappush(self._heap, (at, timed.id))
        if len(self._heap) > FEW and len(self._heap) > 2 * len(self._entries):
            self._heap = [(at, id_) for id_, (at, _) in self._entries.items() if at < math.inf]
            heapify(self._heap)

    def hasten(self, timed: T, at: float) -> bool:
        """Sets `at` if it is earlier than the moment before; returns whether it was."""
        entry = self._entries.get(timed.id)
        if entry is None or entry[0] <= at:
            return False
        self.set(timed, at)
        return True

    def discard(self, timed: Timed) -> None:
        """Removes `timed`, if it is there."""
        self._entries.pop(timed.id, None)

    def __contains__(self, timed: T) -> bool:
        """Whether `timed` was added, and not removed."""
        return timed.id in self._entries

    def __len__(self) -> int:
        """How many were added, and not removed."""
        return len(self._entries)

    @property
    def next(self) -> float:
        """The earliest moment; `math.inf` if there is none."""
        heap = self._heap
        while heap:
            at, id_ = heap[0]
            entry = self._entries.get(id_)
            if entry is not None and entry[0] == at:
                return at
            heappop(heap)
        return math.inf

    def due(self, now: float) -> Iterator[T]:
        """Yields each whose moment has come; the caller then has to `set` a new one."""
        while self.next <= now:
            _, id_ = heappop(self._heap)
            timed = self._entries[id_][1]
            # Until it is given a new one
            self._entries[id_] = (math.inf, timed)
            yield timed
