"""TLS over a stream: our own `TLSStream` over a socket, `trio.SSLStream` over any other.

`trio.SSLStream` takes a few passes of the scheduler for each message, as `trio.SocketStream` does.
`TLSStream` is a `DirectStream`: OpenSSL turns bytes into records and back in memory, and the socket
is read and written without a pass of the scheduler. Its rules:

1. What was encrypted is never encrypted again or dropped: if the kernel does not take it, it is
   kept, at most `RECORDS_AT_ONCE` bytes, and written before anything else. Until it is written,
   `send_nowait` does not count its plaintext as sent.
2. One read returns what the records that have arrived contain, up to the size that was asked for.
   It reads from the kernel once, and skips at most `RECORDS_WITHOUT_DATA` records without data: a
   key update takes 30 µs.
3. OpenSSL's own output, such as the answer to a key update, goes out with the next write, or at
   once if the kernel takes it. While more than `MAX_OUTPUT` bytes of it wait, nothing is read. So
   a peer that makes us answer, and reads nothing, has to wait and cannot fill our memory. What
   `send_nowait` encrypted does not count, or two peers that both send much would deadlock.
4. OpenSSL gets one record at a time, and the size of its output is checked after each. That is as
   fine as it gets: all handshake messages in one record of 16 KiB are answered together.
5. Two tasks may wait until the kernel takes bytes: a writer, and a reader that is blocked by
   output. Trio allows one task for each descriptor, so the second waits for the first, and takes
   its place if that stops waiting.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import attrs
import trio

from trio_draftws._settings.checks import check_kind, check_ssl_context
from trio_draftws.drafts import Buffer, tls_name

from .sockets import RECEIVE_SIZE, DirectStream, StreamFactory, TCPStream

# How much is encrypted before it is written: four records.
RECORDS_AT_ONCE = 65536
# How much of OpenSSL's own output may wait before reading stops
MAX_OUTPUT = 65536
RECORDS_WITHOUT_DATA = 32
# RFC 8446 section 5.1: the bytes before each record's payload
HEADER_SIZE = 5


@attrs.define(eq=False)
class TLSStream(DirectStream):
    """TLS over a connected socket. Call `do_handshake` first."""

    _context: ssl.SSLContext
    _server_hostname: str | None = attrs.field(kw_only=True)
    """The name for SNI and for checking the certificate; None on a server."""
    _incoming: ssl.MemoryBIO = attrs.field(factory=ssl.MemoryBIO, init=False)
    _outgoing: ssl.MemoryBIO = attrs.field(factory=ssl.MemoryBIO, init=False)
    ssl_object: ssl.SSLObject = attrs.field(init=False)
    """Information about the session: `getpeercert`, `cipher`, `version`."""
    _socket_may_have_more: bool = attrs.field(default=False, init=False)
    _records: bytes = attrs.field(default=b"", init=False)
    """What was read from the kernel; OpenSSL still has to get what begins at `_next`."""
    _next: int = attrs.field(default=0, init=False)
    _header: bytes = attrs.field(default=b"", init=False)
    """An incomplete record header, to be continued by the next read."""
    _missing: int = attrs.field(default=0, init=False)
    """How many bytes are missing of the last record that OpenSSL got."""
    _has_plain_text: bool = attrs.field(default=False, init=False)
    """Whether OpenSSL has more plaintext of the last record."""
    _has_ended: bool = attrs.field(default=False, init=False)
    """Whether the peer sent close_notify, or ended TCP."""
    _unsent: bytes = attrs.field(default=b"", init=False)
    """Records that the kernel has not taken."""
    _unsent_plain: int = attrs.field(default=0, init=False)
    """How many bytes of plaintext they contain."""
    _failed: bool = attrs.field(default=False, init=False)
    """Whether a write failed; nothing is written any more."""
    _writable: trio.Event | None = attrs.field(default=None, init=False)
    """Exists while a task waits until the kernel takes bytes; set when it stops waiting."""
    _interrupts: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.ssl_object = self._context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=self._server_hostname is None,
            server_hostname=self._server_hostname,
        )

    async def do_handshake(self) -> None:
        """Does the TLS handshake. A checkpoint; if it is cancelled, the stream is unusable.

        Raises:
            trio.BrokenResourceError: it failed, and the peer got an alert; the cause says why.
        """
        done = False
        while not done:
            try:
                self.ssl_object.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.flush_nowait()
                raise trio.BrokenResourceError("the TLS handshake failed") from error
            if done and self.ssl_object.version() == "TLSv1.3" and self.ssl_object.server_side:
                # Only session tickets are left. If a client sends, never reads and closes, unread
                # tickets would make its kernel reset the connection. So they go out with the first
                # answer.
                self._unsent = self._outgoing.read()
                break
            while not self._write_records():
                await self.wait_writable()
            if not done:
                await self.wait_readable()
                if self._read_records() and not self._has_ended:
                    self._incoming.write(self._records)
                    self._records = b""
        # More may have come with the end of the handshake; it begins with a whole record.
        self._records = self._incoming.read()
        self.may_have_more = True

    def receive_nowait(self, max_bytes: int = RECEIVE_SIZE) -> bytes | None:
        parts: list[bytes] = []
        if self._receive(max_bytes, parts, None) is None:
            return None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def receive_into_nowait(self, buffer: memoryview) -> int | None:
        return self._receive(len(buffer), [], buffer)

    def _receive(self, room: int, parts: list[bytes], buffer: memoryview | None) -> int | None:
        """Reads into `buffer`, or appends to `parts`; returns how many bytes, or None."""
        self._check_open()
        if self.blocked_by_output:
            self.flush_nowait()
            if self.blocked_by_output:
                return None
        received = 0
        has_received = False
        without_data = 0
        has_read = False
        read_at_once = RECEIVE_SIZE if buffer is None else RECORDS_AT_ONCE
        while room:
            if not (
                self._has_plain_text or (self._records and self._decode_next()) or self._has_ended
            ):
                if has_read or has_received or not self._read_records(read_at_once):
                    break
                has_read = True
                continue
            wanted = min(room, RECEIVE_SIZE)
            try:
                if buffer is None:
                    parts.append(self.ssl_object.read(wanted))
                    size = len(parts[-1])
                else:
                    with buffer[received : received + wanted] as part:
                        # With a buffer it returns how many bytes it read.
                        size = self.ssl_object.read(wanted, part)  # type: ignore[assignment]
            except ssl.SSLWantReadError:
                without_data += 1
                if without_data == RECORDS_WITHOUT_DATA or self._too_much_output():
                    break
                continue
            except ssl.SSLEOFError:
                # TCP ended without close_notify, as is common for HTTP. The drafts' closing frames
                # make truncation detectable.
                size = 0
            except ssl.SSLError as error:
                raise trio.BrokenResourceError(f"TLS broke: {error}") from error
            has_received = True
            received += size
            if not size:
                self._has_ended = True
                break
            room -= size
            self._has_plain_text = size == wanted and self.ssl_object.pending() > 0
        self.may_have_more = self._socket_may_have_more or self.has_buffered
        if self._outgoing.pending:
            self.flush_nowait()
        return received if has_received else None

    @property
    def has_buffered(self) -> bool:
        return bool(self._records) or self._has_plain_text or self._has_ended

    def _read_records(self, most: int = RECEIVE_SIZE) -> bool:
        """Reads what has arrived; returns whether anything has, including the end."""
        raw = super().receive_nowait(most)
        self._socket_may_have_more = self.may_have_more
        if raw is None:
            return False
        records, self._header = self._header + raw, b""
        if raw:
            self._records = records
        else:
            self._incoming.write(records)
            self._incoming.write_eof()
            self._has_ended = True
        return True

    def _decode_next(self) -> bool:
        """Passes the next record to OpenSSL; returns whether it is complete, so can be read."""
        records, begin = self._records, self._next
        size = self._missing
        if not size:
            if len(records) - begin < HEADER_SIZE:
                self._header = records[begin:]
                self._records, self._next = b"", 0
                return False
            # RFC 8446 section 5.1: a type, a version, and the length of the rest in two bytes
            size = HEADER_SIZE + (records[begin + 3] << 8 | records[begin + 4])
        if not begin and size >= len(records):
            # The common case: one record, or the rest of one
            self._missing = size - self._incoming.write(records)
        else:
            with memoryview(records)[begin : begin + size] as record:
                self._missing = size - self._incoming.write(record)
        self._next = begin + size
        if self._next >= len(records):
            self._records, self._next = b"", 0
        return not self._missing

    def send_nowait(self, buffers: Sequence[Buffer]) -> int:
        self._check_open()
        if (self._unsent or self._failed) and not self._write_records():
            return 0
        sent, self._unsent_plain = self._unsent_plain, 0
        skip = sent
        for buffer in buffers:
            if skip >= len(buffer):
                skip -= len(buffer)
                continue
            with memoryview(buffer) as view:
                for begin in range(skip, len(view), RECORDS_AT_ONCE):
                    with view[begin : begin + RECORDS_AT_ONCE] as piece:
                        self._encrypt(piece)
                        self._unsent_plain = len(piece)
                        if not self._write_records():
                            return sent
                        self._unsent_plain = 0
                        sent += len(piece)
            skip = 0
        return sent

    def _encrypt(self, piece: memoryview) -> None:
        try:
            self.ssl_object.write(piece)
        except ssl.SSLError as error:
            # This includes a peer that wants to renegotiate first, which nobody does any more.
            raise trio.BrokenResourceError(f"TLS broke: {error}") from error

    @property
    def unsent(self) -> int:
        return len(self._unsent) + self._outgoing.pending

    def _too_much_output(self) -> bool:
        return self.unsent - self._unsent_plain > MAX_OUTPUT

    def _write_records(self) -> bool:
        """Writes OpenSSL's output; returns whether the kernel took all of it."""
        records = self._unsent + self._outgoing.read()
        if self._failed:
            raise trio.BrokenResourceError("the connection broke while TLS had something to say")
        if records:
            try:
                self._unsent = records[super().send_nowait([records]) :]
            except trio.BrokenResourceError:
                self._failed = True
                self._unsent = b""
                self._update_blocked()
                raise
            if self._unsent or self.blocked_by_output:
                self._update_blocked()
        return not self._unsent

    def _update_blocked(self) -> None:
        was_blocked = self.blocked_by_output
        self.blocked_by_output = self._too_much_output()
        if self.blocked_by_output:
            self.may_have_more = False
        elif was_blocked:
            self.may_have_more = True

    def flush_nowait(self) -> None:
        try:
            self._write_records()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def wait_readable(self) -> None:
        """Waits until output does not block reading, and then until there is something to read."""
        self._check_open()
        interrupts = self._interrupts
        while self.blocked_by_output:
            await self._wait_until_writable()
            # An `interrupt` after the event, and before this task ran, had no task to wake.
            if self._interrupts != interrupts:
                raise trio.ClosedResourceError("another task interrupted this one")
            self.flush_nowait()
        if self.has_buffered:
            await trio.lowlevel.checkpoint()
            self.may_have_more = True
        else:
            await super().wait_readable()

    async def wait_writable(self) -> None:
        waited = False
        while not waited:
            self._check_open()
            try:
                waited = await self._wait_until_writable()
            except trio.ClosedResourceError:
                pass  # an `interrupt`, which is for readers; or closed, which the loop checks

    async def _wait_until_writable(self) -> bool:
        """Waits for the kernel, or for the task that does; returns whether it was the kernel."""
        if self._writable is not None:
            await self._writable.wait()
            self._check_open()
            return False
        self._writable = trio.Event()
        try:
            await trio.lowlevel.wait_writable(self.fileno)
        finally:
            self._writable.set()
            self._writable = None
        return True

    def interrupt(self) -> None:
        self._interrupts += 1
        super().interrupt()

    def close(self, *, awaited: bool = True) -> None:
        if not self.closed:
            try:
                self.ssl_object.unwrap()
            except (ssl.SSLError, ValueError):
                pass  # the peer's close_notify is missing, and not waited for; or no handshake
            self.flush_nowait()
        super().close(awaited=awaited)


def ssl_stream_factory(
    context: ssl.SSLContext, *, server_hostname: str | None = None
) -> StreamFactory:
    """Returns a `stream_factory` that speaks TLS.

    The factory does the TLS handshake before it returns, so a bad certificate is reported at once.
    If the peer ends TCP without TLS's close_notify, that is the end of the stream, as is common for
    HTTP; the drafts' closing frames make truncation detectable. Calling the factory is a
    checkpoint; if it is cancelled, close the stream.

    Args:
        context: the TLS settings; on a server it contains the certificate.
        server_hostname: on a client, the name for SNI and for checking the certificate; a final
            dot is removed. Without it the factory is for a server.

    Raises:
        TypeError: the context is not an `ssl.SSLContext`, or the name is not a str.
        ValueError: the context is for the other side, or `server_hostname` is not a host name.
    """
    check_kind("context", context, ssl.SSLContext, "an ssl.SSLContext")
    check_ssl_context("context", context, server_side=server_hostname is None)
    if server_hostname is not None:
        check_kind("server_hostname", server_hostname, str, "a str")
    name = None if server_hostname is None else tls_name(server_hostname)

    async def factory(stream: trio.abc.Stream) -> trio.abc.Stream:
        # Not over a TLSStream, which is what a tunnel through an https proxy is.
        if isinstance(stream, TCPStream):
            direct = TLSStream(stream.socket, context, server_hostname=name)
            await direct.do_handshake()
            return direct
        ssl_stream = trio.SSLStream(
            stream,
            context,
            server_hostname=name,
            server_side=name is None,
            https_compatible=True,
        )
        await ssl_stream.do_handshake()
        return ssl_stream

    return factory


def is_secure(stream: trio.abc.Stream) -> bool:
    """Returns whether the stream is TLS, either ours or Trio's."""
    return isinstance(stream, (TLSStream, trio.SSLStream))


def ssl_object_of(stream: trio.abc.Stream) -> ssl.SSLObject | None:
    """Returns the TLS session of a stream, either ours or Trio's; None without TLS."""
    if isinstance(stream, TLSStream):
        return stream.ssl_object
    if isinstance(stream, trio.SSLStream):
        # Trio documents that it forwards the methods of its SSLObject, but not the object itself.
        owner = stream.getpeercert.__self__
        return owner if isinstance(owner, ssl.SSLObject) else None
    return None
