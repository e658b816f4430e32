"""How often a connection lets others run."""

from __future__ import annotations

from time import perf_counter

import attrs
import trio

# Deadlines are only seen on a pass of the scheduler.
MESSAGES_PER_PASS = 64
SECONDS_PER_PASS = 0.001


@attrs.define(eq=False)
class Pace:
    """Makes each step of a connection a cancellation point, and some a pass of the scheduler.

    A pass costs more than a small message, so there is one at least every 64 steps or 1 ms.
    """

    _steps: int = 0
    _passed_at: float = attrs.field(factory=perf_counter)

    async def breathe(self) -> None:
        """A cancellation point, and a pass of the scheduler when one is due."""
        self._steps += 1
        if self._steps >= MESSAGES_PER_PASS or perf_counter() - self._passed_at > SECONDS_PER_PASS:
            await trio.lowlevel.checkpoint()
            self.note_pass()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()

    def note_pass(self) -> None:
        """Says that the scheduler has just made a pass."""
        self._steps = 0
        self._passed_at = perf_counter()
