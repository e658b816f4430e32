"""Who reads one stream, and when: what was read stands in the protocol object until it is received.

Whoever waits for a message reads the stream itself, so that TCP's backpressure is the backpressure.
A connection that nobody receives on is read a little now and then, so that pings and a goodbye are
answered. The rules:

1. One owner at a time reads: NOBODY, a RECEIVER, a LOOK (a task of the scope, for streams that are
   not ours and for scopes of one connection), or the CLOSER, for good. Who wants to read becomes
   the owner at once, makes the former one leave, and reads when that has left. A scope's watch
   reads between two awaits where NOBODY does, and owns nothing.
2. A cancelled read loses nothing: what was read is decoded and kept before the next checkpoint.
3. While the codec has more output, nothing else is read.
4. No more is read ahead than 64 KiB of messages, counted as the memory that they take, and the one
   that ends behind that.
5. A message is given in parts only where somebody waits for parts, and from the moment in which its
   first part is handed over: a wait that is cancelled has changed nothing.
6. The end of an input that nobody had to be asked for (`protocol.end`) is as good as a message:
   what waits for one ends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import Enum
from sys import getsizeof

import attrs
import trio

from trio_draftws._transport.sockets import (
    RECEIVE_SIZE,
    DirectStream,
    TCPStream,
    as_trio_error,
    without_frames,
)
from trio_draftws.drafts import Event, Fragment, ShortReceive, WebSocketProtocol

from .checkpoints import Checkpoints
from .observers import NOBODY_OBSERVES, ReceiverObserver
from .sender import Sender

# How much memory messages take that nobody receives, before nothing more is read
LOOK_AHEAD = 65536
# How much is read at once to where it will stay: as much as has come, but others want their turn.
LONG_READ = 262144
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


@attrs.define(eq=False, weakref_slot=False)
class Receiver:
    """Reads one stream into the protocol object."""

    stream: trio.abc.Stream
    _protocol: WebSocketProtocol
    _sender: Sender
    _checkpoints: Checkpoints
    _now: Callable[[], float]
    """As `trio.current_time`, only faster."""
    _observer: ReceiverObserver
    owner: Owner = NOBODY
    in_parts: bool = False
    """Whether a message is being received part by part."""
    stream_ended: bool = False
    known_to_wait: bool = False
    """Whether the scope is told when a receiver leaves."""
    _bytes_at_look: int = -1
    """How many bytes had been received when the scope looked last."""
    hung_up: bool = False
    """Whether the peer has gone behind bytes that were not read."""
    direct: DirectStream | None = attrs.field(init=False)
    """The stream, if it is one of our own."""
    _receive_short: ShortReceive | None = attrs.field(init=False)
    _read_scope: trio.CancelScope | None = None
    """That of a receiver's blocked read of a foreign stream."""
    _left: trio.Event | None = None
    """Set when the receiver has left, for the closer."""
    _look: _Look | None = None
    _full_at: int = -1
    """How many messages had been handed out when those left were found to be enough."""

    def __attrs_post_init__(self) -> None:
        self.direct = self.stream if isinstance(self.stream, DirectStream) else None
        plain = type(self.stream) is TCPStream
        self._receive_short = self._protocol.codec.receive_short if plain else None

    # For whoever receives

    async def wait(self, *, part: bool = False) -> None:
        """Waits until something is unread, or the input has ended.

        With `part`, the beginning of a message is enough.

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
        """Whether there is something to receive."""
        protocol = self._protocol
        if part and not protocol.unread:
            protocol.begin_parts()
        return bool(protocol.unread) or protocol.end is not None

    def begin_wait(self) -> Awaitable[None] | None:
        """What to await for the next bytes, where only those are missing; `read_once` has to follow
        and then, whatever happens, `end_wait`. None where more is to be done: see `wait`.
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
        """The receiver leaves."""
        if self.owner is RECEIVER:
            # A look that is still leaving leaves as the owner.
            self.owner = NOBODY if self._look is None else LOOK
        if self._left is not None:
            self._left.set()
        if self.known_to_wait:
            self.known_to_wait = False
            self._observer.on_receiver_left()

    async def take_pass(self) -> None:
        """A schedule point in which nobody else can begin to receive; for where nobody does."""
        self.owner = RECEIVER
        try:
            await self._checkpoints.schedule_point()
        finally:
            self.end_wait()

    async def _read_some(self) -> None:
        """Waits for bytes and reads once; also returns when it was interrupted."""
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
            # Interrupted, by the closer or by an end of our own making; or closed by a stranger
            if stream.closed:
                self._lose("the stream was closed", error)
        else:
            self._checkpoints.note_pass()
            if self.owner is RECEIVER:
                self.read_once()

    async def _read_foreign(self, most: int) -> None:
        try:
            data = await self.stream.receive_some(most)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(str(error) or "the stream broke", error)
        else:
            self.feed(data)

    # Reading

    def read_once(self, most: int = RECEIVE_SIZE) -> None:
        """Reads what a stream of our own has now, if anything."""
        stream = self.direct
        assert stream is not None
        codec = self._protocol.codec
        try:
            if self._receive_short is not None and codec.between and most == RECEIVE_SIZE:
                # Most of what comes is whole short messages: received and decoded in one step
                messages: list[Event] = []
                received = self._receive_short(stream.fileno, messages)
                if isinstance(received, int) and received:
                    stream.may_have_more = received == RECEIVE_SIZE
                    self._protocol.add_messages(messages, received, self._now())
                    return
                self._note_received(stream, messages, received)
            elif codec.place is None:
                data = stream.receive_nowait(most)
                if data is not None:
                    self._feed(data)
            else:
                if most == RECEIVE_SIZE:
                    most = LONG_READ
                size = stream.receive_into_nowait(codec.place[:most])
                if size is not None:
                    self.stream_ended = not size
                    self._protocol.buffer_updated(size, self._now())
        except OSError as error:
            broken = as_trio_error(error)
            broken.__cause__ = error
            self._note_lost(str(broken), broken)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._note_lost(str(error), error)
        self._tell_end()

    def _note_received(
        self, stream: DirectStream, messages: list[Event], received: int | tuple[int, bytes] | None
    ) -> None:
        """What else comes of receiving short messages: nothing, the end, or more than those."""
        if isinstance(received, tuple):
            size, rest = received
            stream.may_have_more = size == RECEIVE_SIZE
            self._protocol.add_messages(messages, size - len(rest), self._now())
            self._feed(rest)
        elif received is None:
            stream.may_have_more = False
        else:
            self._feed(b"")

    def feed(self, data: bytes | bytearray) -> None:
        """Takes bytes that came, also those behind the opening handshake; none are the end."""
        self._feed(data)
        self._tell_end()

    def _feed(self, data: bytes | bytearray) -> None:
        self.stream_ended = not data
        self._protocol.feed(data, self._now())

    def _feed_rest(self) -> None:
        self._protocol.feed_rest(self._now())
        self._tell_end()

    def _tell_end(self) -> None:
        if self._protocol.end is not None:
            self._observer.on_end()

    def _lose(self, reason: str, cause: BaseException) -> None:
        self._note_lost(reason, cause)
        self._tell_end()

    def _note_lost(self, reason: str, cause: BaseException) -> None:
        self.stream_ended = True
        self._protocol.lose(reason, without_frames(cause), self._now())

    def forget_observer(self) -> None:
        """The connection is over, and wants to know nothing more."""
        self._observer = NOBODY_OBSERVES

    def begin_parts(self) -> None:
        """A message is to be received part by part: nobody else may receive meanwhile."""
        self.in_parts = True

    def end_parts(self) -> None:
        """Whoever received a message part by part is through with it."""
        self.in_parts = False

    # Where nobody receives

    @property
    def full(self) -> bool:
        """Whether nothing more is read before something is taken."""
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
        """Whether there is something to be read where nobody receives."""
        return self.owner is NOBODY and self._protocol.end is None and not self.full

    @property
    def has_more(self) -> bool:
        """Whether there is more inside, of which the descriptor says nothing."""
        stream = self.direct
        inside = stream is not None and (stream.may_have_more or stream.has_buffered)
        return inside or self._protocol.codec.has_more_output

    def note_hang_up(self) -> None:
        """Notes that the peer has gone behind bytes that were not read."""
        self.hung_up = True

    def note_look(self) -> None:
        """Notes that the scope looked at it now, and is to be told when somebody has received."""
        self._bytes_at_look = self._protocol.bytes_received
        self.known_to_wait = True

    @property
    def is_as_at_look(self) -> bool:
        """Whether nothing was read since the scope looked."""
        return self._bytes_at_look == self._protocol.bytes_received

    def settle_waiting(self) -> bool:
        """Whether a receiver has waited since the latest look, and nothing came; the scope is then
        told when it leaves.
        """
        waits = self.is_as_at_look
        self.note_look()
        self.known_to_wait = waits
        return waits

    def look_once(self) -> None:
        """Reads a little of a stream of our own, or takes more of what came."""
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
                    self._protocol.found_left_alone(self._now())
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
        """Whether something is unread, or will be once all that was read is decoded."""
        while self._protocol.codec.has_more_output and not self._has_come(part=False):
            self._feed_rest()
        return self._has_come(part=False)

    # Handing over

    def interrupt(self) -> None:
        """Makes a receiver look again."""
        if self.owner is RECEIVER or self._left is not None:
            if self._read_scope is not None:
                self._read_scope.cancel()
            elif self.direct is not None:
                self.direct.interrupt()

    async def take_over(self) -> None:
        """Makes whoever reads leave, and waits until that has: from now on the closer reads."""
        former, self.owner = self.owner, CLOSER
        if former is RECEIVER:
            self._left = trio.Event()
            self.interrupt()
            await self._left.wait()
            self._left = None
        await self._end_look()

    # For the closer

    async def discard_some(self) -> None:
        """Reads on for the peer's goodbye: its Close, or the end of the stream."""
        decode = self._protocol.end is None
        if decode and self._protocol.codec.has_more_output:
            self._feed_rest()
        else:
            try:
                data = await self.stream.receive_some(RECEIVE_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if decode:
                self.feed(data)
            else:
                self.stream_ended = not data
