"""A connection: a channel of messages, which is what a user of this package holds.

The work is done below: the protocol object (`drafts/_protocol/`) keeps the states, the receiver
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

import json
import math
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from operator import attrgetter
from types import TracebackType
from typing import Any

import attrs
import trio
from trio.lowlevel import checkpoint_if_cancelled

from trio_draftws._exceptions import PeerClosed, close_code_after
from trio_draftws._settings.limits import Limits
from trio_draftws._transport import platform
from trio_draftws._transport.addresses import NO_ENDS, PackedEnds
from trio_draftws._transport.sockets import TCPStream
from trio_draftws._transport.tls import ssl_object_of
from trio_draftws.drafts import (
    Buffer,
    Close,
    CloseCode,
    Draft,
    EndKind,
    Fragment,
    NegotiatedParameters,
    Role,
    ShortSend,
    WebSocketProtocol,
    WebSocketURL,
    as_text,
    encode_long_text,
)

from . import pinging
from .as_stream import ConnectionStream
from .channels import JSONChannel
from .checkpoints import Checkpoints
from .endpoint import Endpoint
from .info import ConnectionInfo, PathPattern, State
from .instrumented_codec import InstrumentedCodec
from .message_stream import MessageStream, gather, text_parts
from .receiver import NOBODY, Receiver
from .scope import Scope
from .sender import Sender
from .sending import check_close, put_all, send_fragments, while_sendable
from .statistics import ConnectionStatistics
from .writer import ROOM


@attrs.define(eq=False, repr=False, init=False)
class Connection(ConnectionInfo[State], trio.abc.Channel["str | bytes"]):
    """One side of an open WebSocket connection: a `trio.abc.Channel` of `str` and `bytes`.

    `open_websocket` and `accept` give one, and a server gives one to its handler. For type checkers
    it may say what its `state` is: `Connection[User]`. Without that the state is `Any`.
    """

    opened_at: float
    """When it was opened, as `trio.current_time` counts."""

    _endpoint: Endpoint
    # Parts of the endpoint that are needed for each message, and the codec's short way to send
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
        pattern: PathPattern | None = None,
        url: WebSocketURL | None = None,
        ends: PackedEnds = NO_ENDS,
        secure: bool = False,
    ) -> None:
        """Takes over an open stream whose opening handshake is done.

        Args:
            draft: the draft to speak.
            role: which side this is.
            stream: the open stream.
            agreement: the subprotocol and extensions that were agreed on.
            scope: looks after the connection.
            limits: sizes in bytes, and timeouts in seconds.
            head: the head of the peer's request or answer.
            rest: bytes that came behind the handshake.
            state: the program's own; on a server, from `conn_headers`.
            pattern: on a server, the path of its route, unless that is one path.
            url: on a client, the URL that was opened.
            ends: the addresses of both sides.
            secure: whether there is TLS with the peer; on a server also if a proxy says so.
        """
        super().__init__(
            draft=draft,
            role=role,
            state=state,
            agreement=agreement,
            head=head,
            secure=secure,
            pattern=pattern,
            ends=ends,
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
        self._endpoint = Endpoint(
            draft=draft,
            role=role,
            codec=codec,
            stream=stream,
            scope=scope,
            limits=limits,
            on_latency=on_latency,
            on_gone=on_gone,
        )
        self._protocol = self._endpoint.protocol
        self._sender = self._endpoint.sender
        self._receiver = self._endpoint.receiver
        self._checkpoints = self._endpoint.checkpoints
        plain = type(stream) is TCPStream and platform.SOCKETS_ARE_FILES
        self._send_short = codec.send_short if plain else None
        self.opened_at = self._protocol.last_received_at
        if instruments is not None:
            instruments.tell("connection_opened", self)
        self._endpoint.start(rest)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Connection {self.id} {self.role} {self.draft.name} {state}>"

    @property
    def id(self) -> int:
        """A number unlike that of any other connection of this process; logs and `repr` show it."""
        return self._endpoint.id

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        # A client's stream may be TLS with a proxy only.
        is_peers = self.role == "server" or self._secure
        return ssl_object_of(self._endpoint.stream) if is_peers else None

    @property
    def closed(self) -> bool:
        """Whether the connection has ended, from either side, so that nothing can be sent any more.

        A peer's close counts once `receive` has reached it, or once it was answered because nobody
        was receiving, which takes a few seconds at most.
        """
        return not self._protocol.can_send

    @property
    def close_sent(self) -> Close | None:
        """The closing frame that we sent; None before, and in drafts without one."""
        return self._protocol.close_sent

    @property
    def close_received(self) -> Close | None:
        """The peer's closing frame, once `receive` has reached it or it was answered; else None."""
        return self._protocol.close_received

    @property
    def closed_by(self) -> Role | None:
        """Who closed first, `"client"` or `"server"`; None if nobody has."""
        return self._protocol.closed_by

    @property
    def close_code(self) -> int | None:
        """The close code with which the connection ended; None while it has not (RFC 6455 section
        7.1.5).

        It is that of the peer's closing frame, whoever closed first: 1005 if that carried no code,
        or if the draft has none, and 1006 if none was received: the connection was lost or aborted,
        the peer broke its draft or was given up, or it never answered our close. What we sent is
        `close_sent`. It is known once `receive` has reached the end, or the end was answered
        because nobody was receiving; at the latest when `aclose` or `wait_closed` returns. hixie-75
        has no closing frame: an orderly end of TCP is 1005.
        """
        close = self._endpoint.final_close
        return None if close is None else close.code

    @property
    def close_reason(self) -> str | None:
        """The reason that came with `close_code`, often empty; None while that is None."""
        close = self._endpoint.final_close
        return None if close is None else close.reason

    @property
    def text(self) -> TextChannel:
        """This connection as a `trio.abc.Channel` of `str`, for code that speaks text only."""
        return TextChannel(self)

    def json(
        self,
        *,
        loads: Callable[[str], Any] = json.loads,
        dumps: Callable[[Any], str | Buffer] = json.dumps,
    ) -> JSONChannel:
        """Returns this connection as a `trio.abc.Channel` of JSON values, each a text message.

        Args:
            loads: makes a value of a text; by default `json.loads`. Whatever it raises closes the
                connection with 1007.
            dumps: makes the text of a value, as a `str` or as UTF-8; by default `json.dumps`.

        Raises:
            TypeError: one of them is no function of one argument, or is async.
        """
        return JSONChannel(self, self._endpoint.refuse, loads, dumps)

    def as_stream(self) -> ConnectionStream:
        """Returns this connection as a `trio.abc.HalfCloseableStream` of bytes, for tunnels.

        The bytes are sent and received as binary messages. Use nothing else of the connection to
        send or receive meanwhile. From now on a closing frame of the peer is not answered when it
        is received, but by `send_eof` or `aclose`, or when three quarters of `close_timeout` have
        passed: until then we can still send.

        Raises:
            LocalProtocolError: the draft has no binary messages (`connection.draft.binary`).
        """
        return ConnectionStream(self, self._endpoint)

    # Sending

    @trio.lowlevel.enable_ki_protection
    async def send(
        self,
        message: str | Buffer,
        # Not keyword-only: Python would look its default up for each message.
        text: bool = False,
        *,
        compress: bool | None = None,
    ) -> None:
        """Sends one message.

        Waits while 64 KiB or more wait to be written; senders that wait go first come, first
        served. Always a cancellation point; a schedule point at least every 64 messages or 1 ms.
        If it is cancelled, the message was not sent. If it returns, the message will be sent, in
        order, or the connection breaks and raises an error from then on. See RFC 6455 section 6.1.

        Args:
            message: a `str` is sent as text, and `bytes` as a binary message, if the draft has
                those (`connection.draft.binary`). A `bytearray` or `memoryview` is sent as `bytes`
                would be, and may be changed as soon as this returns.
            text: whether to send `bytes` as text, of which they have to be the UTF-8, in any
                draft; by default False. A `str` is sent as text either way.
            compress: whether to compress the message, if both sides agreed on that
                (`connection.compression`). By default it is compressed if it has at least as many
                bytes as the setting's `threshold`.

        Raises:
            LocalProtocolError: the draft cannot express it, as `bytes` before hybi-01; the
                connection stays open. Also for text that is not UTF-8: bytes with `text`, or a
                `str` with a lone surrogate.
            TypeError: `message` is of another type; the connection stays open.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed the connection, or it was lost.
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
            event = as_text(message) if text else message
            if protocol.unread:
                # There is more to be handed out, and perhaps more to follow.
                sender.write_soon(protocol.codec.encode(event, compress))
            elif (
                self._send_short is None
                or compress
                or sender.size
                or not sender.write_short(self._send_short, event)
            ):
                sender.write(protocol.codec.encode(event, compress))
            if type(message) is not str and sender.size and type(message) is not bytes:
                sender.own()
        finally:
            if in_turn:
                sender.end_turn()

    async def send_many(
        self,
        messages: Iterable[str | Buffer],
        *,
        text: bool = False,
        compress: bool | None = None,
    ) -> None:
        """Sends several messages at once, which is less work for each than with `send`.

        They are written together, with no other message between them. Waits for room once, like
        `send`, so all of them may then wait to be written. A cancellation point and a schedule
        point like `send`; if it is cancelled, none was sent.

        Args:
            messages: each as for `send`.
            text: as for `send`, for each of them.
            compress: as for `send`, for each of them.

        Raises:
            LocalProtocolError: the draft cannot say one of them; those before it were sent. With
                `text`, one of them is not UTF-8; none was sent.
            TypeError: one of them is no message; those before it were sent.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed the connection, or it was lost.
        """
        if isinstance(messages, (str, bytes, bytearray, memoryview)):
            raise TypeError("send_many takes several messages, not one: that is what send is for")
        messages = list(messages)
        await self._checkpoints.before_send()
        if self._sender.must_wait:
            async with self._sender.turn():
                put_all(self._endpoint, messages, compress, text=text)
        else:
            put_all(self._endpoint, messages, compress, text=text)

    async def send_stream(
        self,
        parts: AsyncIterable[str] | AsyncIterable[bytes],
        *,
        text: bool = False,
        compress: bool | None = None,
    ) -> None:
        """Sends one message part by part, each as soon as `parts` yields it.

        Each part is one fragment (RFC 6455 section 5.4); where the fragments begin and end means
        nothing to the peer. A draft without fragments (`connection.draft.fragments`) sends one
        frame when all parts are there. Other senders wait until the message has ended; pings do
        not. If there are no parts, nothing is sent. A checkpoint.

        If the connection ends while this waits for the next part, that wait is cancelled, and one
        of the errors below is raised.

        If it is cancelled, or `parts` raises, before the first part, nothing was sent. After that
        the message can be neither taken back nor completed, so the connection closes with 1011:
        the peer must not take it for whole.

        Args:
            parts: all `str` or all `bytes`. An async generator is closed at the end.
            text: whether to send `bytes` as text, of which all together have to be the UTF-8: a
                part may end inside of a character. By default False.
            compress: whether to compress the message, if both sides agreed on that; by default
                it is compressed.

        Raises:
            LocalProtocolError: the draft cannot express it, the parts are not all of one type, or
                with `text` they are not UTF-8.
            TypeError: `parts` is no async iterable, or a part is neither `str` nor `bytes`.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed the connection, or it was lost.
        """
        if not isinstance(parts, AsyncIterable):
            raise TypeError(f"send_stream takes an async iterable of str or bytes, not {parts!r}")
        async with AsyncExitStack() as stack:
            if isinstance(parts, AsyncGenerator):
                await stack.enter_async_context(aclosing(parts))
            if text:
                parts = await stack.enter_async_context(aclosing(text_parts(parts)))
            await self._checkpoints.before_send()
            with while_sendable(self._endpoint):
                if self.draft.fragments:
                    await send_fragments(self._endpoint, parts, compress)
                elif (message := await gather(parts)) is not None:
                    await self.send(message)

    async def send_close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Sends a closing frame (RFC 6455 section 5.5.1): after it we can only receive.

        It is sent behind everything sent before. `receive` goes on until the peer closes too, and
        `aclose` still has to follow. Waits like `send`, and is a cancellation point and a schedule
        point like it; if it is cancelled, nothing was sent. hixie-75 has no closing frame: our
        side of TCP ends instead, if the stream can end one side alone, which TLS cannot.

        Args:
            code: the close code, left out if the draft has none; by default 1000.
            reason: for the peer, left out if the draft has none; by default empty. At most 123
                bytes of UTF-8.

        Raises:
            LocalProtocolError: that code or reason cannot be sent; nothing was done.
            TypeError: `code` is no `int`, or `reason` no `str`; nothing was done.
            trio.ClosedResourceError: we closed the connection, or called this before.
            trio.BrokenResourceError: the peer closed the connection, or it was lost.
        """
        await self._checkpoints.before_send()
        async with self._sender.turn():
            self._endpoint.check_sendable()
            check_close(self._endpoint, Close(code, reason))
            self._endpoint.send_close(Close(code, reason))

    # Receiving

    async def receive(self) -> str | bytes:
        """Receives one message.

        Always a cancellation point; a schedule point when it must wait, and at least every 64
        messages or 1 ms. Cancelling it loses nothing. See RFC 6455 section 6.2.

        Returns:
            A text message as `str`, a binary one as `bytes`.

        Raises:
            PeerClosed: a `trio.EndOfChannel`; the peer closed the connection as the draft says.
            ConnectionLost: a `trio.BrokenResourceError`; the connection ended in some other way.
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
        """Like `receive`, but raises StopAsyncIteration if the peer has closed.

        This is the short way for most messages: those that have come already, and those that the
        next bytes on a stream of our own complete. The receiver does the rest.
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
                    protocol.note_end_reached(self._endpoint.scope.now())
                    raise StopAsyncIteration
        self._check_not_in_parts()
        try:
            event = await self._next_event()
        except PeerClosed:
            raise StopAsyncIteration from None
        assert isinstance(event, (str, bytes))
        return event

    async def receive_bytes(self) -> bytes:
        """Receives one message as bytes, like `Connection.receive`; a text as its UTF-8.

        For decoders that take bytes. Whether it was text is not said.

        Returns:
            The payload of the message.

        Raises:
            PeerClosed, ConnectionLost, PeerViolation, trio.ClosedResourceError,
            trio.BusyResourceError: as `receive`.
        """
        message = await self.receive()
        return message if isinstance(message, bytes) else bytes(encode_long_text(message))

    async def receive_text(self) -> str:
        """Receives one text message, like `Connection.receive`.

        A binary message closes the connection with 1003, unsupported data (RFC 6455 section
        7.4.1).

        Returns:
            The text.

        Raises:
            PeerViolation: a binary message came, or as `receive`.
            PeerClosed, ConnectionLost, trio.ClosedResourceError, trio.BusyResourceError: as
                `receive`.
        """
        message = await self.receive()
        if isinstance(message, str):
            return message
        raise self._endpoint.refuse(
            "a binary message came, not text", Close(CloseCode.UNSUPPORTED_DATA, "text only")
        )

    async def receive_many(self) -> list[str | bytes]:
        """Receives all messages that are there, which is less work for each than with `receive`.

        Waits like `receive`, and is a cancellation point and a schedule point like it. Cancelling
        it loses nothing.

        Returns:
            A list of at least one message. The oldest comes first. It has all that were read ahead
            (up to 64 KiB), or else what the next read of up to 16 KiB brings. With compression it
            stops once the messages total 64 KiB.

        Raises:
            PeerClosed, ConnectionLost, PeerViolation, trio.ClosedResourceError,
            trio.BusyResourceError: as `receive`, once all messages were received.
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

        Entering waits until a message has begun; then `async for part in parts` yields it as it
        comes. Nobody else can receive meanwhile. What is not taken when the block ends is dropped,
        and `receive` goes on with the next message. However long the message is, it takes only the
        memory of what was not taken yet: 64 KiB, or what 16 KiB inflate to. `max_message_size`
        bounds it all the same. Entering is a checkpoint like `receive`; cancelling that loses
        nothing.

        Yields:
            A `MessageStream`: an async iterator of parts, all `str` or all `bytes`.

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
        """Waits for the next message, or with `part` for a part of one.

        Raises:
            Exception: as `receive`.
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
        """Waits until `receive` would return a message, or raise at the end, without waiting.

        Nothing is consumed; a ping or half a message does not count. A checkpoint like `receive`;
        cancelling it loses nothing.

        Raises:
            trio.ClosedResourceError: we closed the connection.
            trio.BusyResourceError: another task is receiving.
        """
        self._check_not_in_parts()
        await self._wait_for_event()

    @property
    def readable(self) -> bool:
        """Whether `receive` would return a message, or raise at the end, without waiting."""
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
            raise self._endpoint.scope.why_closed()

    def _reach_end(self) -> Exception:
        """Returns the error that says how the connection ended; all messages were received."""
        self._protocol.note_end_reached(self._endpoint.scope.now())
        return self._endpoint.end_error

    # Pings

    @property
    def latency(self) -> float | None:
        """Seconds that the latest answered ping took; None before the first."""
        return self._protocol.keepalive.latency

    async def ping(self, payload: Buffer | None = None) -> float:
        """Pings the peer and waits for its pong (RFC 6455 sections 5.5.2 and 5.5.3).

        No task needs to be receiving: messages that come meanwhile are kept for `receive`, up to
        64 KiB of them. A checkpoint; cancelling it loses nothing.

        The pong to a later ping answers this one too. If pings with equal payloads are under way,
        the first pong with that payload answers all of them.

        Args:
            payload: what the ping carries and the pong repeats, at most 125 bytes. By default four
                random bytes, which tell this ping from all others.

        Returns:
            The round trip in seconds.

        Raises:
            LocalProtocolError: the draft has no pings (`connection.draft.ping`), or the payload is
                too long; nothing was sent.
            TypeError: the payload is not bytes; nothing was sent.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed the connection, or it was lost.
        """
        return await pinging.ping(self._endpoint, payload)

    async def send_ping(self, payload: Buffer | None = None) -> None:
        """Sends a ping, and does not wait for its pong.

        The pong counts for `latency`, `statistics` and `ping_timeout` like any other. Waits for
        room like `send`, but not for a message that is being sent part by part. A checkpoint; if
        it is cancelled, nothing was sent.

        Args:
            payload: as for `ping`.

        Raises:
            LocalProtocolError, TypeError, trio.ClosedResourceError, trio.BrokenResourceError:
                as `ping`.
        """
        await pinging.send_ping(self._endpoint, payload)

    async def send_pong(self, payload: Buffer = b"") -> None:
        """Sends a pong that answers no ping: a heartbeat in one direction (RFC 6455 section 5.5.3).

        The peer's pings are answered without it. Waits and is a checkpoint like `send_ping`; if it
        is cancelled, nothing was sent.

        Args:
            payload: what it carries, at most 125 bytes; by default nothing.

        Raises:
            LocalProtocolError: the draft has no pongs (`connection.draft.ping`), or the payload is
                too long; nothing was sent.
            TypeError: the payload is not bytes; nothing was sent.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed the connection, or it was lost.
        """
        await pinging.send_pong(self._endpoint, payload)

    # In numbers

    def statistics(self) -> ConnectionStatistics:
        """Returns counts of what was received and sent so far, and of what waits.

        It works after the end too.
        """
        protocol, sender = self._protocol, self._sender
        return ConnectionStatistics(
            opened_at=self.opened_at,
            last_heard=None if math.isinf(protocol.last_received_at) else protocol.last_received_at,
            messages_received=protocol.messages_received,
            messages_sent=sender.messages_sent,
            bytes_received=protocol.bytes_received,
            bytes_sent=sender.written,
            bytes_waiting=sender.size,
            pings_received=protocol.pings_received,
            pings_sent=protocol.keepalive.pings_sent,
            pongs_received=protocol.keepalive.pongs_received,
            latency=protocol.keepalive.latency,
            compression=self.compression,
        )

    # Closing

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the connection, as the end of a block of `open_websocket` does: with code 1000,
        with 1011 if the block raised, or with 1001 if it was cancelled.
        """
        if error is None:
            await self.aclose()
        else:
            # Shielded, since a Cancelled in here would replace what the block raised.
            await self._endpoint.close_shielded(Close(close_code_after(error)))

    async def aclose(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Closes the connection, once, within `close_timeout`.

        Sends the closing frame behind everything sent before, waits for the peer's, and closes
        the stream (RFC 6455 section 7.1.2). Messages that still come are dropped; a `receive` in
        another task raises `trio.ClosedResourceError` at once. A second call only waits until the
        first is done. A checkpoint; if it is cancelled, it closes all the same, within
        `close_timeout`, and then raises `trio.Cancelled`.

        Args:
            code: the close code, left out if the draft has none; by default 1000. While another
                task's `send_stream` is in the middle of a message, 1011 is sent in place of 1000.
            reason: for the peer, left out if the draft has none; by default empty. At most 123
                bytes of UTF-8.

        Raises:
            LocalProtocolError: that code or reason cannot be sent; nothing was done.
            TypeError: `code` is no `int`, or `reason` no `str`; nothing was done.
        """
        if self._endpoint.aclose_called:
            await self._endpoint.wait_transport_over()
            return
        close = Close(code, reason)
        check_close(self._endpoint, close)
        await self._endpoint.close_shielded(close)
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Ends the connection at once, without a closing handshake, and closes the stream.

        The peer is not told: TCP ends with a reset, also under TLS, and any other stream is closed
        with `trio.aclose_forcefully`, in a task of the library. What was sent and has not left
        yet is lost, and so is what came and was not received. Tasks that send, receive, or wait
        for a pong raise `trio.ClosedResourceError`; an `aclose` that is under way returns. Nothing
        happens if the connection has ended already. It is no checkpoint, and may be called from any
        task; `aclose` may follow, and then only waits until the stream is closed.
        """
        self._endpoint.abort()

    async def wait_closed(self) -> None:
        """Waits until the connection has ended and its stream is closed, for whatever reason.

        That is so when `aclose` or `abort` has done its work in any task; and also where nobody
        calls them: when the peer has closed and was answered, when the connection was lost, or when
        the peer was given up. From then on `close_code` says how it ended. If `receive` raised and
        nobody calls `aclose`, this takes up to two seconds more, and up to `close_timeout` if the
        peer does not end its side.

        No task needs to be receiving: what comes is read all the same, so that the end is seen. But
        only up to 64 KiB of messages are read ahead, and an end behind those waits until `receive`
        has made room. Any number of tasks may wait, beside those that receive and send. A
        checkpoint; cancelling it changes nothing.
        """
        await self._endpoint.wait_transport_over()


endpoint_of: Callable[[Connection], Endpoint] = attrgetter("_endpoint")
"""The endpoint of a connection, for what stands above: servers, broadcasts, bridges."""


class TextChannel(trio.abc.Channel[str]):
    """A connection's text messages, as `connection.text` gives them."""

    __slots__ = ("connection",)

    connection: Connection

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def send(self, message: str) -> None:
        """Sends a text message, like `Connection.send`."""
        if not isinstance(message, str):
            raise TypeError(f"a text channel sends str, not {type(message).__name__}")
        await self.connection.send(message)

    async def receive(self) -> str:
        """Receives a text message, like `Connection.receive_text`."""
        return await self.connection.receive_text()

    async def aclose(self) -> None:
        """Closes the connection, like `Connection.aclose` with code 1000."""
        await self.connection.aclose()
