"""One task for each scope, which looks after the scope's connections.

A scope is what a user enters: `serve_websocket`, `open_websocket` or `accept`. Each owns one
nursery and in it one upkeep task; there is nothing global, and no task for each connection except
while its output is blocked. The rules:

1. The nursery is shielded and ends last, so that what was sent is written and every connection is
   closed in order, however the scope ends. Nothing of ours cancels it while the scope's body runs.
2. Upkeep never awaits a peer: one that stalls cannot delay another.
3. Upkeep never raises for what a peer did.
4. Late flushes: `send` may leave bytes in the outbox while `receive` is handing out messages; they
   are written in the scheduler's next pass at the latest.
5. Looks: a connection that nobody has received on for a few seconds is read without blocking, so
   that pings and a closing frame are answered while a handler sleeps. At most 100 are looked at
   in one pass.
6. Keepalive: a peer that has been silent is pinged, and given up when it stays silent; but never
   while it is us who are not reading.
7. What leaves a scope is what its body raised, unwrapped; a fault of our own is an `InternalError`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

import attrs
import trio

from trio_draftws._exceptions import InternalError

from .instrument import Instruments
from .sender import Outbox

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup

LOOK_INTERVAL = 2.0
LOOKS_PER_PASS = 100
# How long a stream may take to hand over what it has: two for most, more for TLS, whose first
# records are often its own, and for streams made to be difficult.
LOOK_PASSES = 8


class Kept(Protocol):
    """What upkeep needs of a connection."""

    def _deadline(self) -> float:
        """When it is to be attended to, unless the peer is heard from."""
        ...

    def _attend(self) -> None:
        """Its deadline has come: pings the peer, or gives it up."""
        ...

    def _look(self) -> trio.CancelScope | None:
        """Reads what is there, if nobody else does.

        A stream that cannot be read without blocking is read by a task of its own; its scope is
        returned, to be cancelled soon.
        """
        ...


@attrs.define(eq=False)
class Upkeep:
    """The upkeep of one scope; `open_upkeep` starts it."""

    nursery: trio.Nursery
    """For drain tasks, handlers and looks; shielded."""
    instruments: Instruments | None = None
    """Who is told of what happens to the scope's connections."""
    start_soon: Callable[[Callable[[], Awaitable[object]]], None] = attrs.field(init=False)
    """The nursery's: here it is one for all connections."""
    flush_soon: Callable[[Outbox], None] = attrs.field(init=False)
    """Flushes an outbox in the scheduler's next pass."""
    _connections: set[Kept] = attrs.field(factory=set)
    _late: list[Outbox] = attrs.field(factory=list)
    _wake: trio.Event = attrs.field(factory=trio.Event)
    _sleeps: bool = True
    """Whether there was nobody to look after when it last looked."""

    def keep(self, connection: Kept) -> None:
        """Looks after `connection` from now on."""
        self._connections.add(connection)
        if self._sleeps:
            self._wake.set()

    def forget(self, connection: Kept) -> None:
        """Stops looking after `connection`."""
        self._connections.discard(connection)

    def __attrs_post_init__(self) -> None:
        # Python makes a new object each time that one asks for a method.
        self.start_soon = self.nursery.start_soon
        self.flush_soon = self._flush_soon

    def _flush_soon(self, outbox: Outbox) -> None:
        self._late.append(outbox)
        self._wake.set()

    def stop(self) -> None:
        """Ends the scope's nursery, with whatever still runs in it."""
        self.nursery.cancel_scope.cancel()

    async def run(self) -> None:
        """The task itself: flushes at once when woken, looks round now and then."""
        while True:
            # One scope for a whole round, since it may be woken for each chunk that is read.
            with trio.CancelScope() as scope:
                self._sleeps = not self._connections
                if not self._sleeps:
                    scope.deadline = self._next_round()
                while True:
                    await self._wake.wait()
                    self._wake = trio.Event()
                    self._flush_late()
                    if self._sleeps:
                        break
            if scope.cancelled_caught:
                await self._look_round()

    def _flush_late(self) -> None:
        late, self._late = self._late, []
        for outbox in late:
            outbox.late = False
            outbox.flush()

    def _next_round(self) -> float:
        deadlines = (connection._deadline() for connection in self._connections)
        return min(trio.current_time() + LOOK_INTERVAL, *deadlines, float("inf"))

    async def _look_round(self) -> None:
        now = trio.current_time()
        for batch in _batches(list(self._connections), LOOKS_PER_PASS):
            looks: list[trio.CancelScope] = []
            for connection in batch:
                if connection._deadline() <= now:
                    connection._attend()
                else:
                    look = connection._look()
                    if look is not None:
                        looks.append(look)
            # Passes and no deadline, since a mocked clock would never get there.
            for _ in range(LOOK_PASSES if looks else 1):
                await trio.lowlevel.checkpoint()
                self._flush_late()
            for look in looks:
                look.cancel()


def _batches(items: list[Kept], size: int) -> Iterable[list[Kept]]:
    return (items[start : start + size] for start in range(0, len(items), size))


async def _keep_up(
    opened: list[Upkeep], is_open: trio.Event, instruments: Instruments | None
) -> None:
    # A scope of its own round the nursery: shielding the nursery's own would do as well, but only
    # from the moment that it is open.
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            opened.append(Upkeep(nursery, instruments))
            nursery.start_soon(opened[0].run)
            is_open.set()


@asynccontextmanager
async def open_upkeep(instruments: Instruments | None = None) -> AsyncGenerator[Upkeep, None]:
    """A scope's nursery and upkeep; on exit whatever still runs in it is cancelled.

    Raises:
        InternalError: a task of ours failed; the cause says how.
    """
    raised: BaseException | None = None
    try:
        async with trio.open_nursery() as outer:
            try:
                opened: list[Upkeep] = []
                is_open = trio.Event()
                # Not with `outer.start`: cancelled, it would wait for the shielded task for ever.
                outer.start_soon(_keep_up, opened, is_open, instruments)
                with trio.CancelScope(shield=True):
                    await is_open.wait()
                try:
                    yield opened[0]
                finally:
                    opened[0].stop()
            except BaseException as error:  # noqa: BLE001
                raised = error
            # What the body raised is kept and raised outside, so that no group wraps it; the
            # shield keeps a cancellation from being wrapped here as well.
            outer.cancel_scope.shield = True
    except BaseExceptionGroup as group:
        _raise_fault(group)
    if raised is not None:
        raise raised


def _raise_fault(group: BaseExceptionGroup[BaseException]) -> None:
    faults = [error for error in _leaves(group) if not isinstance(error, Exception)]
    if faults:
        # Control-C, or something else that asks the program to end
        raise faults[0] from group
    raise InternalError("a task of trio_draftws failed") from group


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
