"""One heap of deadlines for all connections of a scope.

An entry is the earliest moment at which a connection may need attention; when it comes up the
connection is asked, and gets a new one. So a deadline visits nobody but its own connection, and a
message moves none. Entries hold the connection's id and not the connection, which would live on as
long; one that is not the connection's latest is stale, and passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Generic, Protocol, TypeVar

import attrs

# Below so many entries nobody counts how many are stale.
FEW = 64


class Timed(Protocol):
    """What has deadlines."""

    @property
    def id(self) -> int:
        """Unlike that of any other."""
        ...


T = TypeVar("T", bound=Timed)


@attrs.define(eq=False)
class Timers(Generic[T]):
    """When each connection wants attention."""

    _heap: list[tuple[float, int]] = attrs.field(factory=list)
    _entries: dict[int, tuple[float, T]] = attrs.field(factory=dict)

    def add(self, timed: T, at: float) -> None:
        """Remembers `timed`, which wants attention then."""
        self._entries[timed.id] = (math.inf, timed)
        self.set(timed, at)

    def set(self, timed: T, at: float) -> None:
        """Sets when `timed` wants attention, in place of what was set before, if it is known."""
        if timed.id not in self._entries:
            return
        self._entries[timed.id] = (at, timed)
        if at < math.inf:
            heappush(self._heap, (at, timed.id))
        if len(self._heap) > FEW and len(self._heap) > 2 * len(self._entries):
            self._heap = [(at, id_) for id_, (at, _) in self._entries.items() if at < math.inf]
            heapify(self._heap)

    def hasten(self, timed: T, at: float) -> bool:
        """Sets an earlier moment than before; False if it is none, or `timed` is unknown."""
        entry = self._entries.get(timed.id)
        if entry is None or entry[0] <= at:
            return False
        self.set(timed, at)
        return True

    def discard(self, timed: Timed) -> None:
        """Forgets `timed`."""
        self._entries.pop(timed.id, None)

    def __contains__(self, timed: T) -> bool:
        """Whether `timed` is remembered."""
        return timed.id in self._entries

    def __len__(self) -> int:
        """How many are remembered."""
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
        """Each whose moment has come, once; it has to be given a new one."""
        while self.next <= now:
            _, id_ = heappop(self._heap)
            timed = self._entries[id_][1]
            # Until it is given a new one
            self._entries[id_] = (math.inf, timed)
            yield timed
