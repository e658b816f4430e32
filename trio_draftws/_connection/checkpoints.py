"""How often a connection lets others run."""

from __future__ import annotations

from time import perf_counter

import attrs
import trio
from trio.lowlevel import checkpoint_if_cancelled

# Deadlines are only seen on a pass of the scheduler.
MESSAGES_PER_PASS = 64
SECONDS_PER_PASS = 0.001


@attrs.define(eq=False, weakref_slot=False)
class Checkpoints:
    """Makes each step of a connection a cancellation point, and some a schedule point.

    A pass of the scheduler costs more than a small message, so there is one at least every 64
    receives, 64 sends, or 1 ms. What runs for each message calls `receive_due` or `send_due`
    itself, which saves a coroutine.
    """

    _receives: int = 0
    _sends: int = 0
    _due_at: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._due_at = perf_counter() + SECONDS_PER_PASS

    def receive_due(self) -> bool:
        """Counts a receive; returns whether it has to be a schedule point."""
        self._receives += 1
        return self._receives >= MESSAGES_PER_PASS or perf_counter() > self._due_at

    def send_due(self) -> bool:
        """Counts a send; returns whether it has to be a schedule point."""
        self._sends += 1
        return self._sends >= MESSAGES_PER_PASS or perf_counter() > self._due_at

    async def before_receive(self) -> None:
        """Counts a receive; a cancellation point, and a schedule point when one is due."""
        if self.receive_due():
            await self.schedule_point()
        else:
            await checkpoint_if_cancelled()

    async def before_send(self) -> None:
        """Counts a send; a cancellation point, and a schedule point when one is due."""
        if self.send_due():
            await self.schedule_point()
        else:
            await checkpoint_if_cancelled()

    async def schedule_point(self) -> None:
        """A cancellation point, and then a pass of the scheduler.

        A cancellation within that pass does not interrupt it, as on Trio's streams: otherwise a
        caller with a timeout shorter than a pass would never get what is there.
        """
        await checkpoint_if_cancelled()
        await trio.lowlevel.cancel_shielded_checkpoint()
        self.note_pass()

    def note_pass(self) -> None:
        """Notes that the scheduler has just made a pass."""
        self._receives = self._sends = 0
        self._due_at = perf_counter() + SECONDS_PER_PASS
