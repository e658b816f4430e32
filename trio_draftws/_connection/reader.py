"""Reads one stream into a protocol object, and reports when the input has ended.

Who may read, and when, is up to the `Receiver`. What was read is decoded and kept before the next
checkpoint, so cancelling a read loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import trio

from trio_draftws._transport import platform
from trio_draftws._transport.sockets import (
    RECEIVE_SIZE,
    DirectStream,
    TCPStream,
    as_trio_error,
    without_tracebacks,
)
from trio_draftws.drafts import Event, ShortReceive, WebSocketProtocol

from .observers import NOBODY_OBSERVES, ReceiverObserver

# How much is read at once to where it will stay: as much as has come, but others want their turn.
LONG_READ = 262144


@attrs.define(eq=False, weakref_slot=False, kw_only=True)
class StreamReader:
    """Reads one stream into the protocol object."""

    stream: trio.abc.Stream
    _protocol: WebSocketProtocol
    _now: Callable[[], float]
    """Like `trio.current_time`, only faster."""
    _observer: ReceiverObserver
    stream_ended: bool = False
    direct: DirectStream | None = attrs.field(init=False)
    """The stream, if it is one of our own."""
    _receive_short: ShortReceive | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.direct = self.stream if isinstance(self.stream, DirectStream) else None
        plain = type(self.stream) is TCPStream and platform.SOCKETS_ARE_FILES
        self._receive_short = self._protocol.codec.receive_short if plain else None

    @property
    def has_more(self) -> bool:
        """Whether there is more inside, of which the descriptor says nothing."""
        stream = self.direct
        inside = stream is not None and (stream.may_have_more or stream.has_buffered)
        return inside or self._protocol.codec.has_more_output

    def read_once(self, most: int = RECEIVE_SIZE) -> None:
        """Reads what a stream of our own has now, if anything."""
        stream = self.direct
        assert stream is not None
        codec = self._protocol.codec
        try:
            if self._receive_short is not None and codec.between_messages and most == RECEIVE_SIZE:
                # Most of what comes is whole short messages: received and decoded in one step
                messages: list[Event] = []
                received = self._receive_short(stream.fileno, messages)
                if isinstance(received, int) and received:
                    stream.note_received(received)
                    self._protocol.add_messages(messages, received, self._now())
                    return
                self._note_received(stream, messages, received)
            elif (buffer := codec.get_buffer()) is None:
                data = stream.receive_nowait(most)
                if data is not None:
                    self._feed(data)
            else:
                if most == RECEIVE_SIZE:
                    most = LONG_READ
                size = stream.receive_into_nowait(buffer[:most])
                if size is not None:
                    self.stream_ended = not size
                    self._protocol.buffer_updated(size, self._now())
        except OSError as error:
            broken = as_trio_error(error)
            broken.__cause__ = error
            self._note_lost(str(broken), broken)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._note_lost(str(error), error)
        self._report_end()

    def _note_received(
        self, stream: DirectStream, messages: list[Event], received: int | tuple[int, bytes] | None
    ) -> None:
        """Takes what `receive_short` returned if that is no count of bytes that were all decoded.

        Args:
            received: None if nothing was there; how many bytes were read, and those of them behind
                the whole short messages; or 0 at the end of the stream.
        """
        if isinstance(received, tuple):
            size, rest = received
            stream.note_received(size)
            self._protocol.add_messages(messages, size - len(rest), self._now())
            self._feed(rest)
        elif received is None:
            stream.note_received(0)
        else:
            self._feed(b"")

    def feed(self, data: bytes | bytearray) -> None:
        """Takes bytes that were read, also those behind the opening handshake; none are the end."""
        self._feed(data)
        self._report_end()

    def _feed(self, data: bytes | bytearray) -> None:
        self.stream_ended = not data
        self._protocol.feed(data, self._now())

    def _feed_rest(self) -> None:
        self._protocol.feed_rest(self._now())
        self._report_end()

    def _report_end(self) -> None:
        if self._protocol.end is not None:
            self._observer.on_end()

    def _lose(self, reason: str, cause: BaseException) -> None:
        self._note_lost(reason, cause)
        self._report_end()

    def _note_lost(self, reason: str, cause: BaseException) -> None:
        self.stream_ended = True
        self._protocol.note_transport_lost(reason, without_tracebacks(cause), self._now())

    def forget_observer(self) -> None:
        """Reports nothing more: the connection is over."""
        self._observer = NOBODY_OBSERVES

    async def _read_foreign(self, most: int) -> None:
        try:
            data = await self.stream.receive_some(most)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._lose(str(error) or "the stream broke", error)
        else:
            self.feed(data)

    async def discard_some(self) -> None:
        """Reads on for the peer's end, a Close or the end of the stream; drops messages."""
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
