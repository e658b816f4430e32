"""What was read from one stream and not yet received.

There is no reader task: whoever waits for a message reads the stream itself, so that TCP's
backpressure is the backpressure. The rules:

1. One read fills `pending` with all that its bytes complete. What ends the connection (a closing
   frame, the end of the stream, a violation) stands there too, last, and takes effect when it is
   reached: so the answers to earlier messages still go out.
2. A codec keeps a violation back until it is asked for more than what came before; so that, too,
   stands in its place. In the same way it keeps back what would inflate to more than is wanted at
   once. While it owes something, nothing else is read.
3. One task reads at a time: whoever waits for a message, upkeep's look, or `aclose`. A cancelled
   read loses nothing, since what was read is decoded and kept before the next checkpoint.
4. A message is given part by part only where somebody waits for that, and then from the moment in
   which its first part is handed over: a wait that is cancelled has changed nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import attrs
import trio

from trio_draftws._exceptions import ConnectionLost, PeerClosed, PeerViolation
from trio_draftws._transport.sockets import RECEIVE_SIZE, DirectStream
from trio_draftws.drafts import Close, Codec, Event, Fragment, Ping, Pong, RemoteProtocolError

from .checkpoints import Pace
from .sender import Outbox

# How much is read ahead for a connection that nobody receives on
LOOK_AHEAD = 65536


@attrs.frozen
class Ended:
    """The end of a connection, and the error that says so to `receive`."""

    kind: type[PeerClosed | ConnectionLost | PeerViolation]
    facts: tuple[Any, ...] = ()
    cause: BaseException | None = None
    answer: Close | None = None
    """What the peer is told, where the draft has a closing frame."""

    def error(self) -> Exception:
        """A new error each time, since one that is raised collects tracebacks."""
        error = self.kind(*self.facts)
        error.__cause__ = self.cause
        return error


_NO_WHOLE_MESSAGE = (Close, Ended, Fragment)


@attrs.define(eq=False)
class _Look:
    """A read of a foreign stream on behalf of upkeep."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)


class Watcher(Protocol):
    """What `Keepalive` is to an inbox."""

    def see(self, event: Ping | Pong) -> None:
        """Sees pings and pongs as soon as they are read."""
        ...

    def stop(self) -> None:
        """Hears that the last there will ever be has come, before it is reached."""
        ...


@attrs.define(eq=False)
class Inbox:
    """Reads one stream, and holds what came until it is received."""

    _stream: trio.abc.Stream
    _codec: Codec
    _outbox: Outbox
    _pace: Pace
    _end_is_close: bool
    """Whether the end of the stream is the draft's close, as in hixie-75."""
    watcher: Watcher | None = None
    """None where the draft has no pings."""
    _direct: DirectStream | None = attrs.field(init=False)
    pending: list[Event | Ended] = attrs.field(factory=list)
    """Newest first, so that the next one is popped from the end."""
    heard_all: bool = False
    """Whether the last there will ever be has come."""
    stream_ended: bool = False
    last_heard: float = attrs.field(factory=trio.current_time)
    bytes_heard: int = 0
    """How many came behind the opening handshake."""
    messages_heard: int = 0
    """How many came whole, whether or not they were received."""
    _stopped: bool = False
    _skipping: bool = False
    """Whether what comes next is the rest of a message that nobody wants."""
    _ahead: int = 0
    """How many bytes came since nothing was pending; of those compressed, what they inflate to."""
    _counted: int = 0
    """How much of what was inflated is counted there."""
    reading: trio.CancelScope | bool = False
    """Whether somebody waits: the scope of a blocked read of a foreign stream, True for others."""
    reader_left: trio.Event | None = None
    """Set when whoever waits has left, for `take_over`."""
    _look: _Look | None = None

    def __attrs_post_init__(self) -> None:
        self._direct = self._stream if isinstance(self._stream, DirectStream) else None

    # For `receive`, `receive_stream` and `wait_readable`

    async def wait(self, *, ready: bool, part: bool = False) -> None:
        """Waits until something is pending, or nothing ever will be; at once where `ready`.

        With `part`, the beginning of a message is enough, and its rest comes part by part.

        Raises:
            trio.BusyResourceError: another task is waiting.
        """
        if self.reading:
            raise trio.BusyResourceError("another task is receiving on this connection")
        self.reading = True
        try:
            if ready or self.pending:
                await self._pace.breathe()
            else:
                await self._read_until_pending(part)
        finally:
            self.reading = False
            if self.reader_left is not None:
                self.reader_left.set()

    def begin_to_wait(self) -> Awaitable[None] | None:
        """What to await for the next bytes, where only those are missing, and then `read_nowait`;
        `reading` and `reader_left` have to be seen to as in `wait`. None where more is to be done.
        """
        stream = self._direct
        if (
            stream is None
            or stream.fileno == -1
            or stream.may_have_more
            or self._look is not None
            or self.heard_all
            or self._stopped
            or self._codec.owes
        ):
            return None
        self._ahead = 0
        if self._outbox.size:
            self._outbox.flush()
        self.reading = True
        return trio.lowlevel.wait_readable(stream.fileno)  # noqa: ASYNC105

    async def _read_until_pending(self, part: bool) -> None:
        await self._end_look()
        self._ahead = 0
        if part:
            # What has come already may be enough.
            await self._pace.breathe()
        while not self._has_event(part) and not self.heard_all and not self._stopped:
            self._outbox.flush()
            # What is behind the messages that were handed out is due now.
            if self._codec.owes:
                self._hear_owed()
                await self._pace.breathe()
            elif self._direct is not None:
                await self._read_directly(self._direct)
            else:
                with trio.CancelScope() as self.reading:
                    await self._read_and_hear()
                self._pace.note_pass()

    def has_come(self) -> bool:
        """Whether anything is pending, or will be for what has been read."""
        while self._codec.owes and not (self.pending or self.heard_all or self._stopped):
            self._hear_owed()
        return bool(self.pending)

    def _has_event(self, part: bool) -> bool:
        if part and not self.pending and (begun := self._codec.stream()) is not None:
            self.pending.append(begun)
        return bool(self.pending)

    async def _read_directly(self, stream: DirectStream) -> None:
        if stream.may_have_more:
            self.read_nowait()
            await self._pace.breathe()
            return
        try:
            await stream.wait_readable()
        except trio.ClosedResourceError as error:
            # Interrupted by `aclose` or by an end of our own making, or closed by a stranger
            if stream.closed:
                self._lose("the stream was closed", error)
        else:
            self._pace.note_pass()
            self.read_nowait()

    async def _read_and_hear(self) -> None:
        if self._codec.owes:
            self._hear_owed()
            await trio.lowlevel.checkpoint()
            return
        try:
            data = await self._stream.receive_some(RECEIVE_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(str(error) or "the stream broke", error)
        else:
            self.hear(data)

    def read_nowait(self) -> None:
        """Reads what a stream of our own has now, if anything."""
        stream = self._direct
        assert stream is not None
        place = self._codec.place
        try:
            if place is None:
                data = stream.receive_nowait()
                if data is not None:
                    self.hear(data)
            else:
                size = stream.receive_into_nowait(place)
                if size is not None:
                    self._hear_in_place(size)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(str(error), error)

    # What was heard

    def hear(self, data: bytes | bytearray, *, owed: bool = False) -> None:
        """Decodes what came and adds it to what is pending; empty data is the stream's end, but
        for what is `owed`.
        """
        size = len(data)
        if size:
            self.last_heard = trio.current_time()
            self.bytes_heard += size
        elif not owed:
            self._hear_end()
            return
        # What is pending was read ahead; what was received counts no more.
        self._ahead = size + (self._ahead if self.pending else 0)
        try:
            events = self._codec.decode(data)
        except RemoteProtocolError as violation:
            self._note_violation(violation)
        else:
            if self._codec.heard_control and self.watcher is not None:
                events = self._without_control(events, self.watcher)
            if self._codec.inflated:
                self._ahead += self._codec.inflated - self._counted
                self._counted = self._codec.inflated
            if self._skipping:
                events = self._after_skipped(events)
            if events:
                self.add(events)

    def _hear_owed(self) -> None:
        """The same for what the codec has kept back, while it owes something."""
        self.hear(b"", owed=True)

    def _hear_in_place(self, size: int) -> None:
        """The same for the payload of a long frame, which stays where it was read to."""
        if not size:
            self._hear_end()
            return
        self.last_heard = trio.current_time()
        self.bytes_heard += size
        self._ahead += size
        try:
            events = self._codec.fill(size)
        except RemoteProtocolError as violation:
            self._note_violation(violation)
        else:
            if events:
                self.add(events)

    def _hear_end(self) -> None:
        if self._end_is_close and not self._codec.mid_message:
            self.stream_ended = True
            self.add([Ended(PeerClosed)])
        else:
            self._lose("the peer ended the stream without closing the connection", None)

    @staticmethod
    def _without_control(events: list[Event], watcher: Watcher) -> list[Event]:
        """Pings and pongs are no messages, and wait for none."""
        kept: list[Event] = []
        for event in events:
            if isinstance(event, (Ping, Pong)):
                watcher.see(event)
            else:
                kept.append(event)
        return kept

    def take_messages(self) -> list[str | bytes]:
        """All messages that are pending, the oldest first; an end behind them stays."""
        end = 1 if self.heard_all else 0
        taken = self.pending[end:]
        del self.pending[end:]
        taken.reverse()
        return taken  # type: ignore[return-value]

    def skip_message(self) -> None:
        """Drops what is left of a message that was given part by part up to here."""
        while self.pending:
            event = self.pending[-1]
            if not isinstance(event, Fragment):
                return  # an end came before the message's own
            self.pending.pop()
            if event.final:
                return
        self._skipping = not self.heard_all

    def _after_skipped(self, events: list[Event]) -> list[Event]:
        for position, event in enumerate(events):
            if not isinstance(event, Fragment):
                # An end, behind which nothing comes
                return events[position:]
            if event.final:
                self._skipping = False
                self.messages_heard += 1
                return events[position + 1 :]
        return []

    def add(self, events: Sequence[Event | Ended]) -> None:
        """Adds to what is pending, unless the last there will ever be has come."""
        if not self.heard_all:
            count = len(events)
            self.messages_heard += count
            if self.pending or count > 1:
                self.pending[:0] = reversed(events)
            else:
                self.pending.append(events[0])
            if type(events[-1]) in _NO_WHOLE_MESSAGE:
                self._add_no_whole_message(events[-1])

    def _add_no_whole_message(self, last: Event | Ended) -> None:
        if isinstance(last, Fragment):
            # Only the last of what was heard can be one that others follow.
            self.messages_heard -= not last.final
            return
        self.messages_heard -= 1
        self.heard_all = True
        if self.watcher is not None:
            self.watcher.stop()

    def _lose(self, reason: str, cause: BaseException | None) -> None:
        self.stream_ended = True
        self.add([Ended(ConnectionLost, (reason,), cause)])

    def _note_violation(self, violation: RemoteProtocolError) -> None:
        code, reason = violation.close_code, violation.reason
        answer = None if code is None else Close(code, reason)
        self.add([Ended(PeerViolation, (reason, code), answer=answer)])

    # For upkeep

    @property
    def full(self) -> bool:
        """Whether no more is read ahead: what the peer says now is not heard."""
        return bool(self.pending) and self._ahead >= LOOK_AHEAD

    def look(self, nursery: trio.Nursery, act: Callable[[], None]) -> trio.CancelScope | None:
        """Reads what is there, if nobody else does, and lets `act` see to it.

        A foreign stream is read by a task in `nursery`, whose scope is returned.
        """
        if not self._may_be_read_ahead():
            return None
        if self._direct is not None:
            goes_on = True
            while goes_on and self._may_be_read_ahead():
                if self._codec.owes:
                    self._hear_owed()
                else:
                    self.read_nowait()
                    goes_on = self._direct.may_have_more or self._codec.owes
            act()
            return None
        self._look = _Look()
        nursery.start_soon(self._read_ahead_for, self._look, act, lambda: False)
        return self._look.scope

    def read_ahead(
        self, nursery: trio.Nursery, act: Callable[[], None], goes_on: Callable[[], bool]
    ) -> None:
        """Reads in a task of its own while `goes_on`, until somebody else wants to read."""
        if self._may_be_read_ahead():
            self._look = _Look()
            nursery.start_soon(self._read_ahead_for, self._look, act, goes_on)

    def _may_be_read_ahead(self) -> bool:
        being_read = self.reading or self._look is not None
        return not (being_read or self.heard_all or self._stopped or self.full)

    async def _read_ahead_for(
        self, look: _Look, act: Callable[[], None], goes_on: Callable[[], bool]
    ) -> None:
        try:
            with look.scope:
                await self._read_and_hear()
                act()
                while goes_on() and not self.heard_all and not self.full:
                    await self._read_and_hear()
                    act()
        finally:
            self._look = None
            look.over.set()

    async def _end_look(self) -> None:
        """Takes the reading over from upkeep's look, whose result is kept."""
        if self._look is not None:
            self._look.scope.cancel()
            await self._look.over.wait()

    # For ends of our own making

    def interrupt(self) -> None:
        """Makes whoever waits look again."""
        if isinstance(self.reading, trio.CancelScope):
            self.reading.cancel()
        elif self.reading and self._direct is not None:
            self._direct.interrupt()

    @property
    def is_left_alone(self) -> bool:
        """Whether nobody waits or looks."""
        return self.reading is False and self._look is None

    async def take_over(self) -> None:
        """Makes whoever waits leave, and waits until they have: from now on `aclose` reads."""
        self._stopped = True
        await self._end_look()
        if self.reading:
            self.reader_left = trio.Event()
            self.interrupt()
            await self.reader_left.wait()

    async def discard_some(self, *, decode: bool) -> None:
        """Reads on for the peer's goodbye: a closing frame, if bytes are still to be decoded, or
        the end of the stream.
        """
        if decode and self._codec.owes:
            self._hear_owed()
            await trio.lowlevel.checkpoint()
            return
        try:
            data = await self._stream.receive_some(RECEIVE_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            self.stream_ended = True
        elif decode:
            self.hear(data)
        else:
            self.bytes_heard += len(data)
        await trio.lowlevel.checkpoint()

    def drop_messages(self) -> Event | Ended | None:
        """Forgets the messages that nobody will receive; returns the end behind them, if any."""
        last = self.pending[0] if self.heard_all and self.pending else None
        self.pending.clear()
        return last
