"""A connection: a channel of messages over a stream and a codec.

What its life is made of stands in the protocol object (`drafts/_protocol.py`), who reads in the
receiver, what is written in the sender, and what looks after all of it in the scope. Here is what a
user calls. The rules:

1. Each `receive` and `send` is a cancellation point; each of them is a schedule point at least
   every 64 messages or 1 ms, since deadlines are only seen on a pass of the scheduler.
2. While messages of one chunk are being handed out, `send` only adds to what waits; that is written
   when they are used up, past 64 KiB, or in the scheduler's next pass.
3. `aclose` always closes, once, even when cancelled, within `close_timeout`.
4. A message that is sent part by part keeps its turn until it ends. What was begun can be neither
   taken back nor passed off as whole: where its rest never comes, the connection closes.
5. Once all was said the transport ends, also where a handler takes no notice: the connection stays
   readable, its descriptor does not stay open.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from operator import length_hint
from typing import Any, Literal

import attrs
import trio
from trio.lowlevel import checkpoint_if_cancelled

from trio_draftws._exceptions import ConnectionLost, MessageTooBig, PeerClosed, PeerViolation
from trio_draftws._settings.limits import Limits
from trio_draftws._transport.sockets import DirectStream, TCPStream
from trio_draftws._transport.tls import is_secure
from trio_draftws.drafts import (
    Buffer,
    Close,
    Codec,
    Draft,
    End,
    EndKind,
    Fragment,
    LocalProtocolError,
    NegotiatedParameters,
    Role,
    ShortSend,
    WebSocketProtocol,
    WebSocketURL,
    cannot_say,
)

from .checkpoints import Checkpoints
from .info import ConnectionInfo
from .instrumented_codec import InstrumentedCodec
from .message_stream import MessageStream, gather
from .receiver import NOBODY, RECEIVER, Receiver
from .scope import Scope
from .sender import ROOM, Sender
from .statistics import LOST, ConnectionStatistics, Totals


@attrs.define(eq=False, repr=False, init=False)
class Connection(ConnectionInfo, trio.abc.Channel["str | bytes"]):
    """One side of an open WebSocket connection: a `trio.abc.Channel` of `str` and `bytes`.

    Got from `open_websocket`, `accept`, or as the argument of a server's handler.
    """

    id: int
    """Tells it from all others of this process, in the log and in its repr."""
    opened_at: float
    """When it was opened, as `trio.current_time` tells it."""

    _stream: trio.abc.Stream
    _protocol: WebSocketProtocol
    _sender: Sender
    _receiver: Receiver
    _checkpoints: Checkpoints
    _scope: Scope
    _limits: Limits
    _send_short: ShortSend | None
    _messages_sent: int
    _sending_parts: bool
    _closed: bool
    """Whether `aclose` was called."""
    _is_gone: bool
    """Whether that is done."""
    _gone: trio.Event | None
    """Set then; None while nobody waits for it."""
    _transport_over: trio.Event | None
    """Set when the transport has ended, where that began before `aclose` was called."""
    _on_transport_over: Callable[[], None] | None

    def __init__(
        self,
        *,
        draft: Draft,
        role: Role,
        stream: trio.abc.Stream,
        agreement: NegotiatedParameters,
        scope: Scope,
        limits: Limits,
        head: bytes,
        rest: bytes = b"",
        state: Any = None,
        wildcard: str = "",
        url: WebSocketURL | None = None,
    ) -> None:
        """Takes over an open stream whose opening handshake is done.

        Args:
            agreement: what the opening settled.
            head: what the peer opened with.
            rest: bytes that came behind the handshake.
            wildcard: what of the path the `*` of a route stands for.
            url: on a client, what it was opened at.
        """
        super().__init__(
            draft=draft,
            role=role,
            state=state,
            agreement=agreement,
            head=head,
            secure=is_secure(stream),
            wildcard=wildcard,
            url=url,
        )
        codec = draft.codec(role, limits.max_message_size, agreement)
        instruments = scope.instruments
        if instruments is not None and instruments.hears_frames:
            codec = InstrumentedCodec(codec, self, instruments.tell)
        self.id = next(_ids)
        self.opened_at = scope.now()
        self._stream = stream
        self._scope = scope
        self._limits = limits
        self._sender = Sender(stream, scope.start_soon, scope.flush_soon, self)
        self._protocol = WebSocketProtocol(draft, role, codec, self._sender, limits, self.opened_at)
        self._checkpoints = Checkpoints()
        self._receiver = Receiver(
            stream,
            self._protocol,
            self._sender,
            self._checkpoints,
            scope.now,
            self,
        )
        self._send_short = codec.send_short if type(stream) is TCPStream else None
        self._messages_sent = 0
        self._sending_parts = False
        self._closed = False
        self._is_gone = False
        self._gone = None
        self._transport_over = None
        self._on_transport_over = None
        if instruments is not None:
            self._protocol.on_latency = partial(instruments.tell, "latency_measured", self)
            instruments.tell("connection_opened", self)
        scope.keep(self)
        if rest:
            self._receiver.feed(rest)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Connection {self.id} {self.role} {self.draft.name} {state}>"

    @property
    def closed(self) -> bool:
        """Whether it has ended, from either side: nothing can be sent any more.

        A peer's close counts when it was reached by `receive`, or was answered because nobody
        received: at most a few seconds later.
        """
        return not self._protocol.can_send

    @property
    def close_sent(self) -> Close | None:
        """The closing frame that we sent."""
        return self._protocol.close_sent

    @property
    def close_received(self) -> Close | None:
        """The closing frame that the peer sent, once it was reached or answered."""
        return self._protocol.close_received

    @property
    def closed_by(self) -> Role | None:
        """Who began to close, `"client"` or `"server"`; None before, and where nobody did."""
        return self._protocol.closed_by

    @property
    def text(self) -> TextChannel:
        """The same connection for code that speaks text only."""
        return TextChannel(self)

    # Sending

    @trio.lowlevel.enable_ki_protection
    async def send(self, message: str | Buffer, *, compress: bool | None = None) -> None:
        """Sends one message.

        It waits while 64 KiB are waiting to be written; several senders go in the order in which
        they came. If it is cancelled, the message was not sent. If it returns, the message will be
        sent, in order, or the connection breaks and says so. Always a cancellation point; a
        schedule point at least every 64 messages or 1 ms.

        Args:
            message: text as `str`; `bytes` where the draft has binary messages
                (`connection.draft.binary`). A `bytearray` or `memoryview` will do, and may be
                changed as soon as this returns.
            compress: whether to compress it, where that was agreed to (`connection.compression`);
                by default if it has so many bytes as the `threshold` of the settings.

        Raises:
            LocalProtocolError: the draft cannot say it, as bytes before hybi-01; the connection
                is as good as before.
            TypeError: it is no message; the connection is as good as before.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        if self._checkpoints.send_due():
            await self._checkpoints.schedule_point()
        else:
            await checkpoint_if_cancelled()
        protocol, sender = self._protocol, self._sender
        in_turn = sender.size >= ROOM or sender.waiting_senders > 0
        if in_turn:
            await sender.begin_turn()
        try:
            if not protocol.can_send:
                raise self._why_not_sendable()
            if protocol.unread:
                # There is more to be handed out, and perhaps more to follow.
                sender.write_soon(protocol.codec.encode(message, compress))
            elif (
                self._send_short is None
                or compress
                or sender.size
                or not sender.write_short(self._send_short, message)
            ):
                sender.write(protocol.codec.encode(message, compress))
            if type(message) is not str and sender.size and type(message) is not bytes:
                sender.own()
        finally:
            if in_turn:
                sender.end_turn()
        self._messages_sent += 1

    async def send_many(
        self, messages: Iterable[str | Buffer], *, compress: bool | None = None
    ) -> None:
        """Sends several messages at once: less work for each than with `send`.

        They follow each other, with nobody else's between, and are written together. It waits for
        room once, as `send` does, so all of them may then be waiting to be written. If it is
        cancelled, none was sent. A cancellation point and a schedule point as `send` is.

        Args:
            messages: each as `send` takes it.
            compress: as for `send`.

        Raises:
            LocalProtocolError: the draft cannot say one of them; those before it were sent.
            TypeError: one of them is no message; those before it were sent.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        if isinstance(messages, (str, bytes, bytearray, memoryview)):
            raise TypeError("send_many takes several messages, not one: that is what send is for")
        messages = list(messages)
        await self._checkpoints.before_send()
        if self._sender.must_wait:
            async with self._sender.turn():
                self._put_all(messages, compress)
        else:
            self._put_all(messages, compress)

    async def send_stream(
        self,
        parts: AsyncIterable[str] | AsyncIterable[bytes],
        *,
        compress: bool | None = None,
    ) -> None:
        """Sends one message part by part, each as soon as `parts` gives it.

        The parts are its fragments, whose limits mean nothing to the peer. A draft without
        fragments (`connection.draft.fragments`) sends one frame when all parts are there. Other
        senders wait until the message has ended, pings do not. Nothing is sent where there are no
        parts. A checkpoint.

        If the connection ends while it waits for the next part, that wait is cancelled, and it
        raises what says why.

        If it is cancelled, or `parts` raises, before the first part, nothing was sent. After that
        the message can be neither taken back nor ended: the connection then closes with 1011, so
        that the peer does not take it for whole.

        Args:
            parts: all `str` or all `bytes`. An async generator is closed at the end.
            compress: whether to compress it, where that was agreed to; by default it is.

        Raises:
            LocalProtocolError: the draft cannot say it, or the parts are not of one type.
            TypeError: `parts` is no async iterable, or a part is no part of a message.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        if not isinstance(parts, AsyncIterable):
            raise TypeError(f"send_stream takes an async iterable of str or bytes, not {parts!r}")
        async with AsyncExitStack() as stack:
            if isinstance(parts, AsyncGenerator):
                await stack.enter_async_context(aclosing(parts))
            await self._checkpoints.before_send()
            with self._while_sendable():
                if self.draft.fragments:
                    await self._send_fragments(parts, compress)
                elif (message := await gather(parts)) is not None:
                    await self.send(message)

    @contextmanager
    def _while_sendable(self) -> Iterator[None]:
        """Ends the block when nothing can be sent any more: it may wait for something else.

        Raises:
            Exception: what says why that is so.
        """
        if not self._protocol.can_send:
            raise self._why_not_sendable()
        with trio.CancelScope() as scope:
            self._protocol.when_sending_stops(scope.cancel)
            try:
                yield
            finally:
                self._protocol.forget_stop(scope.cancel)
        if scope.cancelled_caught:
            raise self._why_not_sendable()

    async def _send_fragments(
        self, parts: AsyncIterable[str] | AsyncIterable[bytes], compress: bool | None
    ) -> None:
        async with self._sender.turn():
            try:
                async for part in parts:
                    await self._checkpoints.before_send()
                    await self._sender.wait_for_room()
                    self._put_fragment(Fragment(part), compress)
                if self._sending_parts:
                    self._put_fragment(Fragment(part[:0], final=True))
            finally:
                unfinished, self._sending_parts = self._sending_parts, False
                if unfinished and self._protocol.can_send:
                    self._begin_close(_UNFINISHED)

    @trio.lowlevel.enable_ki_protection
    def _put_fragment(self, fragment: Fragment, compress: bool | None = None) -> None:
        if not self._protocol.can_send:
            raise self._why_not_sendable()
        self._write(self._protocol.codec.encode(fragment, compress))
        self._sending_parts = not fragment.final
        self._messages_sent += fragment.final

    async def send_close(self, code: int = 1000, reason: str = "") -> None:
        """Says that we send nothing more; `receive` goes on until the peer closes too.

        It goes behind all that was sent, and waits as `send` does; if it is cancelled, nothing was
        said. A cancellation point and a schedule point as `send` is. `aclose` still has to follow.
        Under hixie-75, which has no closing frame, our side of TCP ends (where the stream can end
        one side: TLS cannot).

        Args:
            code: the close code, where the draft has codes.
            reason: why, for the peer, where the draft has reasons.

        Raises:
            LocalProtocolError: that code or reason cannot be sent; nothing was done.
            TypeError: the code is no number, or the reason no str; nothing was done.
            trio.ClosedResourceError: we closed the connection, or called this before.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        await self._checkpoints.before_send()
        async with self._sender.turn():
            if not self._protocol.can_send:
                raise self._why_not_sendable()
            self._check_close(Close(code, reason))
            self._begin_close(Close(code, reason))

    def _check_close(self, close: Close) -> None:
        """A code that cannot be sent is the caller's mistake: said before anything is done."""
        if isinstance(close.code, bool) or not isinstance(close.code, int):
            raise TypeError(f"a close's code is a number, as 1000, not {close.code!r}")
        if not isinstance(close.reason, str):
            raise TypeError(f"a close's reason is a str, not {close.reason!r}")
        if self.draft.close_status and close != _NORMAL:
            codec = self._protocol.codec
            # To try it is not to send it.
            inner = codec.inner if isinstance(codec, InstrumentedCodec) else codec
            inner.encode(close)

    @trio.lowlevel.enable_ki_protection
    def _begin_close(self, close: Close) -> None:
        self._protocol.send_close(close)

    @trio.lowlevel.enable_ki_protection
    def _put_all(self, messages: list[str | Buffer], compress: bool | None) -> None:
        """As `_put`, for each of them."""
        if not self._protocol.can_send:
            raise self._why_not_sendable()
        encode = self._protocol.codec.encode
        wire: list[Buffer] = []
        left = iter(messages)
        failed = 1
        try:
            for message in left:
                wire += encode(message, compress)
            failed = 0
        finally:
            self._messages_sent += len(messages) - length_hint(left) - failed
            self._write(wire)
            if self._sender.size:
                self._sender.own()

    def _write(self, wire: list[Buffer]) -> None:
        """Writes it now, or together with what follows while more is to be handed out."""
        if self._protocol.unread:
            self._sender.write_soon(wire)
        else:
            self._sender.write(wire)

    def _why_not_sendable(self) -> Exception:
        if self._closed:
            return trio.ClosedResourceError("this connection was closed")
        end = self._protocol.end
        if end is not None and end.kind is not EndKind.CLOSE:
            return _error_of(end)
        if self._sender.failure is not None:
            lost = ConnectionLost(str(self._sender.failure))
            lost.__cause__ = self._sender.failure
            return lost
        if self._protocol.end_applied:
            return trio.BrokenResourceError(str(self._end_error()))
        if not self._protocol.can_send:
            return trio.ClosedResourceError("we have said that we send nothing more")
        # Only a ping is told so early.
        return trio.BrokenResourceError("the peer ended the connection behind unread messages")

    # Receiving

    async def receive(self) -> str | bytes:
        """Receives one message.

        Cancelling it loses nothing. Always a cancellation point; a schedule point when it must
        wait, and at least every 64 messages or 1 ms.

        Raises:
            PeerClosed: a `trio.EndOfChannel`; the peer ended the connection as the draft says.
            ConnectionLost: a `trio.BrokenResourceError`; it ended in some other way.
            PeerViolation: a `trio.BrokenResourceError`; the peer broke the draft.
            MessageTooBig: a `PeerViolation`; a message is longer than `max_message_size`.
            trio.ClosedResourceError: we closed the connection.
            trio.BusyResourceError: another task is receiving.
        """
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise self._end_error() from None

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> str | bytes:
        """Like `receive`, but raises StopAsyncIteration where the peer closed.

        Here is the short way for what is received most: a message that has come already, or that
        the next bytes on a stream of our own complete. The rest is the receiver's.
        """
        receiver = self._receiver
        protocol = self._protocol
        if receiver.owner is NOBODY and protocol.end is None and not receiver.in_parts:
            if protocol.unread:
                if not self._checkpoints.receive_due():
                    await checkpoint_if_cancelled()
                    return protocol.unread.pop()  # type: ignore[return-value]
                await receiver.take_pass()
            elif (readable := receiver.begin_wait()) is not None:
                try:
                    await readable
                    self._checkpoints.note_pass()
                    receiver.read_once()
                except (trio.ClosedResourceError, OSError):
                    pass  # interrupted, or the descriptor is none any more; why is said below
                finally:
                    receiver.end_wait()
            # Others have run, and what was there may be gone.
            unread, end = protocol.unread, self._protocol.end
            if self._receiver.owner is NOBODY:
                if end is None:
                    if unread:
                        return unread.pop()  # type: ignore[return-value]
                elif end.kind is EndKind.CLOSE and not unread:
                    protocol.reach_end(self._scope.now())
                    raise StopAsyncIteration
        self._check_not_in_parts()
        try:
            event = await self._next_event()
        except PeerClosed:
            raise StopAsyncIteration from None
        assert isinstance(event, (str, bytes))
        return event

    async def receive_many(self) -> list[str | bytes]:
        """Receives all messages that are there, one at least: less work for each than `receive`.

        It waits as `receive` does, and returns what one read brought: 16 KiB at most, of which
        256 messages at a time, and the rest of a message that began before. With compression it
        stops once the messages total 64 KiB. Cancelling it loses nothing. A cancellation point
        and a schedule point as `receive` is.

        Raises:
            PeerClosed, ConnectionLost, PeerViolation, trio.ClosedResourceError,
            trio.BusyResourceError: as `receive`, when no message stands before that.
        """
        self._check_not_in_parts()
        await self._wait_for_event()
        messages = self._protocol.take_all(self._scope.now())
        if not messages:
            raise self._reach_end()
        return messages  # type: ignore[return-value]

    @asynccontextmanager
    async def receive_stream(self) -> AsyncGenerator[MessageStream, None]:
        """Receives one message part by part: `async with connection.receive_stream() as parts`.

        Entering waits until a message has begun; `async for part in parts` gives what comes of it.
        What is not taken when the block ends is dropped, and `receive` goes on with the next
        message. Meanwhile nobody else can receive. Memory is taken for what was not yet taken,
        64 KiB, or what 16 KiB inflate to, however long the message is; `max_message_size` bounds
        it all the same. A checkpoint in the same way as `receive`; cancelling it loses nothing
        before the block is entered.

        Raises:
            PeerClosed, ConnectionLost, PeerViolation, trio.ClosedResourceError,
            trio.BusyResourceError: as `receive`, on entering and from the iterator.
        """
        self._check_not_in_parts()
        self._receiver.begin_parts()
        stream: MessageStream | None = None
        try:
            event = await self._next_event(part=True)
            # A message that came at once is its own and only part.
            first = event if isinstance(event, Fragment) else Fragment(event, final=True)
            stream = MessageStream(self._next_fragment, first, isinstance(first.data, str))
            yield stream
        finally:
            self._receiver.end_parts()
            if stream is not None and not stream.has_all:
                self._protocol.skip_parts(self._scope.now())

    async def _next_fragment(self) -> Fragment:
        event = await self._next_event()
        assert isinstance(event, Fragment)
        return event

    async def _next_event(self, *, part: bool = False) -> str | bytes | Fragment:
        """The next message, or part of one.

        Raises:
            Exception: what says that the connection has ended.
        """
        await self._wait_for_event(part=part)
        protocol = self._protocol
        if not protocol.unread:
            raise self._reach_end()
        event = protocol.unread.pop()
        if protocol.end is not None:
            protocol.note_taken(self._scope.now())
        return event

    async def wait_readable(self) -> None:
        """Waits until `receive` has a whole message, or the end, to tell at once.

        Nothing is consumed; a ping or half a message does not count. A checkpoint in the same way
        as `receive`; cancelling it loses nothing.

        Raises:
            trio.ClosedResourceError: we closed the connection.
            trio.BusyResourceError: another task is receiving.
        """
        self._check_not_in_parts()
        await self._wait_for_event()

    @property
    def readable(self) -> bool:
        """Whether `receive` has a whole message, or the end, to return at once."""
        return self._receiver.has_come_already()

    def _check_not_in_parts(self) -> None:
        if self._receiver.in_parts:
            raise trio.BusyResourceError("a message is being received part by part")

    async def _wait_for_event(self, *, part: bool = False) -> None:
        if self._closed:
            await trio.lowlevel.checkpoint()
        else:
            await self._receiver.wait(part=part)
        if self._closed:
            raise trio.ClosedResourceError("this connection was closed")

    def _reach_end(self) -> Exception:
        """All was received: returns what says how the connection has ended."""
        self._protocol.reach_end(self._scope.now())
        return self._end_error()

    def _end_error(self) -> Exception:
        assert self._protocol.end is not None
        return _error_of(self._protocol.end)

    # Pings

    @property
    def latency(self) -> float | None:
        """Seconds that the latest answered ping took; None before the first."""
        return self._protocol.latency

    async def ping(self) -> float:
        """Pings the peer and waits for its answer; returns the round trip in seconds.

        Somebody need not be receiving: what comes meanwhile is kept for `receive`, up to 64 KiB.
        Cancelling it loses nothing. A checkpoint.

        Raises:
            LocalProtocolError: the draft has no pings (`connection.draft.ping`).
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        if not self.draft.ping:
            raise cannot_say(self.draft.name, "pings")
        await self._checkpoints.before_receive()
        # It may go between the fragments of a message, so it waits for no turn.
        await self._sender.wait_for_room()
        protocol = self._protocol
        if not protocol.can_send or protocol.end is not None:
            raise self._why_not_sendable()
        done = trio.Event()
        sent = protocol.ping(self._scope.now(), done.set)
        self._scope.take_turn(self)
        try:
            await done.wait()
        finally:
            protocol.forget_ping(sent)
        if sent.round_trip is None:
            raise self._why_not_sendable()
        return sent.round_trip

    # In numbers

    def statistics(self) -> ConnectionStatistics:
        """What was received and sent up to now, and what waits; also when it has ended."""
        protocol, sender = self._protocol, self._sender
        return ConnectionStatistics(
            opened_at=self.opened_at,
            last_heard=None if math.isinf(protocol.heard_at) else protocol.heard_at,
            messages_received=protocol.messages_received,
            messages_sent=self._messages_sent,
            bytes_received=protocol.bytes_received,
            bytes_sent=sender.written,
            bytes_waiting=sender.size,
            pings_received=protocol.pings_received,
            pings_sent=protocol.pings_sent,
            pongs_received=protocol.pongs_received,
            latency=protocol.latency,
            compression=self.compression,
        )

    @property
    def _totals(self) -> Totals:
        """What a server adds up of it."""
        protocol = self._protocol
        return (
            protocol.messages_received,
            self._messages_sent,
            protocol.bytes_received,
            self._sender.written,
        )

    @property
    def _code(self) -> int | None:
        """The code that was said by whoever closed first, or that it was lost."""
        end = self._protocol.end
        if end is None:
            lost = self._sender.failure is not None
        else:
            lost = end.kind not in (EndKind.CLOSE, EndKind.VIOLATION)
        if lost:
            return LOST
        first = self.close_sent if self.closed_by == self.role else self.close_received
        if first is None and self.draft.closing_handshake:
            return LOST
        return None if first is None else first.code

    @property
    def _lost(self) -> Exception | None:
        """What says that the connection ended without a goodbye, whether anyone received it."""
        end = self._protocol.end
        if self._closed or (end is not None and end.kind is EndKind.CLOSE):
            return None
        return self._sender.failure if end is None else _error_of(end)

    # For the scope

    @property
    def _due(self) -> float:
        return self._protocol.due

    @property
    def _is_over(self) -> bool:
        return self._protocol.end_applied

    def _on_deadline(self) -> bool:
        """Does what is due; returns whether it wants `_on_second_look` soon."""
        full = self._receiver.full
        wants_look = self._protocol.on_deadline(self._scope.now(), full=full)
        self._after_deadline()
        return wants_look

    def _on_second_look(self) -> None:
        """Whoever reads or writes has had time for what had become possible at `_on_deadline`."""
        receiver = self._receiver
        if receiver.may_look and receiver.direct is not None:
            receiver.look_once()
        self._protocol.on_deadline(self._scope.now(), full=receiver.full, looked=True)
        self._after_deadline()

    def _after_deadline(self) -> None:
        if self._protocol.end is not None:
            self._on_end()

    def _on_left_alone(self) -> None:
        """Nobody is found receiving."""
        self._protocol.found_left_alone(self._scope.now())
        self._after_deadline()

    def _on_hang_up(self, *, reset: bool) -> None:
        """The peer has gone, behind bytes that are not read yet."""
        self._receiver.note_hang_up()
        self._protocol.hang_up(self._scope.now(), reset=reset)
        self._scope.hasten(self)

    def _on_waiting(self) -> None:
        """Bytes begin to wait until the peer takes some, or a sender does."""
        self._protocol.note_waiting(self._scope.now(), full=self._receiver.full)
        self._scope.hasten(self)

    def _on_cannot_write(self) -> None:
        self._protocol.cannot_write()

    def _on_receiver_left(self) -> None:
        self._scope.unsettle(self)

    def _on_end(self) -> None:
        """The input has ended, or what was owed for that went out."""
        if not self._protocol.end_applied:
            self._scope.hasten(self)
            self._scope.unsettle(self)
        elif self._sender.failure is not None:
            self._receiver.interrupt()
            self._begin_end_of_transport()
        elif self._receiver.owner is RECEIVER:
            # Whoever receives will notice, and close; if not, there is a deadline.
            self._scope.hasten(self)
        else:
            self._begin_end_of_transport()

    def _begin_end_of_transport(self) -> None:
        """All was said, or can be: frees the descriptor, whatever the handler does."""
        if self._closed or self._transport_over is not None:
            return
        self._transport_over = trio.Event()
        self._sender.stop_waiting()
        if self._sender.failure is not None and isinstance(self._stream, DirectStream):
            self._close_direct(self._stream)
        else:
            self._scope.start_soon(self._end_transport)

    # For broadcast

    @trio.lowlevel.enable_ki_protection
    def _try_send(
        self, encode: Callable[[Codec], list[Buffer]], size: int, limit: int
    ) -> Literal["sent", "dropped", "gone", "unable"]:
        """Puts a message of `size` bytes that `encode` encodes, unless it would have to wait, or
        more than `limit` bytes would then wait for the peer; says what became of it.
        """
        if self.closed:
            return "gone"
        waiting = self._sender.size
        if self._sending_parts or (waiting and waiting + size > limit):
            return "dropped"
        try:
            self._write(encode(self._protocol.codec))
        except LocalProtocolError:
            return "unable"
        self._messages_sent += 1
        return "sent"

    def _abort_slow(self, reason: str) -> None:
        """Ends a connection whose peer is too slow; whoever waits for it is told."""
        self._give_up(reason, Close(1008, "too slow"))

    def _give_up(self, reason: str, answer: Close | None) -> None:
        self._protocol.give_up(reason, answer, self._scope.now())
        self._after_deadline()

    # For whoever relays

    @property
    def _ended(self) -> type[Exception] | None:
        """The kind of error that says how the peer ended, once that was reached."""
        protocol = self._protocol
        if protocol.end is None or protocol.unread:
            return None
        return type(_error_of(protocol.end))

    def _hold_answer(self) -> None:
        """Leaves the peer's close unanswered when it is reached, so that the peer, which may still
        be listening, can be sent more; `_release_answer` or `aclose` has to follow.
        """
        self._protocol.hold_answer(self._scope.now())

    @trio.lowlevel.enable_ki_protection
    def _release_answer(self) -> None:
        """Answers what was left unanswered, and again what is reached from now on."""
        self._protocol.release_answer(self._scope.now())

    # Closing

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Closes the connection, once, within `close_timeout`.

        Sends the closing frame behind all that was sent, waits for the peer's, and closes the
        stream. Messages that still come are dropped; a `receive` elsewhere raises
        `trio.ClosedResourceError` at once. Closing again does nothing, but waits until it is done.
        If it is cancelled, it closes all the same and raises `trio.Cancelled` then. A checkpoint.

        Args:
            code: the close code, where the draft has codes. In the middle of a message of some
                task's `send_stream`, 1011 is said in the place of 1000.
            reason: why, for the peer, where the draft has reasons.

        Raises:
            LocalProtocolError: that code or reason cannot be sent; nothing was done.
            TypeError: the code is no number, or the reason no str; nothing was done.
        """
        if self._closed:
            await self._wait_gone()
            return
        close = Close(code, reason)
        self._check_close(close)
        await self._close_shielded(close)
        await trio.lowlevel.checkpoint()

    async def _close_shielded(self, close: Close) -> None:
        """As `aclose`, but nothing cancels it, and it is a checkpoint only where it has to wait."""
        if self._closed:
            if not self._is_gone:
                with trio.CancelScope(shield=True):
                    await self._wait_gone()
        elif not self._close_at_once():
            if self._sending_parts and close.code == 1000:
                close = _UNFINISHED
            self._closed = True
            self._scope.forget(self)
            try:
                if self._transport_over is None:
                    await self._close(close)
                else:
                    with trio.CancelScope(shield=True):
                        await self._transport_over.wait()
            finally:
                self._note_gone()

    def _close_at_once(self) -> bool:
        """Closes where both sides have said all, so that there is nothing to wait for; else does
        nothing and returns False.
        """
        protocol, receiver, stream = self._protocol, self._receiver, self._stream
        if (
            self._transport_over is not None
            or not protocol.end_applied
            or not self._is_heard_out
            or receiver.owner is not NOBODY
            or not self._sender.idle
            or not isinstance(stream, DirectStream)
        ):
            return False
        self._closed = True
        self._scope.forget(self)
        protocol.start_closing(_NORMAL, self._scope.now())
        self._sender.stop_waiting()
        try:
            self._scope.unwatch(self)
            stream.close(awaited=False)
            self._tell_transport_over()
        finally:
            self._note_gone()
        return True

    def _note_gone(self) -> None:
        self._is_gone = True
        self._receiver.forget_observer()
        self._sender.forget_observer()
        if self._gone is not None:
            self._gone.set()
        if self._scope.instruments is not None:
            self._scope.instruments.tell("connection_closed", self)

    async def _wait_gone(self) -> None:
        """Waits until `aclose`, which was called elsewhere, is done. A checkpoint."""
        if self._is_gone:
            await trio.lowlevel.checkpoint()
            return
        if self._gone is None:
            self._gone = trio.Event()
        await self._gone.wait()

    async def _close(self, close: Close) -> None:
        protocol, receiver, sender = self._protocol, self._receiver, self._sender
        protocol.start_closing(close, self._scope.now())
        sender.stop_waiting()
        if (
            protocol.end is None
            or not self._is_heard_out
            or sender.size
            or receiver.owner is not NOBODY
        ):
            with trio.CancelScope(deadline=protocol.close_at, shield=True):
                await self._end_in_order()
        await self._close_stream()

    async def _end_transport(self) -> None:
        """All was said, and nobody has called `aclose`."""
        deadline = self._scope.now() + self._limits.close_timeout
        try:
            with trio.CancelScope(deadline=deadline, shield=True):
                await self._end_in_order()
        finally:
            await self._close_stream()

    async def _end_in_order(self) -> None:
        receiver = self._receiver
        await receiver.take_over()
        if self._can_be_heard_out():
            # Read while the drain task writes: the peer may be writing until we read.
            while not self._is_heard_out:
                await receiver.discard_some()
                if not self._is_heard_out:
                    # A stream of our own that has more does not wait.
                    await trio.lowlevel.checkpoint()
        await self._sender.wait_written()
        if not isinstance(self._stream, DirectStream):
            await self._stream.aclose()

    @property
    def _is_heard_out(self) -> bool:
        """Whether the peer has said all, so that there is nothing to wait for."""
        return self._receiver.stream_ended or self._protocol.close_received is not None

    def _can_be_heard_out(self) -> bool:
        """Whether the peer knows that we are closing, so that waiting for its end makes sense."""
        if self._sender.failure is not None:
            return False
        half_closed = isinstance(self._stream, trio.abc.HalfCloseableStream)
        return half_closed or self.close_sent is not None

    def _when_transport_over(self, do: Callable[[], None]) -> None:
        """Calls `do` once, when the stream is closed."""
        if self._transport_over is not None and self._transport_over.is_set():
            do()
        else:
            self._on_transport_over = do

    async def _close_stream(self) -> None:
        if isinstance(self._stream, DirectStream):
            self._close_direct(self._stream)
        else:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
            self._tell_transport_over()

    def _close_direct(self, stream: DirectStream) -> None:
        self._scope.unwatch(self)
        stream.close()
        self._tell_transport_over()

    def _tell_transport_over(self) -> None:
        if self._transport_over is not None:
            self._transport_over.set()
        if self._on_transport_over is not None:
            self._on_transport_over()
            self._on_transport_over = None


def _error_of(end: End) -> Exception:
    """A new error each time, since one that is raised collects tracebacks."""
    error: Exception
    if end.kind is EndKind.CLOSE:
        error = PeerClosed() if end.close is None else PeerClosed(end.close.code, end.close.reason)
    elif end.kind is EndKind.VIOLATION:
        kind = MessageTooBig if end.too_big else PeerViolation
        error = kind(end.reason, None if end.answer is None else end.answer.code)
    else:
        error = ConnectionLost(end.reason)
    error.__cause__ = end.cause
    return error


_NORMAL = Close(1000)
_UNFINISHED = Close(1011, "a message was left unfinished")
_ids = itertools.count(1)


class TextChannel(trio.abc.Channel[str]):
    """A connection's text messages, as `connection.text` gives them."""

    __slots__ = ("connection",)

    connection: Connection

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
