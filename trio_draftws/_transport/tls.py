"""TLS on top of a stream: of our own making where that is a socket, Trio's elsewhere.

`trio.SSLStream` takes a few passes of the scheduler for each message, as `trio.SocketStream` does.
`TLSStream` is a `DirectStream`: OpenSSL turns bytes into records and back in memory, and the socket
is read and written without asking the scheduler first. Its rules:

1. Nothing that was encrypted is encrypted again, or withdrawn: what the kernel does not take is
   kept, at most `RECORDS_AT_ONCE` bytes, and written before anything else. Until it is written,
   `send_nowait` does not count its plain text as taken.
2. One read gives what all records that are there hold, up to what was asked for.
3. What OpenSSL has to say itself, such as an answer to a change of keys, goes out with the next
   write, or at once if the kernel takes it.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

import attrs
import trio

from trio_draftws.drafts import Buffer

from .sockets import RECEIVE_SIZE, DirectStream, StreamFactory, TCPStream

# How much is encrypted before it is written: four records.
RECORDS_AT_ONCE = 65536


@attrs.define(eq=False)
class TLSStream(DirectStream):
    """TLS over a connected socket. `do_handshake` comes first."""

    _context: ssl.SSLContext
    _server_hostname: str | None
    """The name to ask for and to check the certificate against; None on a server."""
    _incoming: ssl.MemoryBIO = attrs.field(factory=ssl.MemoryBIO, init=False)
    _outgoing: ssl.MemoryBIO = attrs.field(factory=ssl.MemoryBIO, init=False)
    ssl_object: ssl.SSLObject = attrs.field(init=False)
    """What Python has to say of the session: `getpeercert`, `cipher`, `version`."""
    _socket_may_have_more: bool = attrs.field(default=False, init=False)
    _unsent: bytes = attrs.field(default=b"", init=False)
    """Records that the kernel has not taken."""
    _promised: int = attrs.field(default=0, init=False)
    """How many bytes of plain text are in them."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.ssl_object = self._context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=self._server_hostname is None,
            server_hostname=self._server_hostname,
        )

    async def do_handshake(self) -> None:
        """Shakes hands. A checkpoint; cancelled, the stream is good for nothing more.

        Raises:
            trio.BrokenResourceError: it failed, and the peer was told; the cause says why.
        """
        done = False
        while not done:
            try:
                self.ssl_object.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self._try_to_write_records()
                raise trio.BrokenResourceError("the TLS handshake failed") from error
            if done and self.ssl_object.version() == "TLSv1.3" and self.ssl_object.server_side:
                # Only session tickets are left. A client that sends, never reads and closes would
                # reset the connection over them, so they go with the first answer.
                self._unsent = self._outgoing.read()
                break
            while not self._write_records():
                await self.wait_writable()
            if not done:
                await self.wait_readable()
                self._read_records()
        # More may have come with the last of it.
        self.may_have_more = True

    def receive_nowait(self, max_bytes: int = RECEIVE_SIZE) -> bytes | None:
        self._check_open()
        if not self._has_records() and not self._read_records():
            return None
        parts: list[bytes] = []
        room = max_bytes
        ended = False
        while room and not ended and (self._has_records() or not parts):
            try:
                part = self.ssl_object.read(room)
            except ssl.SSLWantReadError:
                break  # the beginning of a record, or one without data
            except ssl.SSLEOFError:
                # Ended without TLS's goodbye, which everyone does for HTTP; the drafts' closing
                # frames tell a cut from an end.
                part = b""
            except ssl.SSLError as error:
                raise trio.BrokenResourceError(f"TLS broke: {error}") from error
            ended = not part
            parts.append(part)
            room -= len(part)
        self.may_have_more = self._socket_may_have_more or self._has_records()
        if self._outgoing.pending:
            self._try_to_write_records()
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        return data if data or ended else None

    def receive_into_nowait(self, place: memoryview) -> int | None:
        data = self.receive_nowait(len(place))
        if data is None:
            return None
        place[: len(data)] = data
        return len(data)

    def _has_records(self) -> bool:
        return bool(self._incoming.pending or self.ssl_object.pending() or self._incoming.eof)

    def _read_records(self) -> bool:
        """Reads what has come; says whether anything has, the end included."""
        raw = super().receive_nowait()
        self._socket_may_have_more = self.may_have_more
        if raw is None:
            return False
        if raw:
            self._incoming.write(raw)
        else:
            self._incoming.write_eof()
        return True

    def send_nowait(self, buffers: Sequence[Buffer]) -> int:
        self._check_open()
        if self._unsent and not self._write_records():
            return 0
        sent, self._promised = self._promised, 0
        skip = sent
        for buffer in buffers:
            if skip >= len(buffer):
                skip -= len(buffer)
                continue
            with memoryview(buffer) as view:
                for begin in range(skip, len(view), RECORDS_AT_ONCE):
                    with view[begin : begin + RECORDS_AT_ONCE] as piece:
                        self._encrypt(piece)
                        if not self._write_records():
                            self._promised = len(piece)
                            return sent
                        sent += len(piece)
            skip = 0
        return sent

    def _encrypt(self, piece: memoryview) -> None:
        try:
            self.ssl_object.write(piece)
        except ssl.SSLError as error:
            # Among them that the peer wants to negotiate anew first, which nobody does any more.
            raise trio.BrokenResourceError(f"TLS broke: {error}") from error

    def _write_records(self) -> bool:
        """Writes what OpenSSL has made; says whether the kernel took all of it."""
        records = self._unsent + self._outgoing.read() if self._unsent else self._outgoing.read()
        if records:
            self._unsent = records
            self._unsent = records[super().send_nowait([records]) :]
        return not self._unsent

    def _try_to_write_records(self) -> None:
        """The same for what OpenSSL has to say itself: whoever sends next hears of a failure."""
        try:
            self._write_records()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def close(self) -> None:
        if not self.closed:
            try:
                self.ssl_object.unwrap()
            except (ssl.SSLError, ValueError):
                pass  # it waits for the peer's goodbye, as we do not; or there was no handshake
            self._try_to_write_records()
        super().close()


def ssl_stream_factory(
    context: ssl.SSLContext, *, server_hostname: str | None = None
) -> StreamFactory:
    """A `stream_factory` that speaks TLS.

    Args:
        context: the TLS settings; on a server it holds the certificate.
        server_hostname: on a client, the name to ask for (SNI) and to check the certificate
            against; without it the factory is for a server.

    The factory shakes hands before it returns, so that a bad certificate shows at once. Where the
    peer ends TCP without TLS's own goodbye, that is taken as the end of the stream, as everyone
    does for HTTP; the drafts' closing frames tell a cut from an end.
    """

    async def factory(stream: trio.abc.Stream) -> trio.abc.Stream:
        # Not a TLSStream, as the way to an https proxy is: there, TLS goes into TLS.
        if isinstance(stream, TCPStream):
            direct = TLSStream(stream.socket, context, server_hostname)
            await direct.do_handshake()
            return direct
        ssl_stream = trio.SSLStream(
            stream,
            context,
            server_hostname=server_hostname,
            server_side=server_hostname is None,
            https_compatible=True,
        )
        await ssl_stream.do_handshake()
        return ssl_stream

    return factory


def is_secure(stream: trio.abc.Stream) -> bool:
    """Whether the stream speaks TLS of our own making or of the caller's."""
    return isinstance(stream, (TLSStream, trio.SSLStream))
