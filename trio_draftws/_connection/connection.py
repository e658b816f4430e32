"""A connection: a channel of messages over a stream and a codec.

What comes in is the inbox's business, what goes out the outbox's; here is what the two mean to each
other. The rules:

1. Each `receive` and `send` is a cancellation point; each of them is a schedule point at least
   every 64 messages or 1 ms, since deadlines are only seen on a pass of the scheduler.
2. While messages of one chunk are being handed out, `send` only adds to the outbox; it is written
   when they are used up, past 64 KiB, or in the scheduler's next pass.
3. Replies to control frames are the same in every draft, so no codec has them. Pings are answered
   as soon as they are read, by `Keepalive`; a closing frame when it is reached, behind the answers
   to what came before it.
4. `aclose` always closes, once, even when cancelled, within `close_timeout`.
5. A message that is sent part by part keeps its turn until it ends. What was begun can be neither
   taken back nor passed off as whole: where its rest never comes, the connection closes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from operator import length_hint
from time import perf_counter
from typing import Any, Literal

import attrs
import trio
from trio.lowlevel import checkpoint_if_cancelled

from trio_draftws._exceptions import ConnectionLost, PeerClosed, PeerViolation
from trio_draftws._limits import Limits
from trio_draftws._transport.sockets import DirectStream
from trio_draftws._transport.tls import is_secure
from trio_draftws.drafts import (
    Agreement,
    Buffer,
    Close,
    Codec,
    Draft,
    Event,
    Fragment,
    LocalProtocolError,
    Role,
    WebSocketURL,
)

from .checkpoints import MESSAGES_PER_PASS, SECONDS_PER_PASS, Pace
from .info import Opened
from .instrument import InstrumentedCodec
from .keepalive import Keepalive
from .message_stream import MessageStream, gather
from .receiver import Ended, Inbox
from .scope import Upkeep
from .sender import ROOM, Outbox
from .statistics import LOST, ConnectionStatistics


@attrs.define(eq=False, repr=False, init=False)
class Connection(Opened, trio.abc.Channel["str | bytes"]):
    """One side of an open WebSocket connection: a `trio.abc.Channel` of `str` and `bytes`.

    Got from `open_websocket`, `accept`, or as the argument of a server's handler.
    """

    id: int
    """Tells it from all others of this process, in the log and in its repr."""
    opened_at: float
    """When it was opened, as `trio.current_time` tells it."""
    close_sent: Close | None
    """The closing frame that we sent."""
    close_received: Close | None
    """The closing frame that the peer sent, once it was reached."""
    closed_by: Role | None
    """Who began to close, `"client"` or `"server"`; None before, and where nobody did."""

    _stream: trio.abc.Stream
    _codec: Codec
    _outbox: Outbox
    _inbox: Inbox
    _upkeep: Upkeep
    _limits: Limits
    _pace: Pace
    _end: Ended | None
    _closed: bool
    _may_send: bool
    _gone: trio.Event | None
    _keepalive: Keepalive
    _receiving_parts: bool
    _sending_parts: bool
    _answers_late: bool

    def __init__(
        self,
        *,
        draft: Draft,
        role: Role,
        stream: trio.abc.Stream,
        agreement: Agreement,
        upkeep: Upkeep,
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
        instruments = upkeep.instruments
        if instruments is not None and instruments.hears_frames:
            codec = InstrumentedCodec(codec, self, instruments)
        self.id = next(_ids)
        self.close_sent = None
        self.close_received = None
        self.closed_by = None
        self._stream = stream
        self._codec = codec
        self._pace = Pace()
        self._outbox = Outbox(stream, upkeep.start_soon, upkeep.flush_soon)
        self._inbox = Inbox(
            stream, codec, self._outbox, self._pace, end_is_close=not draft.closing_handshake
        )
        self._keepalive = Keepalive(codec, self._outbox, self._inbox, limits)
        if draft.ping:
            self._inbox.watcher = self._keepalive
        self._receiving_parts = False
        self._sending_parts = False
        self._answers_late = False
        self._upkeep = upkeep
        self._limits = limits
        self._end = None
        self._closed = False
        self._may_send = True
        self._gone = None
        self.opened_at = self._inbox.last_heard
        if instruments is not None:
            self._keepalive.on_latency = partial(instruments.tell, "latency_measured", self)
            instruments.tell("connection_opened", self)
        if rest:
            self._inbox.hear(rest)
        upkeep.keep(self)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "open"
        return f"<Connection {self.id} {self.role} {self.draft.name} {state}>"

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
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        # As `Pace.breathe_out`; here it costs less.
        pace = self._pace
        pace.sent += 1
        try:
            if pace.sent >= MESSAGES_PER_PASS or perf_counter() > pace.due_at:
                await pace.take_a_pass()
            else:
                await checkpoint_if_cancelled()
            outbox = self._outbox
            if outbox.size >= ROOM or outbox.in_turn:
                async with outbox.turn():
                    self._put(message, compress)
                return
            # As `_put`, which is one call more.
            if not self._may_send or outbox.failure is not None:
                raise self._why_not_sendable()
            wire = self._codec.encode(message, compress)
            if self._inbox.pending:
                outbox.write_soon(wire)
            else:
                outbox.write(wire)
            if outbox.size and not isinstance(message, (str, bytes)):
                outbox.own()
        except BaseException:
            pace.sent_before -= 1
            raise

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
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        messages = list(messages)
        await self._pace.breathe_out()
        if not self._outbox.crowded:
            self._put_all(messages, compress)
            return
        async with self._outbox.turn():
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

        If it is cancelled, or `parts` raises, before the first part, nothing was sent. After that
        the message can be neither taken back nor ended: the connection then closes with 1011, so
        that the peer does not take it for whole.

        Args:
            parts: all `str` or all `bytes`. An async generator is closed at the end.
            compress: whether to compress it, where that was agreed to; by default it is.

        Raises:
            LocalProtocolError: the draft cannot say it, or the parts are not of one type.
            TypeError: a part is no part of a message.
            trio.ClosedResourceError: we closed the connection.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        async with AsyncExitStack() as stack:
            if isinstance(parts, AsyncGenerator):
                await stack.enter_async_context(aclosing(parts))
            await self._pace.breathe_out()
            if self.draft.fragments:
                await self._send_fragments(parts, compress)
            elif (message := await gather(parts)) is not None:
                await self.send(message)

    async def _send_fragments(
        self, parts: AsyncIterable[str] | AsyncIterable[bytes], compress: bool | None
    ) -> None:
        async with self._outbox.turn():
            try:
                async for part in parts:
                    await self._pace.breathe_out()
                    await self._outbox.wait_for_room()
                    self._put_fragment(Fragment(part), compress)
                if self._sending_parts:
                    self._put_fragment(Fragment(part[:0], final=True))
            finally:
                unfinished, self._sending_parts = self._sending_parts, False
                if unfinished and self._may_send:
                    self._begin_close(Close(1011, "a message was left unfinished"))

    @trio.lowlevel.enable_ki_protection
    def _put_fragment(self, fragment: Fragment, compress: bool | None = None) -> None:
        self._put(fragment, compress)
        self._sending_parts = not fragment.final
        self._pace.sent_before += fragment.final

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
            trio.ClosedResourceError: we closed the connection, or called this before.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        await self._pace.breathe_out()
        async with self._outbox.turn():
            if not self._may_send or self._outbox.failure is not None:
                raise self._why_not_sendable()
            self._check_close(Close(code, reason))
            self._begin_close(Close(code, reason))

    def _check_close(self, close: Close) -> None:
        """A code that cannot be sent is the caller's mistake: told before anything is done."""
        if self.draft.close_status and close != _NORMAL:
            self._codec.encode(close)

    @trio.lowlevel.enable_ki_protection
    def _begin_close(self, close: Close) -> None:
        self.closed_by = self.closed_by or self.role
        self._stop_sending()
        self._send_close(close)
        if self.role in self.draft.close_ends_stream:
            self._outbox.finish()
        self._outbox.flush()

    @trio.lowlevel.enable_ki_protection
    def _put(self, event: Event | Buffer, compress: bool | None = None) -> None:
        """Encodes and adds to the outbox; writes, unless there is more to be handed out."""
        outbox = self._outbox
        if not self._may_send or outbox.failure is not None:
            raise self._why_not_sendable()
        self._write(self._codec.encode(event, compress))
        if outbox.size and not isinstance(event, (str, bytes, Fragment)):
            outbox.own()

    @trio.lowlevel.enable_ki_protection
    def _put_all(self, messages: list[str | Buffer], compress: bool | None) -> None:
        """As `_put`, for each of them."""
        outbox = self._outbox
        if not self._may_send or outbox.failure is not None:
            raise self._why_not_sendable()
        wire: list[Buffer] = []
        left = iter(messages)
        failed = 1
        try:
            for message in left:
                wire += self._codec.encode(message, compress)
            failed = 0
        finally:
            self._pace.sent_before += len(messages) - length_hint(left) - failed
            self._write(wire)
            if outbox.size:
                outbox.own()

    def _write(self, wire: list[Buffer]) -> None:
        """Writes it now, or together with what follows while more is to be handed out."""
        if self._inbox.pending:
            self._outbox.write_soon(wire)
        else:
            self._outbox.write(wire)

    def _why_not_sendable(self) -> Exception:
        if self._closed:
            return trio.ClosedResourceError("this connection was closed")
        if self._end is not None:
            error = self._end.error()
            if isinstance(error, PeerClosed):
                return trio.BrokenResourceError(str(error))
            return error
        if not self._may_send:
            return trio.ClosedResourceError("we have said that we send nothing more")
        if self._outbox.failure is None:
            # Only a ping is told so early.
            return trio.BrokenResourceError("the peer ended the connection behind unread messages")
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
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            assert self._end is not None
            raise self._end.error() from None

    async def __anext__(self) -> str | bytes:
        """As `receive`, but for how it says that the peer ended the connection as the draft says.

        Here is the short way for what is told most: a message that has come already, or that the
        next bytes on a stream of our own complete. The rest, with its rules, is the inbox's.
        """
        inbox = self._inbox
        if inbox.reading is False and not self._receiving_parts:
            pace = self._pace
            if inbox.pending:
                # As `Pace.breathe`; here it costs less.
                pace.received += 1
                if pace.received >= MESSAGES_PER_PASS or perf_counter() > pace.due_at:
                    await pace.take_a_pass()
                else:
                    await checkpoint_if_cancelled()
            elif (some_bytes := inbox.begin_to_wait()) is not None:
                try:
                    await some_bytes
                    # As `Pace.note_pass`
                    pace.sent_before += pace.sent
                    pace.received = pace.sent = 0
                    pace.due_at = perf_counter() + SECONDS_PER_PASS
                    inbox.read_nowait()
                except trio.ClosedResourceError:
                    pass  # interrupted, and why is told below
                finally:
                    inbox.reading = False
                    if inbox.reader_left is not None:
                        inbox.reader_left.set()
            # Others may have run, so what was there may be gone.
            pending = inbox.pending
            if pending and type(pending[-1]) in _MESSAGES and not self._closed:
                return pending.pop()  # type: ignore[return-value]
        self._check_not_busy()
        try:
            event = await self._next_event()
        except PeerClosed:
            raise StopAsyncIteration from None
        assert isinstance(event, (str, bytes))
        return event

    async def receive_many(self) -> list[str | bytes]:
        """Receives all messages that are there, one at least: less work for each than `receive`.

        It waits as `receive` does, and returns what one read brought: 16 KiB at most, and the
        rest of a message that began before. Of what was compressed it is no further message once
        they have 64 KiB. Cancelling it loses nothing. A cancellation point and
        a schedule point as `receive` is.

        Raises:
            PeerClosed, ConnectionLost, PeerViolation, trio.ClosedResourceError,
            trio.BusyResourceError: as `receive`, when no message stands before that.
        """
        self._check_not_busy()
        await self._wait_for_event()
        if self._end is None:
            messages = self._inbox.take_messages()
            if messages:
                return messages
            self._reach(self._inbox.pending.pop())
        assert self._end is not None
        raise self._end.error()

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
        self._check_not_busy()
        self._receiving_parts = True
        stream: MessageStream | None = None
        try:
            event = await self._next_event(part=True)
            # A message that came at once is its own and only part.
            first = event if isinstance(event, Fragment) else Fragment(event, final=True)
            stream = MessageStream(self._next_fragment, first, isinstance(first.data, str))
            yield stream
        finally:
            self._receiving_parts = False
            if stream is not None and not stream.has_all:
                self._inbox.skip_message()

    async def _next_fragment(self) -> Fragment:
        event = await self._next_event()
        assert isinstance(event, Fragment)
        return event

    async def _next_event(self, *, part: bool = False) -> str | bytes | Fragment:
        """The next message, or fragment of one.

        Raises:
            Exception: what says that the connection has ended.
        """
        await self._wait_for_event(part=part)
        if self._end is None:
            event = self._inbox.pending.pop()
            if isinstance(event, (str, bytes, Fragment)):
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
        self._check_not_busy()
        await self._wait_for_event()

    @property
    def readable(self) -> bool:
        """Whether `receive` has a whole message, or the end, to tell at once."""
        inbox = self._inbox
        return bool(inbox.pending) or self._end is not None or inbox.has_come()

    def _check_not_busy(self) -> None:
        if self._receiving_parts:
            raise trio.BusyResourceError("a message is being received part by part")

    async def _wait_for_event(self, *, part: bool = False) -> None:
        if self._closed:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this connection was closed")
        await self._inbox.wait(ready=self._end is not None, part=part)
        if self._closed:
            raise trio.ClosedResourceError("this connection was closed")

    def _reach(self, event: Event | Ended) -> None:
        """An end has come to its turn."""
        if isinstance(event, Ended):
            self._end = event
            if event.kind is PeerClosed:
                self.closed_by = self.closed_by or _other(self.role)
            elif event.answer is not None:
                self.closed_by = self.closed_by or self.role
        else:
            assert isinstance(event, Close)
            self.close_received = event
            self.closed_by = self.closed_by or _other(self.role)
            facts = (event.code, event.reason)
            self._end = Ended(PeerClosed, facts, answer=attrs.evolve(event, reason=""))
        if not self._answers_late or self._end.kind is not PeerClosed:
            self._answer(self._end)

    def _answer(self, end: Ended) -> None:
        if end.answer is not None:
            self._send_close(end.answer)
        self._stop_sending()
        self._outbox.finish()
        self._outbox.flush()

    def _stop_sending(self) -> None:
        self._may_send = False
        self._keepalive.stop()

    def _send_close(self, close: Close) -> None:
        if self.close_sent is None and self.draft.closing_handshake:
            # A code that may be received may be sent, so an answer is never refused.
            wire = self._codec.encode(close)
            self._outbox.put(wire)
            self.close_sent = close if self.draft.close_status else Close()
            if isinstance(self._codec, InstrumentedCodec):
                self._codec.tell_sent(self.close_sent, wire)

    # Pings

    @property
    def latency(self) -> float | None:
        """Seconds that the latest answered ping took; None before the first."""
        return self._keepalive.latency

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
        # It may go between the fragments of a message, so it waits for no turn.
        await self._outbox.wait_for_room()
        if self.closed or self._inbox.heard_all:
            raise self._why_not_sendable()
        sent = self._keepalive.ping()
        self._inbox.read_ahead(
            self._upkeep.nursery, self._reach_if_first, lambda: self._keepalive.waiting
        )
        await sent.answered.wait()
        if sent.round_trip is None:
            raise self._why_not_sendable()
        return sent.round_trip

    # In numbers

    def statistics(self) -> ConnectionStatistics:
        """What was received and sent up to now, and what waits; also when it has ended."""
        inbox, outbox, keepalive, pace = self._inbox, self._outbox, self._keepalive, self._pace
        return ConnectionStatistics(
            opened_at=self.opened_at,
            last_heard=None if math.isinf(inbox.last_heard) else inbox.last_heard,
            messages_received=inbox.messages_heard,
            messages_sent=pace.sent_before + pace.sent,
            bytes_received=inbox.bytes_heard,
            bytes_sent=outbox.written,
            bytes_waiting=outbox.size,
            pings_received=keepalive.pings_received,
            pings_sent=keepalive.pings_sent,
            pongs_received=keepalive.pongs_received,
            latency=keepalive.latency,
            compression=self.compression,
        )

    @property
    def _code(self) -> int | None:
        """The code that was said by whoever closed first, or that it was lost."""
        lost = self._outbox.failure if self._end is None else self._end.kind is ConnectionLost
        if lost:
            return LOST
        first = self.close_sent if self.closed_by == self.role else self.close_received
        if first is None and self.draft.closing_handshake:
            return LOST
        return None if first is None else first.code

    # What upkeep asks for

    def _deadline(self) -> float:
        """When upkeep is to attend to it, unless the peer is heard from."""
        return self._keepalive.deadline(may_ping=self._may_ping)

    @property
    def _may_ping(self) -> bool:
        """Nobody is pinged who cannot be, cannot be written to, or will not answer."""
        return self.draft.ping and not self.closed and self._end is None

    def _attend(self) -> None:
        """Gives the peer up for having been silent too long, or asks whether it is there."""
        why = self._keepalive.attend(may_ping=self._may_ping)
        if why is not None:
            self._give_up(why, Close(1001, "silent"))

    def _give_up(self, reason: str, answer: Close) -> None:
        self._inbox.last_heard = math.inf
        self._inbox.add([Ended(ConnectionLost, (reason,), answer=answer)])
        self._reach_if_first()
        self._inbox.interrupt()

    def _look(self) -> trio.CancelScope | None:
        """Reads what is there, if nobody receives."""
        return self._inbox.look(self._upkeep.nursery, self._reach_if_first)

    def _reach_if_first(self) -> None:
        """Acts on an end that no message stands before; the answers to messages go before it."""
        if len(self._inbox.pending) == 1 and self._inbox.heard_all:
            self._reach(self._inbox.pending.pop())

    # What broadcast asks for

    @trio.lowlevel.enable_ki_protection
    def _offer(
        self, encode: Callable[[Codec], list[Buffer]], size: int, limit: int
    ) -> Literal["sent", "dropped", "gone", "unable"]:
        """Puts a message of `size` bytes that `encode` encodes, unless it would have to wait, or
        more than `limit` bytes would then wait for the peer; says what became of it.
        """
        if self.closed:
            return "gone"
        if self._sending_parts or (self._outbox.size and self._outbox.size + size > limit):
            return "dropped"
        try:
            self._write(encode(self._codec))
        except LocalProtocolError:
            return "unable"
        self._pace.sent_before += 1
        return "sent"

    def _cut(self, reason: str) -> None:
        """Ends a connection whose peer is too slow; whoever waits for it is told."""
        self._give_up(reason, Close(1008, "too slow"))
        self._stop_sending()
        self._outbox.hurry()

    # What bridge asks for

    @property
    def _ended(self) -> type[Exception] | None:
        """The kind of error that says how the peer ended, once that was reached."""
        return None if self._end is None else self._end.kind

    def _answer_late(self) -> None:
        """Leaves the peer's close unanswered when it is reached, so that the peer, which may still
        be listening, can be sent more; `_answer_now` or `aclose` has to follow.
        """
        self._answers_late = True

    @trio.lowlevel.enable_ki_protection
    def _answer_now(self) -> None:
        """Answers what was left unanswered, and again what is reached from now on."""
        if self._answers_late:
            self._answers_late = False
            if self._end is not None:
                self._answer(self._end)

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
        self._answer_now()
        self._gone = trio.Event()
        self._closed = True
        self._stop_sending()
        try:
            if not self._has_said_all():
                deadline = trio.current_time() + self._limits.close_timeout
                with trio.CancelScope(deadline=deadline, shield=True):
                    await self._close_in_order(Close(code, reason))
            if isinstance(self._stream, DirectStream):
                self._stream.close()
            else:
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(self._stream)
        finally:
            self._upkeep.forget(self)
            self._gone.set()
            if self._upkeep.instruments is not None:
                self._upkeep.instruments.tell("connection_closed", self)
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
        if not isinstance(self._stream, DirectStream):
            await self._stream.aclose()

    def _has_said_all(self) -> bool:
        """Whether both sides have said goodbye and all is written: nothing is to be waited for."""
        inbox = self._inbox
        ended = self._end is not None and (inbox.stream_ended or self.close_received is not None)
        return ended and inbox.is_left_alone and not self._outbox.size

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


_MESSAGES = (str, bytes)
_NORMAL = Close(1000)
_ids = itertools.count(1)


def _other(role: Role) -> Role:
    return "client" if role == "server" else "server"


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
