"""How often a connection lets others run."""

from __future__ import annotations

from time import perf_counter

import attrs
import trio
from trio.lowlevel import checkpoint_if_cancelled

# Deadlines are only seen on a pass of the scheduler.
MESSAGES_PER_PASS = 64
SECONDS_PER_PASS = 0.001


@attrs.define(eq=False)
class Pace:
    """Makes each step of a connection a cancellation point, and some a pass of the scheduler.

    A pass costs more than a small message, so there is one at least every 64 messages received, 64
    sent, or 1 ms.
    """

    received: int = 0
    sent: int = 0
    sent_before: int = 0
    """How many were sent in earlier passes: with `sent`, all that ever were."""
    due_at: float = attrs.field(factory=lambda: perf_counter() + SECONDS_PER_PASS)
    """When the next pass is due, if not before."""

    async def breathe(self) -> None:
        """A cancellation point, and a pass of the scheduler when one is due."""
        self.received += 1
        if self.received >= MESSAGES_PER_PASS or perf_counter() > self.due_at:
            await self.take_a_pass()
        else:
            await checkpoint_if_cancelled()

    async def breathe_out(self) -> None:
        """The same before something is sent whose messages `sent_before` is told of apart."""
        self.sent += 1
        self.sent_before -= 1
        if self.sent >= MESSAGES_PER_PASS or perf_counter() > self.due_at:
            await self.take_a_pass()
        else:
            await checkpoint_if_cancelled()

    async def take_a_pass(self) -> None:
        await trio.lowlevel.checkpoint()
        self.note_pass()

    def note_pass(self) -> None:
        """Says that the scheduler has just made a pass."""
        self.sent_before += self.sent
        self.received = self.sent = 0
        self.due_at = perf_counter() + SECONDS_PER_PASS
