"""Who may add to what waits to be written: senders, in the order in which they come.

The rules, on which `Connection.send` rests:

1. A sender waits for room first, in the order in which it came, with nothing encoded yet. Only
   there can it be cancelled.
2. Then it encodes and writes, with no await between; what was written is never withdrawn.
3. There is room while fewer than 64 KiB wait, so at most 64 KiB and one message ever do.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

from .writer import ROOM, StreamWriter


@attrs.define(eq=False, weakref_slot=False)
class Sender(StreamWriter):
    """The bytes that wait to be written, and whoever waits to add to them."""

    waiting_senders: int = 0
    """How many senders have their turn or wait for it."""
    in_parts: bool = False
    """Whether a message is being sent part by part."""
    _waits_for_nothing: bool = False
    """Whether nobody waits for room any more."""
    _turn: trio.StrictFIFOLock | None = None

    @property
    def must_wait(self) -> bool:
        """Whether a sender has to wait, for room or for its turn."""
        return self.size >= ROOM or self.waiting_senders > 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None, None]:
        """Waits for a turn, first come, first served, and for room; then the block may write.

        Nobody else has a turn before the block ends, so a message can be sent part by part. The
        block is also entered when there will never be room, as after a `failure`.
        """
        await self.begin_turn()
        try:
            yield
        finally:
            self.end_turn()

    async def begin_turn(self) -> None:
        """Waits like `turn`; `end_turn` has to follow."""
        if self._turn is None:
            self._turn = trio.StrictFIFOLock()
        self.waiting_senders += 1
        if self.waiting_senders == 1:
            self._observer.on_waiting()
        try:
            await self._turn.acquire()
            try:
                await self.wait_for_room()
            except BaseException:
                self._turn.release()
                raise
        except BaseException:
            self.waiting_senders -= 1
            raise

    def end_turn(self) -> None:
        """Gives the turn to the next sender."""
        assert self._turn is not None
        self._turn.release()
        self.waiting_senders -= 1

    async def wait_for_room(self) -> None:
        """Waits until there is room, or never will be; the caller has a turn, or needs none."""
        while self.size >= ROOM and not self._waits_for_nothing and self.failure is None:
            await self._wait_for_change()

    def stop_waiting(self) -> None:
        """Ends every wait for room, now and later: the connection is closing."""
        self._waits_for_nothing = True
        self._note_change()

    def begin_parts(self) -> None:
        """Notes that a part of a message was sent, and that others follow."""
        self.in_parts = True

    def end_parts(self) -> None:
        """Notes that the last part was sent, or that no more will be."""
        self.in_parts = False
