"""`connect --verbose`: shows what goes over the wire, heads line by line, then each frame.

A `TracedStream` wraps the stream, on top of TLS. The lines wait in the `Trace` until the next read
or write, which first writes them out. So cancelling a read loses no data, and if the trace is not
read, the connection has to wait and no memory fills up.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import attrs
import trio

from trio_draftws import Connection
from trio_draftws.drafts import (
    Buffer,
    FrameReader,
    HandshakeRequest,
    Request,
    Role,
    WebSocketURL,
    connection_masking_key,
    find_head_end,
    frame_reader,
)

from ._interactive import MessageWriter
from ._stdio import CommandError, escape

SENT, RECEIVED = "->", "<-"
# How many bytes are shown of what follows a head without being frames
MAX_SHOWN = 32


@attrs.define(eq=False, kw_only=True)
class Trace:
    """The lines that wait to be written."""

    _write: Callable[[str], Awaitable[None]]
    _lines: list[str] = attrs.field(factory=list, init=False)
    _flushing: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _stream: TracedStream | None = attrs.field(default=None, init=False)

    def write_to(self, write: Callable[[str], Awaitable[None]]) -> None:
        """Writes lines by calling `write` from now on."""
        self._write = write

    def watch(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        """Returns a stream that works like `stream`, and is traced."""
        self.end()
        half_closeable = isinstance(stream, trio.abc.HalfCloseableStream)
        kind = HalfCloseableTracedStream if half_closeable else TracedStream
        self._stream = kind(inner=stream, trace=self)
        return self._stream

    def opened(self, connection: Connection, url: str) -> None:
        """Starts to show frames: the opening handshake on the last stream has succeeded."""
        assert self._stream is not None
        self._stream.opened(connection, url)

    def end(self) -> None:
        """Adds what is left over from the last stream."""
        # Called here, since an attempt that fails closes the inner stream, not the traced one
        if self._stream is not None:
            self._stream.sent.end(self)
            self._stream.received.end(self)

    def add(self, direction: str, text: str) -> None:
        """Adds a line."""
        self._lines.append(f"{direction} {escape(text)}")

    async def flush(self) -> None:
        """Writes the lines. If that fails, they are dropped, and the connection goes on."""
        async with self._flushing:
            lines, self._lines = self._lines, []
            try:
                for line in lines:
                    await self._write(line)
            except CommandError:
                pass


@attrs.frozen(kw_only=True)
class TracedWriter:
    """Writes each message after the trace of its frames."""

    messages: MessageWriter
    trace: Trace

    async def write_line(self, line: str | bytes) -> None:
        await self.trace.flush()
        await self.messages.write_line(line)


@attrs.define(eq=False, kw_only=True)
class Direction:
    """One direction of a stream: heads, then bytes that are kept until `opened`, then frames."""

    sign: str
    head: bytes = b""
    _buffer: bytearray = attrs.field(factory=bytearray, init=False)
    _frames: FrameReader | None = attrs.field(default=None, init=False)

    def feed(self, data: Buffer, trace: Trace) -> None:
        """Adds to the trace what `data` completes."""
        if self._frames is not None:
            self._add_frames(self._frames, bytes(data), trace)
            return
        self._buffer += data
        while _is_interim(self.head) and (end := find_head_end(self._buffer, 0)) >= 0:
            self.head = bytes(self._buffer[:end])
            del self._buffer[:end]
            for line in self.head.rstrip(b"\r\n").split(b"\r\n"):
                trace.add(self.sign, line.decode("utf-8", "backslashreplace"))

    def opened(self, frames: FrameReader, body: int, trace: Trace) -> None:
        """Reads what follows as `body` bytes of the opening handshake, and then as frames."""
        self._frames = frames
        if body:
            trace.add(self.sign, f"{self._buffer[:body].hex(' ')}  the handshake's {body} bytes")
        self._add_frames(frames, bytes(self._buffer[body:]), trace)
        self._buffer.clear()

    def _add_frames(self, frames: FrameReader, data: bytes, trace: Trace) -> None:
        for frame in frames.feed(data):
            trace.add(self.sign, str(frame))

    def end(self, trace: Trace) -> None:
        """Adds the bytes whose meaning is unknown, such as the body of a refusal."""
        if self._buffer:
            more = " …" if len(self._buffer) > MAX_SHOWN else ""
            text = f"{self._buffer[:MAX_SHOWN].hex(' ')}{more}  {len(self._buffer)} bytes"
            trace.add(self.sign, text)
            self._buffer.clear()


def _is_interim(head: bytes) -> bool:
    """Returns whether another head follows: after none, or a status 1xx (RFC 9110 section 15.2)."""
    return not head or re.match(rb"HTTP/\S* 1(?!01)", head) is not None


@attrs.define(eq=False, kw_only=True)
class TracedStream(trio.abc.Stream):
    """A client's stream that works like `inner`, and adds what passes to a `Trace`."""

    inner: trio.abc.Stream
    trace: Trace
    sent: Direction = attrs.field(factory=lambda: Direction(sign=SENT), init=False)
    received: Direction = attrs.field(factory=lambda: Direction(sign=RECEIVED), init=False)

    def opened(self, connection: Connection, url: str) -> None:
        """Starts to show frames, those of the connection's draft."""
        draft = connection.draft
        opening = draft.opening.ask(HandshakeRequest(WebSocketURL.parse(url)), draft.subprotocols)
        request = Request.parse(self.sent.head)
        key = connection_masking_key(request.headers, connection.headers)
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
            self.trace.add(RECEIVED, "end")
        return data

    async def aclose(self) -> None:
        await self.inner.aclose()


class HalfCloseableTracedStream(TracedStream, trio.abc.HalfCloseableStream):
    """A `TracedStream` over a stream that can end one side."""

    inner: trio.abc.HalfCloseableStream

    async def send_eof(self) -> None:
        self.trace.add(SENT, "end")
        await self.inner.send_eof()
