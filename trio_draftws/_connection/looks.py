"""How connections that nobody receives on are read all the same: in turns, in rounds, by an epoll.

The rules:

1. A connection that nobody receives on is watched, so that pings and a close are answered at
   once: from the pass after it opened, and then from a *round*, every quarter of a second, which
   finds those that nobody receives on any more. Where somebody waits for a message and none comes,
   there is nothing to be found: such a connection is left out of the rounds until its receiver
   leaves, and without anyone to look at there are no rounds.
2. It is watched by the scope's epoll or kqueue, where the stream is a socket of ours and the scope
   may hold many connections; else by a task that reads.
3. A turn for each connection reads 2 KiB at most, and no more than a millisecond is spent between
   two passes of the scheduler.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Protocol

import attrs
import trio

from trio_draftws._transport.kqueue import HANG_UP, READABLE, RESET, WRITABLE
from trio_draftws._transport.sockets import DirectStream

from .checkpoints import SECONDS_PER_PASS
from .receiver import CLOSER, LOOK, NOBODY, Receiver
from .timers import Timed
from .watch import Watch

# Seconds between two rounds; and for those of whom little is expected
ROUND = 0.25
SLOW_ROUND = 2.0


class Kept(Protocol):
    """What a scope needs of an endpoint."""

    @property
    def id(self) -> int: ...
    @property
    def receiver(self) -> Receiver: ...
    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be read, and the answer to that, if any, was sent."""
        ...

    @property
    def due(self) -> float:
        """When `on_deadline` is to be called, at the latest."""
        ...

    def on_deadline(self) -> bool:
        """Does what is due; returns whether it wants `on_second_look` soon."""
        ...

    def on_second_look(self) -> None:
        """Called when readers and writers have had some passes since `on_deadline`."""
        ...

    def begin_end_of_transport(self) -> None:
        """Frees the descriptor, whatever the program does."""
        ...

    def on_left_alone(self) -> None:
        """Called when nobody is found receiving."""
        ...

    def on_hang_up(self, *, reset: bool) -> None:
        """Called when the peer has gone, behind bytes that are not read yet."""
        ...


@attrs.define(eq=False)
class Round:
    """Connections that are looked at together, after some time."""

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
        """Returns all of them, if the round has come, and empties it."""
        if now < self.at:
            return ()
        members, self.members, self.at = self.members, {}, math.inf
        return members.values()


@attrs.define(eq=False, kw_only=True)
class Looks:
    """Which connections of a scope are looked at, and when."""

    _nursery: trio.Nursery
    """For tasks that read."""
    _is_kept: Callable[[Kept], bool]
    """Whether the scope still looks after a connection."""
    _wake: Callable[[], None]
    """Called to have `give_turns` called in the scheduler's next pass."""
    _sleep_until: Callable[[float], None]
    """Called with the moment of the next round."""
    _watch: Watch[Kept] | None = attrs.field(init=False)
    _round: Round = attrs.field(factory=lambda: Round(ROUND), init=False)
    _slow_round: Round = attrs.field(factory=lambda: Round(SLOW_ROUND), init=False)
    _turns: list[Kept] = attrs.field(factory=list, init=False)
    """Who has a turn in the next pass."""
    many: bool
    """Whether there may be many connections, so that an epoll pays."""

    def __attrs_post_init__(self) -> None:
        self._watch = Watch(self._nursery, self._attend) if self.many else None

    @property
    def next(self) -> float:
        """When the next round comes; `math.inf` if there is none."""
        return min(self._round.at, self._slow_round.at)

    def due(self, now: float) -> Iterator[Kept]:
        """Yields the connections whose round has come; `settle` then looks at each."""
        yield from self._round.take(now)
        yield from self._slow_round.take(now)

    def forget(self, connection: Timed) -> None:
        """Leaves `connection`, which is being closed, out of the rounds."""
        self._round.discard(connection)
        self._slow_round.discard(connection)

    def unwatch(self, stream: DirectStream) -> None:
        """Stops watching `stream`, which is about to be closed."""
        if self._watch is not None:
            self._watch.discard(stream.fileno)

    def take_turn(self, connection: Kept) -> None:
        """Looks at `connection` in the scheduler's next pass."""
        if not self._turns:
            self._wake()
        self._turns.append(connection)

    def unsettle(self, connection: Kept) -> None:
        """Has the next round look at `connection`."""
        self._round.add(connection)
        self._sleep_until(self._round.at)

    def _look_later(self, connection: Kept) -> None:
        """Has the next slow round look at `connection`."""
        self._slow_round.add(connection)
        self._sleep_until(self._slow_round.at)

    def give_turns(self) -> None:
        """Looks at each that has a turn; at some in the next pass, if it takes long."""
        began = perf_counter()
        turns, self._turns = self._turns, []
        for done, connection in enumerate(turns, 1):
            self._give_turn(connection)
            if perf_counter() - began > SECONDS_PER_PASS:
                self._turns[:0] = turns[done:]
                self._wake()
                return

    def _give_turn(self, connection: Kept) -> None:
        """Looks at one that opened just now, or that has more inside."""
        if not self._is_kept(connection):
            return  # it closed meanwhile
        receiver = connection.receiver
        if receiver.may_look:
            # A handler may have received what came with the opening, and nothing since.
            connection.on_left_alone()
            self._look_at(connection)
        else:
            self.unsettle(connection)

    def settle(self, connection: Kept) -> None:
        """Looks at a connection whose round has come."""
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
            receiver.start_look(self._nursery)
        elif stream.closed:
            # By other code: the next read says so.
            receiver.look_once()
        elif receiver.has_more and not stream.blocked_by_output:
            connection.on_left_alone()
            receiver.look_once()
            self.take_turn(connection)
        else:
            receiver.note_look()
            flags = WRITABLE if stream.blocked_by_output else READABLE | HANG_UP
            if not self._watch.arm(stream.fileno, connection, flags):
                receiver.start_look(self._nursery)
            elif receiver.has_unread:
                # What is taken of it makes no event.
                self._look_later(connection)

    def _watch_for_hang_up(self, connection: Kept) -> None:
        """Watches a full connection for the end of its peer alone."""
        receiver = connection.receiver
        stream = receiver.direct
        watch = self._watch
        if watch is None or stream is None or receiver.hung_up or not receiver.full:
            return
        if watch.start():
            receiver.note_look()
            watch.arm(stream.fileno, connection, HANG_UP)

    def _attend(self, connection: Kept, flags: int) -> None:
        """Called by the watch when something has come for a connection."""
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
