"""Looks after the connections of one scope.

A scope is what a user enters: `serve_websocket`, `open_websocket`, `accept` or `reconnecting`; or
what `connect_websocket` runs in a nursery of the user's. Each owns one nursery and in it one task;
there is nothing global, and no task for each connection except while its output is blocked. The
rules:

1. The nursery is shielded and ends last, so that what was sent is written and every connection is
   closed in order, however the scope ends. Nothing of ours cancels it while the scope's body runs.
2. The task never awaits a peer, and never raises for what a peer did.
3. Late flushes: `send` may leave bytes with the sender while `receive` is handing out messages;
   they are written in the scheduler's next pass at the latest.
4. Deadlines stand in one heap, and visit nobody but their own connection. Clients whose request
   has not come wait in a queue beside it: their timeout is one for all, so that whoever came first
   is late first, and none of them needs a cancel scope.
5. What leaves a scope is what its body raised, unwrapped; a fault of our own is an `InternalError`.
   A scope that nobody leaves ends too: see `block.py`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import TypeVar

import attrs
import trio

from trio_draftws._exceptions import InternalError, close_code_after
from trio_draftws._transport.sockets import DirectStream
from trio_draftws.drafts import CloseCode

from .block import ADVICE, BlockNursery
from .checkpoints import SECONDS_PER_PASS
from .looks import Kept, Looks
from .observers import ConnectionInstruments
from .poller import SharedPoller
from .timers import Timed, Timers
from .writer import StreamWriter

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup

T = TypeVar("T")

# How many passes of the scheduler a stream may take to hand over what it has: two for most, more
# for TLS, whose first records are often its own, and for streams made to be difficult.
LOOK_PASSES = 8


@attrs.define(eq=False)
class Scope:
    """The connections of one scope; `open_scope` makes it."""

    nursery: trio.Nursery
    """For drain tasks, handlers and looks; shielded."""
    many: bool
    """Whether it may hold many connections."""
    instruments: ConnectionInstruments | None = None
    """What is called when something happens to a connection."""
    start_soon: Callable[[Callable[[], Awaitable[object]]], None] = attrs.field(init=False)
    """The nursery's: here it is one for all connections."""
    now: Callable[[], float] = attrs.field(init=False)
    """Like `trio.current_time`; the clock is looked up once."""
    flush_soon: Callable[[StreamWriter], None] = attrs.field(init=False)
    """Flushes a writer in the scheduler's next pass."""
    looks: Looks = attrs.field(init=False)
    """Which connections that nobody receives on are looked at."""
    failure: Exception | None = attrs.field(default=None, init=False)
    """What whoever uses its connections gets, if they were closed and not by the program."""
    _timers: Timers[Kept] = attrs.field(factory=Timers, init=False)
    _unopened: dict[DirectStream, float] = attrs.field(factory=dict, init=False)
    """Until when each client's first bytes are waited for, in the order in which they came."""
    _poller: SharedPoller | None = None
    _second_looks: list[Kept] = attrs.field(factory=list)
    _late: list[StreamWriter] = attrs.field(factory=list)
    _wake: trio.Event = attrs.field(factory=trio.Event, init=False)
    _sleep: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Ends when the next deadline or round comes."""

    def __attrs_post_init__(self) -> None:
        # Python makes a new object each time that one asks for a method.
        self.start_soon = self.nursery.start_soon
        self.flush_soon = self._flush_soon
        self.now = trio.lowlevel.current_clock().current_time
        self.looks = Looks(
            nursery=self.nursery,
            many=self.many,
            is_kept=self._timers.__contains__,
            wake=self._wake_up,
            sleep_until=self._sleep_until,
        )
        if self.many:
            self._poller = SharedPoller(self.nursery, self._timers.__len__)

    def keep(self, connection: Kept) -> None:
        """Looks after `connection` from now on."""
        stream = connection.receiver.direct
        if self._poller is not None and stream is not None:
            stream.use_poller(self._poller)
        self._timers.add(connection, connection.due)
        self._sleep_until(connection.due)
        self.looks.take_turn(connection)

    def forget(self, connection: Timed) -> None:
        """Stops looking after `connection`, which is being closed."""
        self._timers.discard(connection)
        self.looks.forget(connection)

    def hasten(self, connection: Kept) -> None:
        """Notes that `connection` is due earlier than it was."""
        if self._timers.hasten(connection, connection.due):
            self._sleep_until(connection.due)

    async def wait_for_first_bytes(self, stream: DirectStream, until: float) -> bool:
        """Waits until `stream` is readable. A checkpoint.

        Args:
            stream: what a client opened, and has sent nothing on yet.
            until: the moment when it is too late; not earlier than that of any who wait already.

        Returns:
            Whether it is readable; False if it is not by then.

        Raises:
            trio.ClosedResourceError: other code has closed it.
        """
        self._unopened[stream] = until
        self._sleep_until(until)
        try:
            await stream.wait_readable()
        except trio.ClosedResourceError:
            if stream not in self._unopened:
                return False
            raise
        finally:
            self._unopened.pop(stream, None)
        return True

    def _take_late(self, now: float) -> Iterator[DirectStream]:
        """Yields the streams whose first bytes are late, once each."""
        while self._unopened:
            stream, until = next(iter(self._unopened.items()))
            if until > now:
                return
            del self._unopened[stream]
            yield stream

    def _sleep_until(self, deadline: float) -> None:
        if deadline < self._sleep.deadline:
            self._sleep.deadline = deadline

    def _flush_soon(self, writer: StreamWriter) -> None:
        self._late.append(writer)
        self._wake.set()

    def _wake_up(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        """Ends the scope's nursery, with whatever still runs in it."""
        self.nursery.cancel_scope.cancel()

    def why_closed(self, otherwise: str = "this connection was closed") -> Exception:
        """Returns a new error for whoever uses what was closed on this side.

        Args:
            otherwise: its text, if the program closed it.
        """
        if self.failure is None:
            return trio.ClosedResourceError(otherwise)
        error = type(self.failure)(*self.failure.args)
        error.__cause__ = self.failure.__cause__
        return error

    def close_code_after(self, error: BaseException) -> int:
        """Returns the code to close its connections with, when its block was left with `error`.

        Where nobody left the block, whoever uses a connection gets a RuntimeError from now on.
        """
        if self.failure is not None:
            # A task of ours failed, which cancelled the block.
            return CloseCode.INTERNAL_ERROR
        outer = self.nursery.parent_task.parent_nursery
        assert outer is not None
        if trio.lowlevel.current_task() is not outer.parent_task:
            self.failure = RuntimeError(
                "the block that opened it was not left by the task that entered it, so it is "
                f"closed: {ADVICE}"
            )
            return CloseCode.GOING_AWAY
        return close_code_after(error)

    # The task

    async def run(self) -> None:
        """Flushes at once when woken, and does what is due."""
        while True:
            # One cancel scope for many wakes: it may be woken for each chunk that is read.
            late = next(iter(self._unopened.values()), math.inf)
            deadline = min(self._timers.next, self.looks.next, late)
            with trio.CancelScope(deadline=deadline) as self._sleep:
                while not self._second_looks:
                    await self._wake.wait()
                    self._wake = trio.Event()
                    self._flush_late()
                    self.looks.give_turns()
            await self._work()

    async def _work(self) -> None:
        """Does what is due for each connection, and then makes a pass of the scheduler."""
        if self._second_looks:
            seconds, self._second_looks = self._second_looks, []
            for _ in range(LOOK_PASSES):
                await self._pass()
            await self._for_each(seconds, self._look_again)
        self.looks.give_turns()
        now = self.now()
        await self._for_each(self._take_late(now), DirectStream.interrupt)
        await self._for_each(self._timers.due(now), self._visit)
        await self._for_each(self.looks.due(now), self.looks.settle)
        await self._pass()

    async def _for_each(self, those: Iterable[T], do: Callable[[T], None]) -> None:
        began = perf_counter()
        for one in those:
            do(one)
            if perf_counter() - began > SECONDS_PER_PASS:
                await self._pass()
                began = perf_counter()

    async def _pass(self) -> None:
        await trio.lowlevel.checkpoint()
        self._flush_late()

    def _flush_late(self) -> None:
        late, self._late = self._late, []
        for writer in late:
            writer.flush_late()

    # What it does for a connection

    def _visit(self, connection: Kept) -> None:
        if connection.on_deadline():
            self._second_looks.append(connection)
        else:
            self._timers.set(connection, connection.due)

    def _look_again(self, connection: Kept) -> None:
        connection.on_second_look()
        self._timers.set(connection, connection.due)


async def _look_after(
    opened: list[Scope], many: bool, instruments: ConnectionInstruments | None
) -> None:
    # A scope of its own round the nursery: shielding the nursery's own would do as well, but only
    # from the moment that it is open.
    with trio.CancelScope(shield=True):
        try:
            async with trio.open_nursery() as nursery:
                opened.append(Scope(nursery, many, instruments))
                await opened[0].run()
        except BaseExceptionGroup as group:
            opened[0].failure = _fault_of(group)
            raise


@asynccontextmanager
async def open_scope(
    instruments: ConnectionInstruments | None = None, *, many: bool = False
) -> AsyncGenerator[Scope, None]:
    """Opens a scope with its nursery and task; on exit, what still runs in it is cancelled.

    Args:
        instruments: called when something happens to a connection; None if there are none.
        many: whether it may hold many connections, as a server's does.

    Raises:
        InternalError: a task of ours failed; the cause says how.
    """
    raised: BaseException | None = None
    try:
        async with BlockNursery() as outer:
            try:
                opened: list[Scope] = []
                # Not with `outer.start`: cancelled, it would wait for the shielded task for ever.
                outer.start_soon(_look_after, opened, many, instruments)
                while not opened:
                    # It runs in the next pass.
                    await trio.lowlevel.cancel_shielded_checkpoint()
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


def what_ends_the_program(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Returns Control-C, or another exception that ends the program, if `group` holds one."""
    no_faults = (Exception, trio.Cancelled)
    return next((error for error in _leaves(group) if not isinstance(error, no_faults)), None)


def _raise_fault(group: BaseExceptionGroup[BaseException]) -> None:
    end = what_ends_the_program(group)
    if end is not None:
        raise end from group
    raise _fault_of(group)


def _fault_of(group: BaseExceptionGroup[BaseException]) -> InternalError:
    fault = InternalError("a task of trio_draftws failed")
    fault.__cause__ = group
    return fault


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
