"""What looks after the connections of one scope.

A scope is what a user enters: `serve_websocket`, `open_websocket`, `accept` or `reconnecting`. Each
owns one nursery and in it one task; there is nothing global, and no task for each connection except
while its output is blocked. The rules:

1. The nursery is shielded and ends last, so that what was sent is written and every connection is
   closed in order, however the scope ends. Nothing of ours cancels it while the scope's body runs.
2. The task never awaits a peer, and never raises for what a peer did.
3. Late flushes: `send` may leave bytes with the sender while `receive` is handing out messages;
   they are written in the scheduler's next pass at the latest.
4. A connection that nobody receives on is watched, so that pings and a goodbye are answered at
   once: from the pass after it opened, and then from a *round*, every quarter of a second, which
   finds those that nobody receives on any more. Where somebody waits for a message and none comes,
   there is nothing to be found: such a connection is left out of the rounds until its receiver
   leaves, and without anyone to look at there are no rounds.
5. It is watched by the scope's epoll, where the stream is a socket of ours and the scope may hold
   many connections; else by a task that reads.
6. A turn for each connection reads 2 KiB at most, and no more than a millisecond is spent between
   two passes of the scheduler.
7. Deadlines stand in one heap, and visit nobody but their own connection. Clients whose request
   has not come wait in a queue beside it: their timeout is one for all, so that whoever came first
   is late first, and none of them needs a cancel scope.
8. What leaves a scope is what its body raised, unwrapped; a fault of our own is an `InternalError`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Protocol, TypeVar

import attrs
import trio

from trio_draftws._exceptions import InternalError
from trio_draftws._transport.sockets import DirectStream

from .checkpoints import SECONDS_PER_PASS
from .observers import ConnectionInstruments
from .poller import SharedPoller
from .receiver import CLOSER, LOOK, NOBODY, Receiver
from .sender import Sender
from .timers import Timed, Timers
from .watch import HANG_UP, READABLE, RESET, WRITABLE, Watch

if sys.version_info < (3, 11):  # pragma: no cover
    from exceptiongroup import BaseExceptionGroup

T = TypeVar("T")

# Seconds between two rounds; and for those of whom little is expected
ROUND = 0.25
SLOW_ROUND = 2.0
# How many passes of the scheduler a stream may take to hand over what it has: two for most, more
# for TLS, whose first records are often its own, and for streams made to be difficult.
LOOK_PASSES = 8


class Kept(Protocol):
    """What a scope needs of a connection."""

    @property
    def id(self) -> int: ...
    @property
    def receiver(self) -> Receiver: ...
    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read, and what was owed for that went out."""
        ...

    @property
    def due(self) -> float:
        """When it wants `on_deadline` to be called, or earlier."""
        ...

    def on_deadline(self) -> bool:
        """Does what is due; returns whether it wants `on_second_look` soon."""
        ...

    def on_second_look(self) -> None:
        """Whoever reads or writes has had time since `on_deadline`."""
        ...

    def begin_end_of_transport(self) -> None:
        """Frees the descriptor, whatever the handler does."""
        ...

    def on_left_alone(self) -> None:
        """Nobody receives, and nobody has since it was looked at last."""
        ...

    def on_hang_up(self, *, reset: bool) -> None:
        """The peer has gone, behind bytes that are not read yet."""
        ...


@attrs.define(eq=False)
class Round:
    """Those who are looked at together, after some time."""

    seconds: float
    at: float = math.inf
    members: dict[int, Kept] = attrs.field(factory=dict)
    """By their ids."""

    def add(self, connection: Kept) -> None:
        """Looks at `connection` in the next round."""
        self.members[connection.id] = connection
        if self.at == math.inf:
            self.at = trio.current_time() + self.seconds

    def discard(self, connection: Timed) -> None:
        """Leaves `connection` out, if it is among them."""
        self.members.pop(connection.id, None)

    def take(self, now: float) -> Iterable[Kept]:
        """Those whose round has come."""
        if now < self.at:
            return ()
        members, self.members, self.at = self.members, {}, math.inf
        return members.values()


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
    """As `trio.current_time`, without looking for the run that it is called in each time."""
    flush_soon: Callable[[Sender], None] = attrs.field(init=False)
    """Flushes a sender in the scheduler's next pass."""
    _timers: Timers[Kept] = attrs.field(factory=Timers, init=False)
    _unopened: dict[DirectStream, float] = attrs.field(factory=dict, init=False)
    """Until when each client's first bytes are waited for, in the order in which they came."""
    _watch: Watch[Kept] | None = None
    _poller: SharedPoller | None = None
    _round: Round = attrs.field(factory=lambda: Round(ROUND))
    _slow_round: Round = attrs.field(factory=lambda: Round(SLOW_ROUND))
    _turns: list[Kept] = attrs.field(factory=list)
    """Who has a turn in the next pass."""
    _second_looks: list[Kept] = attrs.field(factory=list)
    _late: list[Sender] = attrs.field(factory=list)
    _wake: trio.Event = attrs.field(factory=trio.Event, init=False)
    _sleep: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Ends when the next deadline or round comes."""

    def __attrs_post_init__(self) -> None:
        # Python makes a new object each time that one asks for a method.
        self.start_soon = self.nursery.start_soon
        self.flush_soon = self._flush_soon
        self.now = trio.lowlevel.current_clock().current_time
        if self.many:
            self._watch = Watch(self.nursery, self._attend)
            self._poller = SharedPoller(self.nursery, self._timers.__len__)

    def keep(self, connection: Kept) -> None:
        """Looks after `connection` from now on."""
        stream = connection.receiver.direct
        if self._poller is not None and stream is not None:
            stream.wait_through(self._poller)
        self._timers.add(connection, connection.due)
        self._sleep_until(connection.due)
        self.take_turn(connection)

    def forget(self, connection: Timed) -> None:
        """Stops looking after `connection`, which is being closed."""
        self._timers.discard(connection)
        self._round.discard(connection)
        self._slow_round.discard(connection)

    def unwatch(self, stream: DirectStream) -> None:
        """Stops watching `stream`, which is about to be closed."""
        if self._watch is not None:
            self._watch.discard(stream.fileno)

    def hasten(self, connection: Kept) -> None:
        """Notes that `connection` is due earlier than it was."""
        if self._timers.hasten(connection, connection.due):
            self._sleep_until(connection.due)

    async def wait_for_first_bytes(self, stream: DirectStream, until: float) -> bool:
        """Waits until `stream` is readable; False if it is not in time. A checkpoint.

        Args:
            until: not earlier than that of anyone who waits already.

        Raises:
            trio.ClosedResourceError: a stranger has closed it.
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
        """Those whose first bytes are late, once each."""
        while self._unopened:
            stream, until = next(iter(self._unopened.items()))
            if until > now:
                return
            del self._unopened[stream]
            yield stream

    def take_turn(self, connection: Kept) -> None:
        """Looks at `connection` in the scheduler's next pass."""
        if not self._turns:
            self._wake.set()
        self._turns.append(connection)

    def unsettle(self, connection: Kept) -> None:
        """Has the next round look at `connection`."""
        self._round.add(connection)
        self._sleep_until(self._round.at)

    def _look_later(self, connection: Kept) -> None:
        """Has the next slow round look at `connection`."""
        self._slow_round.add(connection)
        self._sleep_until(self._slow_round.at)

    def _sleep_until(self, deadline: float) -> None:
        if deadline < self._sleep.deadline:
            self._sleep.deadline = deadline

    def _flush_soon(self, sender: Sender) -> None:
        self._late.append(sender)
        self._wake.set()

    def stop(self) -> None:
        """Ends the scope's nursery, with whatever still runs in it."""
        self.nursery.cancel_scope.cancel()

    # The task

    async def run(self) -> None:
        """Flushes at once when woken, and does what is due."""
        while True:
            # One cancel scope for many wakes: it may be woken for each chunk that is read.
            late = next(iter(self._unopened.values()), math.inf)
            deadline = min(self._timers.next, self._round.at, self._slow_round.at, late)
            with trio.CancelScope(deadline=deadline) as self._sleep:
                while not self._second_looks:
                    await self._wake.wait()
                    self._wake = trio.Event()
                    self._flush_late()
                    self._give_turns()
            await self._work()

    async def _work(self) -> None:
        """One turn for everyone who is due, with a pass of the scheduler behind it."""
        if self._second_looks:
            seconds, self._second_looks = self._second_looks, []
            for _ in range(LOOK_PASSES):
                await self._pass()
            await self._for_each(seconds, self._look_again)
        self._give_turns()
        now = self.now()
        await self._for_each(self._take_late(now), DirectStream.interrupt)
        await self._for_each(self._timers.due(now), self._visit)
        await self._for_each(self._round.take(now), self._settle)
        await self._for_each(self._slow_round.take(now), self._settle)
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
        for sender in late:
            sender.flush_late()

    # What it does for a connection

    def _visit(self, connection: Kept) -> None:
        if connection.on_deadline():
            self._second_looks.append(connection)
        else:
            self._timers.set(connection, connection.due)

    def _look_again(self, connection: Kept) -> None:
        connection.on_second_look()
        self._timers.set(connection, connection.due)

    def _give_turns(self) -> None:
        """One turn for each that has one; for some of them in the next pass, if it takes long."""
        began = perf_counter()
        turns, self._turns = self._turns, []
        for done, connection in enumerate(turns, 1):
            self._give_turn(connection)
            if perf_counter() - began > SECONDS_PER_PASS:
                self._turns[:0] = turns[done:]
                self._wake.set()
                return

    def _give_turn(self, connection: Kept) -> None:
        """Looks at one that opened just now, or that has more inside."""
        if connection not in self._timers:
            return  # it closed meanwhile
        receiver = connection.receiver
        if receiver.may_look:
            # A handler may have received what came with the opening, and nothing since.
            connection.on_left_alone()
            self._look_at(connection)
        elif receiver.owner is not CLOSER:
            self.unsettle(connection)

    def _settle(self, connection: Kept) -> None:
        """Looks at one in a round."""
        receiver = connection.receiver
        if connection.is_over:
            # Whoever received the end has not closed it.
            connection.begin_end_of_transport()
            return
        if receiver.owner is NOBODY:
            connection.on_left_alone()
            if receiver.may_look:
                self._look_at(connection)
            elif receiver.input_done:
                # Until what is owed went out
                self.unsettle(connection)
            else:
                # Until something is taken
                self._look_later(connection)
                self._watch_for_hang_up(connection)
        elif receiver.owner not in (CLOSER, LOOK) and not receiver.settle_waiting():
            self.unsettle(connection)

    def _look_at(self, connection: Kept) -> None:
        """Reads a little where nobody receives, or has that done as soon as something comes."""
        receiver = connection.receiver
        stream = receiver.direct
        if self._watch is None or stream is None or not self._watch.start():
            receiver.start_look(self.nursery)
        elif stream.closed:
            # By a stranger: the next read says so.
            receiver.look_once()
        elif receiver.has_more and not stream.blocked_by_output:
            connection.on_left_alone()
            receiver.look_once()
            self.take_turn(connection)
        else:
            receiver.note_look()
            flags = WRITABLE if stream.blocked_by_output else READABLE
            if not self._watch.arm(stream.fileno, connection, flags):
                receiver.start_look(self.nursery)
            elif receiver.has_unread:
                # What is taken of it makes no event.
                self._look_later(connection)

    def _watch_for_hang_up(self, connection: Kept) -> None:
        """Has a full connection told at least that its peer has gone."""
        receiver = connection.receiver
        stream = receiver.direct
        watch = self._watch
        if watch is None or stream is None or receiver.hung_up or not receiver.full:
            return
        if watch.start():
            receiver.note_look()
            watch.arm(stream.fileno, connection, HANG_UP)

    def _attend(self, connection: Kept, flags: int) -> None:
        """Something has come for a connection that was armed."""
        receiver = connection.receiver
        if receiver.owner is not NOBODY or not receiver.is_as_at_look:
            # Somebody receives, or has in the meantime.
            self.unsettle(connection)
        elif receiver.may_look:
            connection.on_left_alone()
            receiver.look_once()
            self._give_turn(connection)
        elif receiver.full:
            connection.on_hang_up(reset=bool(flags & RESET))


async def _look_after(
    opened: list[Scope], many: bool, instruments: ConnectionInstruments | None
) -> None:
    # A scope of its own round the nursery: shielding the nursery's own would do as well, but only
    # from the moment that it is open.
    with trio.CancelScope(shield=True):
        async with trio.open_nursery() as nursery:
            opened.append(Scope(nursery, many, instruments))
            await opened[0].run()


@asynccontextmanager
async def open_scope(
    instruments: ConnectionInstruments | None = None, *, many: bool = False
) -> AsyncGenerator[Scope, None]:
    """A scope's nursery and task; on exit whatever still runs in it is cancelled.

    Args:
        many: whether it may hold many connections, as a server's does.

    Raises:
        InternalError: a task of ours failed; the cause says how.
    """
    raised: BaseException | None = None
    try:
        async with trio.open_nursery() as outer:
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
    """Control-C, or something else that asks the program to end, where it is in that group."""
    no_faults = (Exception, trio.Cancelled)
    return next((error for error in _leaves(group) if not isinstance(error, no_faults)), None)


def _raise_fault(group: BaseExceptionGroup[BaseException]) -> None:
    end = what_ends_the_program(group)
    if end is not None:
        raise end from group
    raise InternalError("a task of trio_draftws failed") from group


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
