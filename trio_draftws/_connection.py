"""A connection: a channel of messages over a stream and a codec.

What comes in is the inbox's business, what goes out the outbox's; here is what the two mean to each
other. The rules:

1. Each `receive` and `send` is a cancellation point; it is a schedule point at least every 64
   messages or 1 ms, since deadlines are only seen on a pass of the scheduler.
2. While messages of one chunk are being handed out, `send` only adds to the outbox; it is written
   when they are used up, past 64 KiB, or in the scheduler's next pass.
3. Replies to control frames are the same in every draft, so they are here and not in the codecs.
   A closing frame is answered when it is reached, behind the answers to what came before it.
4. `aclose` always closes, once, even when cancelled, within `close_timeout`.
"""

from __future__ import annotations

import math
import secrets
from typing import Any

import attrs
import trio

from ._exceptions import ConnectionLost, PeerClosed, PeerViolation
from ._inbox import Ended, Inbox
from ._limits import Limits
from ._outbox import ROOM, Outbox
from ._pace import Pace
from ._streams import is_secure
from ._upkeep import Upkeep
from .drafts import (
    Close,
    Codec,
    Draft,
    Event,
    Headers,
    LocalProtocolError,
    Ping,
    Pong,
    Request,
    Response,
    Role,
)


@attrs.define(eq=False)
class _Sent:
    """A ping that is on its way."""

    at: float
    answered: trio.Event = attrs.field(factory=trio.Event)
    round_trip: float | None = None


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
    _inbox: Inbox
    _upkeep: Upkeep
    _limits: Limits
    _head: bytes
    _pace: Pace
    _end: Ended | None
    _closed: bool
    _may_send: bool
    _gone: trio.Event | None
    latency: float | None
    """Seconds that the latest answered ping took; None before the first."""
    _pings: dict[bytes, _Sent]
    _pinged_at: float
    # how often the peer had been heard then
    _heard_when_pinged: int
    # how much was written then, and when the ping itself is
    _written: int
    _ping_left: int

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
        self._pace = Pace()
        self._outbox = Outbox(stream, upkeep.nursery.start_soon)
        self._inbox = Inbox(
            stream,
            codec,
            self._outbox,
            self._pace,
            end_is_close=not draft.closing_handshake,
            on_control=self._see_control if draft.ping else None,
        )
        self._upkeep = upkeep
        self._limits = limits
        self._head = head
        self._end = None
        self._closed = False
        self._may_send = True
        self._gone = None
        self.latency = None
        self._pings = {}
        self._pinged_at = 0
        self._heard_when_pinged = -1
        self._written = 0
        self._ping_left = 0
        if rest:
            self._inbox.hear(rest)
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
        await self._pace.breathe()
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
            LocalProtocolError: that code or reason cannot be sent; nothing was done.
            trio.ClosedResourceError: we closed the connection, or called this before.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        await self._pace.breathe()
        async with self._outbox.turn():
            if not self._may_send or self._outbox.failure is not None:
                raise self._why_not_sendable()
            self._check_close(Close(code, reason))
            self._begin_close(Close(code, reason))

    def _check_close(self, close: Close) -> None:
        """A code that cannot be sent is the caller's mistake: told before anything is done."""
        if self.draft.close_status:
            self._codec.encode(close)

    @trio.lowlevel.enable_ki_protection
    def _begin_close(self, close: Close) -> None:
        self._stop_sending()
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
        if self._inbox.pending and outbox.size < ROOM:
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
            event = self._inbox.pending.pop()
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
        return bool(self._inbox.pending) or self._end is not None

    async def _wait_for_event(self) -> None:
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this connection was closed")
        await self._inbox.wait(ready=self._end is not None)
        if self._closed:
            raise trio.ClosedResourceError("this connection was closed")

    def _reach(self, event: Event | Ended) -> None:
        """An end has come to its turn."""
        if isinstance(event, Ended):
            self._end = event
        else:
            assert isinstance(event, Close)
            self.close_received = event
            facts = (event.code, event.reason)
            self._end = Ended(PeerClosed, facts, answer=attrs.evolve(event, reason=""))
        if self._end.answer is not None:
            self._send_close(self._end.answer)
        self._stop_sending()
        self._outbox.finish()
        self._outbox.flush()

    def _stop_sending(self) -> None:
        self._may_send = False
        for sent in self._pings.values():
            sent.answered.set()
        self._pings.clear()

    def _send_close(self, close: Close) -> None:
        if self.close_sent is None and self.draft.closing_handshake:
            # A code that may be received may be sent, so an answer is never refused.
            self._outbox.put(self._codec.encode(close))
            self.close_sent = close if self.draft.close_status else Close()

    # Pings

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
            raise LocalProtocolError(f"{self.draft.name} has no pings")
        await self._pace.breathe()
        async with self._outbox.turn():
            sent = self._send_ping()
        self._inbox.read_ahead(
            self._upkeep.nursery, self._reach_if_first, lambda: bool(self._pings)
        )
        await sent.answered.wait()
        if sent.round_trip is None:
            raise self._why_not_sendable()
        return sent.round_trip

    @trio.lowlevel.enable_ki_protection
    def _send_ping(self) -> _Sent:
        if not self._may_send or self._outbox.failure is not None:
            raise self._why_not_sendable()
        payload = secrets.token_bytes(4)
        self._pinged_at = trio.current_time()
        self._heard_when_pinged = self._inbox.times_heard
        sent = self._pings[payload] = _Sent(self._pinged_at)
        self._outbox.put(self._codec.encode(Ping(payload)))
        self._written = self._outbox.written
        self._ping_left = self._written + self._outbox.size
        self._outbox.flush()
        return sent

    def _see_control(self, event: Ping | Pong) -> None:
        if isinstance(event, Ping):
            if not self._outbox.finishing and self._outbox.failure is None:
                self._outbox.put_latest(self._codec.encode(Pong(event.payload)))
                self._outbox.flush()
        elif event.payload in self._pings:
            now = trio.current_time()
            # RFC 6455 section 5.5.3: an answer to one ping may stand for those before it
            payloads = list(self._pings)
            for payload in payloads[: payloads.index(event.payload) + 1]:
                sent = self._pings.pop(payload)
                self.latency = sent.round_trip = now - sent.at
                sent.answered.set()

    # What upkeep asks for

    def _deadline(self) -> float:
        """When upkeep is to attend to it, unless the peer is heard from."""
        heard = self._inbox.last_heard
        # Upkeep never raises, so nobody is pinged who cannot be written to.
        if not self.draft.ping or self.closed:
            return heard + self._limits.idle_timeout
        if self._heard_when_pinged == self._inbox.times_heard:
            due = self._pinged_at + self._limits.ping_timeout
        else:
            due = heard + self._limits.ping_interval
        return min(due, heard + self._limits.idle_timeout)

    def _attend(self) -> None:
        """Gives the peer up for having been silent too long, or asks whether it is there."""
        now = trio.current_time()
        silent = now - self._inbox.last_heard
        if silent >= self._limits.idle_timeout:
            self._give_up(f"nothing came from the peer for {self._limits.idle_timeout} s")
        elif self._heard_when_pinged != self._inbox.times_heard:
            self._send_ping()
        elif self._inbox.full or self._written < self._outbox.written < self._ping_left:
            # It is us who do not listen; or the peer is taking what stands before the ping.
            self._pinged_at = now
            self._written = self._outbox.written
        else:
            self._give_up(f"no answer to a ping came within {self._limits.ping_timeout} s")

    def _give_up(self, reason: str) -> None:
        self._inbox.last_heard = math.inf
        self._inbox.add([Ended(ConnectionLost, (reason,), answer=Close(1001, "silent"))])
        self._reach_if_first()
        self._inbox.interrupt()

    def _look(self) -> trio.CancelScope | None:
        """Reads what is there, if nobody receives."""
        return self._inbox.look(self._upkeep.nursery, self._reach_if_first)

    def _reach_if_first(self) -> None:
        """Acts on an end that no message stands before; the answers to messages go before it."""
        if len(self._inbox.pending) == 1 and self._inbox.heard_all:
            self._reach(self._inbox.pending.pop())

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

        Raises:
            LocalProtocolError: that code or reason cannot be sent; nothing was done.
        """
        if self._gone is not None:
            await self._gone.wait()
            return
        self._check_close(Close(code, reason))
        self._gone = trio.Event()
        self._closed = True
        self._stop_sending()
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
        await self._inbox.take_over()
        if self._can_be_heard_out():
            # Read while the drain task writes: the peer may be writing until we read.
            while not self._inbox.stream_ended and self.close_received is None:
                await self._inbox.discard_some(decode=self._end is None)
                self._reach_end()
        await self._outbox.wait_written()
        await self._stream.aclose()

    def _reach_end(self) -> None:
        """Drops the messages that nobody will receive; an end behind them counts."""
        last = self._inbox.drop_messages()
        if last is not None:
            self._reach(last)

    def _can_be_heard_out(self) -> bool:
        """Whether the peer knows that we are closing, so that waiting for its end makes sense."""
        if self._outbox.failure is not None:
            return False
        half_closed = isinstance(self._stream, trio.abc.HalfCloseableStream)
        return half_closed or self.close_sent is not None


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
