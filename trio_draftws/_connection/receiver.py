"""Who reads one stream, and when; what was read waits in the protocol object until it is received.

Whoever waits for a message reads the stream itself, so that TCP's backpressure is the backpressure.
A connection that nobody receives on is read a little now and then, so that pings and a close are
answered. The rules:

1. One owner at a time reads: NOBODY, a RECEIVER, a LOOK (a task of the scope, for streams that are
   not ours and for scopes of one connection), or the CLOSER, for good. Whoever wants to read
   becomes the owner at once, makes the former one leave, and reads when that has left. A scope's
   watch reads between two awaits where NOBODY does, and owns nothing.
2. A cancelled read loses nothing: what was read is decoded and kept before the next checkpoint.
3. While the codec has more output, nothing else is read.
4. At most 64 KiB of messages are read ahead, counted as the memory that they take, and the message
   that goes beyond that.
5. A message is given in parts only if somebody waits for parts, and from the moment when its first
   part is handed over: a wait that is cancelled has changed nothing.
6. The end of the input (`protocol.end`) counts as a message: a wait for one ends.
"""

from __future__ import annotations

from collections.abc import Awaitable
from enum import Enum
from sys import getsizeof

import attrs
import trio

from trio_draftws._transport.sockets import RECEIVE_SIZE, DirectStream
from trio_draftws.drafts import Fragment

from .checkpoints import Checkpoints
from .reader import StreamReader
from .sender import Sender

# How much memory messages take that nobody receives, before nothing more is read
LOOK_AHEAD = 65536
# How much is read at once where nobody receives: 16 KiB of pings take 5 ms.
LOOK_SIZE = 2048


class Owner(Enum):
    """Who reads."""

    NOBODY = "nobody"
    RECEIVER = "receiver"
    LOOK = "look"
    CLOSER = "closer"


NOBODY, RECEIVER, LOOK, CLOSER = Owner.NOBODY, Owner.RECEIVER, Owner.LOOK, Owner.CLOSER


@attrs.define(eq=False, weakref_slot=False)
class _Look:
    """A task that reads for a connection that nobody receives on."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False, weakref_slot=False, kw_only=True)
class Receiver(StreamReader):
    """Reads one stream for whoever wants to read it, one at a time."""

    _sender: Sender
    _checkpoints: Checkpoints
    owner: Owner = NOBODY
    in_parts: bool = False
    """Whether a message is being received part by part."""
    known_to_wait: bool = False
    """Whether the observer is called when a receiver leaves."""
    _bytes_at_look: int = -1
    """How many bytes had been received when the scope looked last."""
    hung_up: bool = False
    """Whether the peer has gone behind bytes that were not read."""
    _read_scope: trio.CancelScope | None = None
    """That of a receiver's blocked read of a foreign stream."""
    _left: trio.Event | None = None
    """Set when the receiver has left, for the closer."""
    _look: _Look | None = None
    _full_at: int = -1
    """How many messages had been handed out when those left were found to be enough."""

    # For whoever receives

    async def wait(self, *, part: bool = False) -> None:
        """Waits until a message is unread, or the input has ended; with `part`, a part is enough.

        Raises:
            trio.BusyResourceError: another task is waiting.
        """
        owner = self.owner
        if owner is RECEIVER:
            raise trio.BusyResourceError("another task is receiving on this connection")
        if owner is CLOSER:
            # It reads no messages: there is nothing to wait for.
            await self._checkpoints.before_receive()
            return
        self.owner = RECEIVER
        try:
            await self._end_look()
            if self._protocol.unread or self._protocol.end is not None:
                await self._checkpoints.before_receive()
            while not self._has_come(part=part) and self.owner is RECEIVER:
                await self._read_some()
        finally:
            self.end_wait()

    def _has_come(self, *, part: bool) -> bool:
        """Whether a message, or with `part` a part of one, is unread, or the input has ended."""
        protocol = self._protocol
        if part and not protocol.unread:
            protocol.begin_parts()
        return bool(protocol.unread) or protocol.end is not None

    def begin_wait(self) -> Awaitable[None] | None:
        """Begins to receive, if all that is missing is bytes of a stream of our own.

        Returns:
            What to await for the next bytes, after which `read_once` has to follow and then,
            whatever happens, `end_wait`. None if there is more to do, which `wait` does.
        """
        stream = self.direct
        if (
            stream is None
            or stream.fileno == -1
            or stream.may_have_more
            or stream.blocked_by_output
            or self.owner is not NOBODY
            or self._protocol.codec.has_more_output
        ):
            return None
        if self._sender.size:
            self._sender.flush()
        self.owner = RECEIVER
        return stream.poller.wait_readable(stream.fileno)

    def end_wait(self) -> None:
        """Ends what `begin_wait` began, or a wait: somebody else may receive."""
        if self.owner is RECEIVER:
            # A look that is still leaving leaves as the owner.
            self.owner = NOBODY if self._look is None else LOOK
        if self._left is not None:
            self._left.set()
        if self.known_to_wait:
            self.known_to_wait = False
            self._observer.on_receiver_left()

    async def take_pass(self) -> None:
        """A schedule point in which nobody else can begin to receive; only while nobody does."""
        self.owner = RECEIVER
        try:
            await self._checkpoints.schedule_point()
        finally:
            self.end_wait()

    async def _read_some(self) -> None:
        """Waits for bytes and reads once; returns without, when it was interrupted."""
        self._sender.flush()
        protocol = self._protocol
        if protocol.codec.has_more_output:
            # What is behind the messages that were handed out is due now.
            self._feed_rest()
            await self._checkpoints.before_receive()
        elif self.direct is None:
            with trio.CancelScope() as self._read_scope:
                await self._read_foreign(RECEIVE_SIZE)
            self._read_scope = None
            # A stream that is not ours need not have made a pass.
            await self._checkpoints.before_receive()
        elif self.direct.may_have_more:
            self.read_once()
            await self._checkpoints.before_receive()
        else:
            await self._wait_readable(self.direct)

    async def _wait_readable(self, stream: DirectStream) -> None:
        try:
            await stream.wait_readable()
        except trio.ClosedResourceError as error:
            # Interrupted, by the closer or by an end of our own making; or closed by other code
            if stream.closed:
                self._lose("the stream was closed", error)
        else:
            self._checkpoints.note_pass()
            if self.owner is RECEIVER:
                self.read_once()

    def begin_parts(self) -> None:
        """Notes that a message is being received part by part, while nobody else may receive."""
        self.in_parts = True

    def end_parts(self) -> None:
        """Notes that the message was received, or that its rest is not wanted."""
        self.in_parts = False

    # Where nobody receives

    @property
    def full(self) -> bool:
        """Whether so much is unread that nothing more is read before something is taken."""
        unread = self._protocol.unread
        if not unread:
            return False
        if self._protocol.handed_out == self._full_at:
            return True
        held = sum(map(getsizeof, unread))
        if self.in_parts:
            held += sum(getsizeof(part.data) for part in unread if isinstance(part, Fragment))
        if held < LOOK_AHEAD:
            return False
        self._full_at = self._protocol.handed_out
        return True

    @property
    def has_unread(self) -> bool:
        """Whether there are messages that nobody has received yet."""
        return bool(self._protocol.unread)

    @property
    def input_done(self) -> bool:
        """Whether nothing more is to be read."""
        return self._protocol.end is not None

    @property
    def may_look(self) -> bool:
        """Whether to read although nobody receives."""
        return self.owner is NOBODY and self._protocol.end is None and not self.full

    def note_hang_up(self) -> None:
        """Notes that the peer has gone behind bytes that were not read."""
        self.hung_up = True

    def note_look(self) -> None:
        """Notes that the scope looks at it now, and wants a report when a receiver leaves."""
        self._bytes_at_look = self._protocol.bytes_received
        self.known_to_wait = True

    @property
    def is_as_at_look(self) -> bool:
        """Whether nothing was read since the scope looked."""
        return self._bytes_at_look == self._protocol.bytes_received

    def settle_waiting(self) -> bool:
        """Returns whether a receiver has waited since the latest look, and nothing came. If so, a
        report follows when it leaves.
        """
        waits = self.is_as_at_look
        self.note_look()
        self.known_to_wait = waits
        return waits

    def look_once(self) -> None:
        """Reads a little of a stream of our own, or decodes more of what came."""
        if self._protocol.codec.has_more_output:
            self._feed_rest()
        else:
            self.read_once(LOOK_SIZE)

    def start_look(self, nursery: trio.Nursery) -> None:
        """Reads in a task of its own, until it is full or somebody else wants to read."""
        self.owner = LOOK
        self._look = _Look()
        nursery.start_soon(self._look_on, self._look)

    async def _look_on(self, look: _Look) -> None:
        try:
            with look.scope:
                while self.owner is LOOK and self._protocol.end is None and not self.full:
                    if self._protocol.codec.has_more_output:
                        self._feed_rest()
                    else:
                        await self._read_foreign(LOOK_SIZE)
                    self._protocol.note_nobody_receives(self._now())
                    await trio.lowlevel.checkpoint()
        finally:
            self._look = None
            look.over.set()
            if self.owner is LOOK:
                self.owner = NOBODY
            self._observer.on_receiver_left()

    async def _end_look(self) -> None:
        """Makes a look leave; what it read is kept."""
        if self._look is not None:
            self._look.scope.cancel()
            await self._look.over.wait()

    def has_come_already(self) -> bool:
        """Decodes what was read until a message is unread; returns whether one, or the end, is."""
        while self._protocol.codec.has_more_output and not self._has_come(part=False):
            self._feed_rest()
        return self._has_come(part=False)

    # Handing over

    def interrupt(self) -> None:
        """Makes a receiver that waits look again."""
        if self.owner is RECEIVER or self._left is not None:
            if self._read_scope is not None:
                self._read_scope.cancel()
            elif self.direct is not None:
                self.direct.interrupt()

    def stop(self) -> None:
        """Makes whoever reads leave, without waiting for that."""
        self.interrupt()
        if self._look is not None:
            self._look.scope.cancel()

    async def take_over(self) -> None:
        """Makes whoever reads leave, and waits for that; from now on only the closer reads."""
        former, self.owner = self.owner, CLOSER
        if former is RECEIVER:
            self._left = trio.Event()
            self.interrupt()
            await self._left.wait()
            self._left = None
        await self._end_look()
