"""A connection: a channel of messages over a stream and a codec.

There is no reader task: `receive` reads the stream itself, so that TCP's backpressure is the
backpressure. The rules:

1. One read fills `_pending` with all that its bytes complete. What ends the connection (a closing
   frame, the end of the stream) stands there too, last, and takes effect when it is reached: so
   the answers to earlier messages still go out.
2. A violation is raised by the codec only when asked for more than what came before it; so it,
   too, takes effect in its place.
3. One task reads at a time: a `receive`, upkeep's look, or `aclose`. A cancelled read loses
   nothing, since what was read is decoded and kept before the next checkpoint.
4. Each `receive` and `send` is a cancellation point; it is a schedule point at least every 64
   messages or 1 ms, since deadlines are only seen on a pass of the scheduler.
5. While messages of one chunk are being handed out, `send` only adds to the outbox; it is written
   when they are used up, past 64 KiB, or in the scheduler's next pass.
6. Replies to control frames are the same in every draft, so they are here and not in the codecs.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import attrs
import trio

from ._exceptions import ConnectionLost, PeerClosed, PeerViolation
from ._limits import Limits
from ._outbox import ROOM, Outbox
from ._streams import RECEIVE_SIZE, DirectStream, is_secure
from ._upkeep import Upkeep
from .drafts import (
    Close,
    Codec,
    Draft,
    Event,
    Headers,
    RemoteProtocolError,
    Request,
    Response,
    Role,
)

# Deadlines are only seen on a pass of the scheduler.
MESSAGES_PER_PASS = 64
SECONDS_PER_PASS = 0.001
# How much is read ahead for a connection that nobody receives on
LOOK_AHEAD = 65536


@attrs.frozen
class _Ended:
    """The end of a connection, and the error that says so to `receive`."""

    kind: type[PeerClosed | ConnectionLost | PeerViolation]
    facts: tuple[Any, ...] = ()
    cause: BaseException | None = None
    answer: Close | None = None
    """What the peer is told, where the draft has a closing frame."""

    def error(self) -> Exception:
        error = self.kind(*self.facts)
        error.__cause__ = self.cause
        return error


@attrs.define(eq=False)
class _Look:
    """A read of a foreign stream on behalf of upkeep."""

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    over: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False, repr=False, init=False)
class Connection(trio.abc.Channel["str | bytes"]):
    """One side of an open WebSocket connection: a `trio.abc.Channel` of `str` and `bytes`.

    Got from `open_websocket`, `accept`, or as the argument of a server's handler.
    """

    draft: Draft
    """The draft that it speaks."""
    role: Role
    subprotocol: str | None
    """What both sides agreed on."""
    state: Any
    """On a server, what `conn_headers` returned beside the fields."""
    close_sent: Close | None
    """The closing frame that we sent."""
    close_received: Close | None
    """The closing frame that the peer sent, once it was reached."""

    _stream: trio.abc.Stream
    _codec: Codec
    _outbox: Outbox
    _upkeep: Upkeep
    _limits: Limits
    _head: bytes
    # newest first, so that the next one is popped from the end
    _pending: list[Event | _Ended]
    # whether `_pending` holds the last there will ever be
    _heard_all: bool
    _stream_ended: bool
    _end: _Ended | None
    _closed: bool
    _may_send: bool
    _gone: trio.Event | None
    # the scope of a blocked read of a foreign stream
    _reading: trio.CancelScope | bool
    _reader_left: trio.Event | None
    _look: _Look | None
    _read_ahead: int
    _last_heard: float
    _served: int
    _yielded_at: float

    def __init__(
        self,
        *,
        draft: Draft,
        role: Role,
        stream: trio.abc.Stream,
        codec: Codec,
        upkeep: Upkeep,
        limits: Limits,
        head: bytes,
        rest: bytes = b"",
        subprotocol: str | None = None,
        state: Any = None,
    ) -> None:
        """Takes over an open stream whose opening handshake is done.

        Args:
            head: what the peer opened with.
            rest: bytes that came behind the handshake.
        """
        self.draft = draft
        self.role = role
        self.subprotocol = subprotocol
        self.state = state
        self.close_sent = None
        self.close_received = None
        self._stream = stream
        self._codec = codec
        self._outbox = Outbox(stream, upkeep.nursery.start_soon)
        self._upkeep = upkeep
        self._limits = limits
        self._head = head
        self._pending = []
        self._heard_all = False
        self._stream_ended = False
        self._end = None
        self._closed = False
        self._may_send = True
        self._gone = None
        self._reading = False
        self._reader_left = None
        self._look = None
        self._read_ahead = 0
        self._last_heard = trio.current_time()
        self._served = 0
        self._yielded_at = time.perf_counter()
        if rest:
            self._hear(rest)
        upkeep.keep(self)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Connection {self.role} {self.draft.name} {state}>"

    # What the peer said when it opened

    @property
    def line(self) -> bytes:
        """The request line on a server, the status line on a client."""
        return self._head.partition(b"\r\n")[0]

    @property
    def headers(self) -> Headers:
        """The fields that the peer sent; parsed anew at each look."""
        return (Request if self.role == "server" else Response).parse(self._head).headers

    @property
    def request(self) -> Request:
        """On a server, the request that the client opened with.

        Raises:
            AttributeError: this is the client's side; see `response`.
        """
        if self.role != "server":
            raise AttributeError("the client's side of a connection has a response, no request")
        request = Request.parse(self._head)
        return attrs.evolve(request, draft=self.draft, secure=is_secure(self._stream))

    @property
    def response(self) -> Response:
        """On a client, the server's answer.

        Raises:
            AttributeError: this is the server's side; see `request`.
        """
        if self.role != "client":
            raise AttributeError("the server's side of a connection has a request, no response")
        return Response.parse(self._head)

    @property
    def closed(self) -> bool:
        """Whether it has ended, from either side: nothing can be sent any more.

        What the peer did is known once it was reached: by `receive`, `wait_readable`, or, while
        nobody receives, within a few seconds.
        """
        return not self._may_send or self._outbox.failure is not None

    @property
    def text(self) -> TextChannel:
        """The same connection for code that speaks text only."""
        return TextChannel(self)

    # Sending

    async def send(self, message: str | bytes) -> None:
        """Sends one message.

        It waits while 64 KiB are waiting to be written; several senders go in the order in which
        they came. If it is cancelled, the message was not sent. If it returns, the message will be
        sent, in order, or the connection breaks and says so. Always a cancellation point; a
        schedule point at least every 64 messages or 1 ms.

        Args:
            message: text as `str`; `bytes` where the draft has binary messages
                (`connection.draft.binary`).

        Raises:
            LocalProtocolError: the draft cannot say it, as bytes before hybi-01; the connection
                is as good as before.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        await self._breathe()
        outbox = self._outbox
        if not outbox.crowded:
            self._put(message)
            return
        async with outbox.turn():
            self._put(message)

    async def send_close(self, code: int = 1000, reason: str = "") -> None:
        """Says that we send nothing more; `receive` goes on until the peer closes too.

        It goes behind all that was sent, and waits and is cancelled as `send` is. `aclose` still
        has to follow. Under hixie-75, which has no closing frame, our side of TCP ends (where the
        stream can end one side: TLS cannot).

        Args:
            code: the close code, where the draft has codes.
            reason: why, for the peer, where the draft has reasons.

        Raises:
            trio.ClosedResourceError: we closed the connection, or called this before.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        await self._breathe()
        async with self._outbox.turn():
            if not self._may_send or self._outbox.failure is not None:
                raise self._why_not_sendable()
            self._begin_close(Close(code, reason))

    @trio.lowlevel.enable_ki_protection
    def _begin_close(self, close: Close) -> None:
        self._may_send = False
        self._send_close(close)
        if self.role in self.draft.close_ends_stream:
            self._outbox.finish()
        self._outbox.flush()

    @trio.lowlevel.enable_ki_protection
    def _put(self, event: Event) -> None:
        """Encodes and adds to the outbox; writes, unless there is more to be handed out."""
        outbox = self._outbox
        if not self._may_send or outbox.failure is not None:
            raise self._why_not_sendable()
        outbox.put(self._codec.encode(event))
        if self._pending and outbox.size < ROOM:
            if not outbox.late:
                outbox.late = True
                self._upkeep.flush_soon(outbox)
        else:
            outbox.flush()

    def _why_not_sendable(self) -> Exception:
        if self._closed:
            return trio.ClosedResourceError("this connection was closed")
        if self._end is not None:
            error = self._end.error()
            if isinstance(error, PeerClosed):
                return trio.BrokenResourceError(str(error))
            return error
        if not self._may_send:
            return trio.ClosedResourceError("send_close was called on this connection")
        lost = ConnectionLost(str(self._outbox.failure))
        lost.__cause__ = self._outbox.failure
        return lost

    async def _breathe(self) -> None:
        """A cancellation point, and now and then a pass of the scheduler."""
        self._served += 1
        if (
            self._served >= MESSAGES_PER_PASS
            or time.perf_counter() - self._yielded_at > SECONDS_PER_PASS
        ):
            await trio.lowlevel.checkpoint()
            self._note_pass()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()

    def _note_pass(self) -> None:
        self._served = 0
        self._yielded_at = time.perf_counter()

    # Receiving

    async def receive(self) -> str | bytes:
        """Receives one message.

        Cancelling it loses nothing. Always a cancellation point; a schedule point when it must
        wait, and at least every 64 messages or 1 ms.

        Raises:
            PeerClosed: a `trio.EndOfChannel`; the peer ended the connection as the draft says.
            ConnectionLost: a `trio.BrokenResourceError`; it ended in some other way.
            PeerViolation: a `trio.BrokenResourceError`; the peer broke the draft.
            trio.ClosedResourceError: we closed the connection.
            trio.BusyResourceError: another task is receiving.
        """
        await self._wait_for_event()
        if self._end is None:
            event = self._pending.pop()
            if isinstance(event, (str, bytes)):
                return event
            self._reach(event)
        assert self._end is not None
        raise self._end.error()

    async def wait_readable(self) -> None:
        """Waits until `receive` has a whole message, or the end, to tell at once.

        Nothing is consumed; a ping or half a message does not count. A checkpoint in the same way
        as `receive`; cancelling it loses nothing.

        Raises:
            trio.ClosedResourceError: we closed the connection.
            trio.BusyResourceError: another task is receiving.
        """
        await self._wait_for_event()

    @property
    def readable(self) -> bool:
        """Whether `receive` has a whole message, or the end, to tell at once."""
        return bool(self._pending) or self._end is not None

    async def _wait_for_event(self) -> None:
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this connection was closed")
        if self._reading:
            raise trio.BusyResourceError("another task is receiving on this connection")
        if self.readable:
            await self._breathe()
        else:
            self._reading = True
            try:
                await self._read_until_readable()
            finally:
                self._reading = False
                if self._reader_left is not None:
                    self._reader_left.set()
        if self._closed:
            raise trio.ClosedResourceError("this connection was closed")

    async def _read_until_readable(self) -> None:
        await self._end_look()
        self._read_ahead = 0
        while not self.readable and not self._closed:
            self._outbox.flush()
            # A violation behind the messages that were handed out is due now.
            if self._broke_the_draft():
                break
            if isinstance(self._stream, DirectStream):
                await self._read_directly(self._stream)
            else:
                await self._read_foreign()
        else:
            return
        await self._breathe()

    async def _read_directly(self, stream: DirectStream) -> None:
        if not stream.may_have_more:
            try:
                await stream.wait_readable()
            except trio.ClosedResourceError as error:
                # Interrupted by `aclose` or `expire`, which have said why
                if stream.closed and not self._closed:
                    self._lose("the stream was closed", error)
                return
            self._note_pass()
            self._read_nowait(stream)
        else:
            self._read_nowait(stream)
            await self._breathe()

    async def _read_foreign(self) -> None:
        with trio.CancelScope() as self._reading:
            await self._read_and_hear()
        self._note_pass()

    async def _read_and_hear(self) -> None:
        try:
            data = await self._stream.receive_some(RECEIVE_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(str(error) or "the stream broke", error)
        else:
            self._hear(data)

    def _read_nowait(self, stream: DirectStream) -> None:
        try:
            data = stream.receive_nowait()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(str(error), error)
        else:
            if data is not None:
                self._hear(data)

    # What was heard, and what it means

    def _hear(self, data: bytes | bytearray) -> None:
        """Decodes what came and adds it to what is pending; empty data is the stream's end."""
        self._last_heard = trio.current_time()
        self._read_ahead += len(data)
        if not data:
            if self.draft.closing_handshake or self._codec.mid_message:
                self._lose("the peer ended the stream without closing the connection", None)
            else:
                # hixie-75 has no other way to close
                self._stream_ended = True
                self._add([_Ended(PeerClosed)])
            return
        try:
            events = self._codec.decode(data)
        except RemoteProtocolError as violation:
            self._add([_violated(violation)])
            return
        if events:
            self._add(events)

    def _add(self, events: Sequence[Event | _Ended]) -> None:
        # What comes in the same pass as `expire` comes too late.
        if not self._heard_all:
            self._heard_all = isinstance(events[-1], (Close, _Ended))
            self._pending[:0] = reversed(events)

    def _lose(self, reason: str, cause: BaseException | None) -> None:
        self._stream_ended = True
        self._add([_Ended(ConnectionLost, (reason,), cause)])

    def _broke_the_draft(self) -> bool:
        try:
            self._codec.decode(b"")
        except RemoteProtocolError as violation:
            self._add([_violated(violation)])
            return True
        return False

    def _reach(self, event: Event | _Ended) -> None:
        """An end has come to its turn."""
        if isinstance(event, _Ended):
            self._end = event
        else:
            assert isinstance(event, Close)
            self.close_received = event
            facts = (event.code, event.reason)
            self._end = _Ended(PeerClosed, facts, answer=Close(event.code))
        if self._end.answer is not None:
            self._send_close(self._end.answer)
        self._may_send = False
        self._outbox.finish()
        self._outbox.flush()

    def _send_close(self, close: Close) -> None:
        if self.close_sent is None and self.draft.closing_handshake:
            self._outbox.put(self._codec.encode(close))
            self.close_sent = close if self.draft.close_status else Close()

    # What upkeep asks for

    def idle_deadline(self) -> float:
        """When the peer has been silent for `idle_timeout`."""
        return self._last_heard + self._limits.idle_timeout

    def expire(self) -> None:
        """Gives the peer up for having been silent too long."""
        self._last_heard = float("inf")
        if self.closed or self._heard_all:
            return
        reason = f"nothing came from the peer for {self._limits.idle_timeout} s"
        self._add([_Ended(ConnectionLost, (reason,), answer=Close(1001, "idle"))])
        self._reach_if_first()
        self._interrupt_reading()

    def look(self) -> trio.CancelScope | None:
        """Reads what is there, if nobody receives."""
        if self._reading or self._look is not None or self._heard_all or self._closed:
            return None
        if self._read_ahead >= LOOK_AHEAD:
            return None
        if isinstance(self._stream, DirectStream):
            self._read_nowait(self._stream)
            self._reach_if_first()
            return None
        self._look = _Look()
        self._upkeep.nursery.start_soon(self._look_foreign, self._look)
        return self._look.scope

    async def _look_foreign(self, look: _Look) -> None:
        try:
            with look.scope:
                await self._read_and_hear()
                self._reach_if_first()
        finally:
            self._look = None
            look.over.set()

    def _reach_if_first(self) -> None:
        """Acts on an end that no message stands before; the answers to messages go before it."""
        if len(self._pending) == 1 and self._heard_all:
            self._reach(self._pending.pop())

    async def _end_look(self) -> None:
        """Takes the reading over from upkeep's look, whose result is kept."""
        if self._look is not None:
            self._look.scope.cancel()
            await self._look.over.wait()

    def _interrupt_reading(self) -> None:
        if isinstance(self._reading, trio.CancelScope):
            self._reading.cancel()
        elif isinstance(self._stream, DirectStream):
            self._stream.interrupt()

    # Closing

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection, once, within `close_timeout`.

        Sends the closing frame behind all that was sent, waits for the peer's, and closes the
        stream. Messages that still come are dropped; a `receive` elsewhere raises
        `trio.ClosedResourceError` at once. Closing again does nothing, but waits until it is done.
        If it is cancelled, it closes all the same and raises `trio.Cancelled` then. A checkpoint.

        Args:
            code: the close code, where the draft has codes.
            reason: why, for the peer, where the draft has reasons.
        """
        if self._gone is not None:
            await self._gone.wait()
            return
        self._gone = trio.Event()
        self._closed = True
        self._may_send = False
        deadline = trio.current_time() + self._limits.close_timeout
        try:
            with trio.CancelScope(shield=True) as scope:
                scope.deadline = deadline
                await self._close_in_order(Close(code, reason))
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
        finally:
            self._upkeep.forget(self)
            self._gone.set()
        await trio.lowlevel.checkpoint()

    async def _close_in_order(self, close: Close) -> None:
        self._outbox.hurry()
        self._reach_end()
        if self._end is None:
            self._begin_close(close)
        await self._take_reading_over()
        if self._can_be_heard_out():
            # Read while the drain task writes: the peer may be writing until we read.
            while not self._stream_ended and self.close_received is None:
                await self._discard_some()
        await self._outbox.wait_written()
        await self._stream.aclose()

    def _reach_end(self) -> None:
        """Drops the messages that nobody will receive; an end behind them counts."""
        last = self._pending[0] if self._heard_all and self._pending else None
        self._pending.clear()
        if last is not None:
            self._reach(last)

    def _can_be_heard_out(self) -> bool:
        """Whether the peer knows that we are closing, so that waiting for its end makes sense."""
        if self._outbox.failure is not None:
            return False
        half_closed = isinstance(self._stream, trio.abc.HalfCloseableStream)
        return half_closed or self.close_sent is not None

    async def _take_reading_over(self) -> None:
        await self._end_look()
        if self._reading:
            self._reader_left = trio.Event()
            self._interrupt_reading()
            await self._reader_left.wait()

    async def _discard_some(self) -> None:
        """Reads on for the peer's goodbye; closing the socket earlier could make the kernel throw
        away what we sent.
        """
        try:
            data = await self._stream.receive_some(RECEIVE_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._stream_ended = True
            return
        if not data:
            self._stream_ended = True
        elif self._end is None:
            self._hear(data)
            self._reach_end()
        await trio.lowlevel.checkpoint()


def _violated(violation: RemoteProtocolError) -> _Ended:
    code, reason = violation.close_code, violation.reason
    answer = None if code is None else Close(code, reason)
    return _Ended(PeerViolation, (reason, code), answer=answer)


class TextChannel(trio.abc.Channel[str]):
    """A connection's text messages, as `connection.text` gives them."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def send(self, message: str) -> None:
        """As `Connection.send`, for text."""
        if not isinstance(message, str):
            raise TypeError(f"a text channel sends str, not {type(message).__name__}")
        await self.connection.send(message)

    async def receive(self) -> str:
        """As `Connection.receive`; a binary message closes the connection with 1003.

        Raises:
            PeerViolation: a binary message came; and all that `Connection.receive` raises.
        """
        message = await self.connection.receive()
        if isinstance(message, str):
            return message
        # RFC 6455 section 7.4.1: a type of data that cannot be accepted
        await self.connection.aclose(1003, "text only")
        raise PeerViolation("a binary message came on a text channel", 1003)

    async def aclose(self) -> None:
        """As `Connection.aclose`."""
        await self.connection.aclose()
