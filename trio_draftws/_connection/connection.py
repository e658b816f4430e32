"""A connection: a channel of messages, which is what a user of this package holds.

The work is done below: the protocol object (`drafts/_protocol.py`) keeps the states, the receiver
reads, the sender writes, the endpoint joins them and closes, and the scope looks after all of them.
Here are the public methods, and the short way of a message. The rules:

1. Each `receive` and `send` is a cancellation point; each of them is a schedule point at least
   every 64 messages or 1 ms, since deadlines are only seen on a pass of the scheduler.
2. While messages of one chunk are being handed out, `send` only adds to what waits; that is written
   when they are used up, past 64 KiB, or in the scheduler's next pass.
3. A message that is sent part by part keeps its turn until it ends. What was begun can be neither
   taken back nor passed off as whole: where its rest never comes, the connection closes.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from operator import attrgetter, length_hint
from typing import Any

import attrs
import trio
from trio.lowlevel import checkpoint_if_cancelled

from trio_draftws._exceptions import PeerClosed, PeerViolation
from trio_draftws._settings.limits import Limits
from trio_draftws._transport.sockets import TCPStream
from trio_draftws._transport.tls import is_secure
from trio_draftws.drafts import (
    Buffer,
    Close,
    Draft,
    EndKind,
    Fragment,
    NegotiatedParameters,
    Role,
    ShortSend,
    WebSocketProtocol,
    WebSocketURL,
    cannot_say,
)

from .checkpoints import Checkpoints
from .closing import NORMAL, UNFINISHED
from .endpoint import Endpoint
from .info import ConnectionInfo
from .instrumented_codec import InstrumentedCodec
from .message_stream import MessageStream, gather
from .receiver import NOBODY, Receiver
from .scope import Scope
from .sender import ROOM, Sender
from .statistics import ConnectionStatistics


@attrs.define(eq=False, repr=False, init=False)
class Connection(ConnectionInfo, trio.abc.Channel["str | bytes"]):
    """One side of an open WebSocket connection: a `trio.abc.Channel` of `str` and `bytes`.

    Got from `open_websocket`, `accept`, or as the argument of a server's handler.
    """

    opened_at: float
    """When it was opened, as `trio.current_time` counts."""

    _endpoint: Endpoint
    # Its parts, and the codec's short way to send: found here at once by what runs for each message
    _protocol: WebSocketProtocol
    _sender: Sender
    _receiver: Receiver
    _checkpoints: Checkpoints
    _send_short: ShortSend | None

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
        on_latency = on_gone = None
        if instruments is not None:
            on_latency = partial(instruments.tell, "latency_measured", self)
            on_gone = partial(instruments.tell, "connection_closed", self)
            if instruments.hears_frames:
                codec = InstrumentedCodec(codec, self, instruments.tell)
        self._checkpoints = Checkpoints()
        self._endpoint = Endpoint(
            draft=draft,
            role=role,
            codec=codec,
            stream=stream,
            scope=scope,
            limits=limits,
            checkpoints=self._checkpoints,
            on_latency=on_latency,
            on_gone=on_gone,
        )
        self._protocol = self._endpoint.protocol
        self._sender = self._endpoint.sender
        self._receiver = self._endpoint.receiver
        self._send_short = codec.send_short if type(stream) is TCPStream else None
        self.opened_at = self._protocol.heard_at
        if instruments is not None:
            instruments.tell("connection_opened", self)
        self._endpoint.start(rest)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Connection {self.id} {self.role} {self.draft.name} {state}>"

    @property
    def id(self) -> int:
        """A number that no other connection of this process has: in logs, and in its repr."""
        return self._endpoint.id

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
                raise self._endpoint.why_not_sendable()
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
        self._endpoint.check_sendable()
        with trio.CancelScope() as scope:
            self._protocol.when_sending_stops(scope.cancel)
            try:
                yield
            finally:
                self._protocol.forget_stop(scope.cancel)
        if scope.cancelled_caught:
            raise self._endpoint.why_not_sendable()

    async def _send_fragments(
        self, parts: AsyncIterable[str] | AsyncIterable[bytes], compress: bool | None
    ) -> None:
        async with self._sender.turn():
            try:
                async for part in parts:
                    await self._checkpoints.before_send()
                    await self._sender.wait_for_room()
                    self._put_fragment(Fragment(part), compress)
                if self._sender.in_parts:
                    self._put_fragment(Fragment(part[:0], final=True))
            finally:
                unfinished = self._sender.in_parts
                self._sender.end_parts()
                if unfinished and self._protocol.can_send:
                    self._endpoint.send_close(UNFINISHED)

    @trio.lowlevel.enable_ki_protection
    def _put_fragment(self, fragment: Fragment, compress: bool | None = None) -> None:
        self._endpoint.check_sendable()
        wire = self._protocol.codec.encode(fragment, compress)
        self._endpoint.write(wire, messages=int(fragment.final))
        if fragment.final:
            self._sender.end_parts()
        else:
            self._sender.begin_parts()

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
            self._endpoint.check_sendable()
            self._check_close(Close(code, reason))
            self._endpoint.send_close(Close(code, reason))

    def _check_close(self, close: Close) -> None:
        """A code that cannot be sent is the caller's mistake: said before anything is done."""
        if isinstance(close.code, bool) or not isinstance(close.code, int):
            raise TypeError(f"a close's code is a number, as 1000, not {close.code!r}")
        if not isinstance(close.reason, str):
            raise TypeError(f"a close's reason is a str, not {close.reason!r}")
        if self.draft.close_status and close != NORMAL:
            codec = self._protocol.codec
            # To try it is not to send it.
            inner = codec.inner if isinstance(codec, InstrumentedCodec) else codec
            inner.encode(close)

    @trio.lowlevel.enable_ki_protection
    def _put_all(self, messages: list[str | Buffer], compress: bool | None) -> None:
        """Encodes all of them, and writes them together; those before one that fails are sent."""
        self._endpoint.check_sendable()
        encode = self._protocol.codec.encode
        wire: list[Buffer] = []
        left = iter(messages)
        failed = 1
        try:
            for message in left:
                wire += encode(message, compress)
            failed = 0
        finally:
            self._endpoint.write(wire, messages=len(messages) - length_hint(left) - failed)
            if self._sender.size:
                self._sender.own()

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
            raise self._endpoint.end_error from None

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
                    protocol.reach_end(self._endpoint.scope.now())
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
        messages = self._protocol.take_all(self._endpoint.scope.now())
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
                self._protocol.skip_parts(self._endpoint.scope.now())

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
            protocol.note_taken(self._endpoint.scope.now())
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
        if self._endpoint.aclose_called:
            await trio.lowlevel.checkpoint()
        else:
            await self._receiver.wait(part=part)
        if self._endpoint.aclose_called:
            raise trio.ClosedResourceError("this connection was closed")

    def _reach_end(self) -> Exception:
        """All was received: returns what says how the connection has ended."""
        self._protocol.reach_end(self._endpoint.scope.now())
        return self._endpoint.end_error

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
            raise self._endpoint.why_not_sendable()
        done = trio.Event()
        sent = protocol.ping(self._endpoint.scope.now(), done.set)
        self._endpoint.scope.take_turn(self._endpoint)
        try:
            await done.wait()
        finally:
            protocol.forget_ping(sent)
        if sent.round_trip is None:
            raise self._endpoint.why_not_sendable()
        return sent.round_trip

    # In numbers

    def statistics(self) -> ConnectionStatistics:
        """What was received and sent up to now, and what waits; also when it has ended."""
        protocol, sender = self._protocol, self._sender
        return ConnectionStatistics(
            opened_at=self.opened_at,
            last_heard=None if math.isinf(protocol.heard_at) else protocol.heard_at,
            messages_received=protocol.messages_received,
            messages_sent=sender.messages_sent,
            bytes_received=protocol.bytes_received,
            bytes_sent=sender.written,
            bytes_waiting=sender.size,
            pings_received=protocol.pings_received,
            pings_sent=protocol.pings_sent,
            pongs_received=protocol.pongs_received,
            latency=protocol.latency,
            compression=self.compression,
        )

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
        if self._endpoint.aclose_called:
            await self._endpoint.wait_gone()
            return
        close = Close(code, reason)
        self._check_close(close)
        await self._endpoint.close_shielded(close)
        await trio.lowlevel.checkpoint()


endpoint_of: Callable[[Connection], Endpoint] = attrgetter("_endpoint")
"""The endpoint of a connection, for what stands above: servers, broadcasts, bridges."""


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
