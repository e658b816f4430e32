"""What goes over the wire, for people: heads line by line, then each frame.

A `Tap` stands on top of TLS. What it saw waits in its `Trace` until the next read or write, which
writes it out first: so nothing that was received can be lost by a cancellation, and whoever does
not read the trace holds up the connection, not the memory.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import attrs
import trio

from trio_draftws import Connection
from trio_draftws.drafts import (
    Buffer,
    HandshakeRequest,
    Request,
    Role,
    WebSocketURL,
    connection_masking_key,
    find_head_end,
)

from ._frames import SHOWN, FrameReader, frame_reader
from ._interactive import Assembler
from ._stdio import CommandError, escape

SENT, RECEIVED = "->", "<-"


@attrs.define(eq=False)
class Trace:
    """The lines that are to be written, and who writes them."""

    write: Callable[[str], Awaitable[None]]
    _lines: list[str] = attrs.field(factory=list, init=False)
    _in_turn: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _tap: Tap | None = attrs.field(default=None, init=False)

    def watch(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        """The same stream, with a tap on it."""
        self.end()
        half_closeable = isinstance(stream, trio.abc.HalfCloseableStream)
        self._tap = (HalfCloseableTap if half_closeable else Tap)(stream, self)
        return self._tap

    def opened(self, connection: Connection, url: str) -> None:
        """Says what the stream that was watched last speaks from here on."""
        assert self._tap is not None
        self._tap.opened(connection, url)

    def end(self) -> None:
        """Notes what the stream that was watched last left without a meaning."""
        # An attempt that failed does not close its tap, but the stream beneath.
        if self._tap is not None:
            self._tap.sent.end(self)
            self._tap.received.end(self)

    def note(self, direction: str, text: str) -> None:
        """Adds a line."""
        self._lines.append(f"{direction} {escape(text)}")

    async def flush(self) -> None:
        """Writes what waits. Where that cannot be done, nothing is: the connection matters more."""
        async with self._in_turn:
            lines, self._lines = self._lines, []
            try:
                for line in lines:
                    await self.write(line)
            except CommandError:
                pass


@attrs.frozen
class BehindTrace:
    """Messages, each behind the frames that it came in."""

    messages: Assembler
    trace: Trace

    async def write_line(self, line: str | bytes) -> None:
        await self.trace.flush()
        await self.messages.write_line(line)


@attrs.define(eq=False)
class Direction:
    """One direction: heads, then bytes of which nobody knows yet what they say, then frames."""

    sign: str
    head: bytes = b""
    _buffer: bytearray = attrs.field(factory=bytearray, init=False)
    _frames: FrameReader | None = attrs.field(default=None, init=False)

    def feed(self, data: Buffer, trace: Trace) -> None:
        """Notes what `data` completes."""
        if self._frames is not None:
            self._note_frames(self._frames, bytes(data), trace)
            return
        self._buffer += data
        while _is_interim(self.head) and (end := find_head_end(self._buffer, 0)) >= 0:
            self.head = bytes(self._buffer[:end])
            del self._buffer[:end]
            for line in self.head.rstrip(b"\r\n").split(b"\r\n"):
                trace.note(self.sign, line.decode("utf-8", "backslashreplace"))

    def opened(self, frames: FrameReader, body: int, trace: Trace) -> None:
        """Says that frames follow, behind a body of so many bytes."""
        self._frames = frames
        if body:
            trace.note(self.sign, f"{self._buffer[:body].hex(' ')}  the handshake's {body} bytes")
        self._note_frames(frames, bytes(self._buffer[body:]), trace)
        self._buffer.clear()

    def _note_frames(self, frames: FrameReader, data: bytes, trace: Trace) -> None:
        for frame in frames.feed(data):
            trace.note(self.sign, str(frame))

    def end(self, trace: Trace) -> None:
        """Notes what never got a meaning, as the body of a refusal."""
        if self._buffer:
            more = " …" if len(self._buffer) > SHOWN else ""
            text = f"{self._buffer[:SHOWN].hex(' ')}{more}  {len(self._buffer)} bytes"
            trace.note(self.sign, text)
            self._buffer.clear()


def _is_interim(head: bytes) -> bool:
    """Whether another head follows: it is none yet, or a status of 1xx (RFC 9110 section 15.2)."""
    return not head or re.match(rb"HTTP/\S* 1(?!01)", head) is not None


@attrs.define(eq=False)
class Tap(trio.abc.Stream):
    """A client's stream, of which a `Trace` tells. Otherwise it is as the one beneath."""

    inner: trio.abc.Stream
    trace: Trace
    sent: Direction = attrs.field(factory=lambda: Direction(SENT), init=False)
    received: Direction = attrs.field(factory=lambda: Direction(RECEIVED), init=False)

    def opened(self, connection: Connection, url: str) -> None:
        """Says what it speaks from here on."""
        draft = connection.draft
        opening = draft.opening.ask(HandshakeRequest(WebSocketURL.parse(url)), draft.subprotocols)
        key = connection_masking_key(Request.parse(self.sent.head).headers, connection.headers)
        server: Role = "server"
        self.sent.opened(frame_reader(draft, "client", key), draft.opening.request_body, self.trace)
        self.received.opened(frame_reader(draft, server, key), opening.response_body, self.trace)

    async def send_all(self, data: Buffer) -> None:
        self.sent.feed(data, self.trace)
        await self.trace.flush()
        await self.inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await self.trace.flush()
        data = await self.inner.receive_some(max_bytes)
        self.received.feed(data, self.trace)
        if not data:
            self.trace.note(RECEIVED, "end")
        return data

    async def aclose(self) -> None:
        await self.inner.aclose()


class HalfCloseableTap(Tap, trio.abc.HalfCloseableStream):
    """The same where one side can be ended."""

    inner: trio.abc.HalfCloseableStream

    async def send_eof(self) -> None:
        self.trace.note(SENT, "end")
        await self.inner.send_eof()
