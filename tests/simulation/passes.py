"""Counts the scheduler's passes in which nothing happens: no program gets on, no time goes by."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import trio
import trio.testing

# A look, a deadline, and the closing of four connections take some dozens.
MOST = 2000


@attrs.define(eq=False)
class Passes(trio.abc.Instrument):
    """Tells where something spins, and lets time go by then, so that it may end."""

    clock: trio.testing.MockClock
    moved: Callable[[], int]
    """How many bytes have moved so far, as far as that can be seen."""
    tell: Callable[[str], None]
    total: int = 0
    idle: int = 0
    spun: bool = False
    _now: float = 0
    _moved_then: int = 0

    def progress(self) -> None:
        self.idle = 0

    def before_io_wait(self, timeout: float) -> None:
        self.total += 1
        self.idle += 1
        now = trio.current_time()
        if now != self._now:
            self._now = now
            self.idle = 0
        elif self.idle >= MOST:
            self.idle = 0
            moved = self.moved()
            if moved != self._moved_then:
                self._moved_then = moved
                return
            if not self.spun:
                self.spun = True
                self.tell(f"{MOST} passes of the scheduler at {now:.3f} s")
            # It does not go by of itself while a task runs.
            jump = trio.lowlevel.current_statistics().seconds_to_next_deadline
            self.clock.jump(max(0.001, jump) if jump < math.inf else 1)
