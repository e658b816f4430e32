"""What both sides of an opening handshake need: to read a head, and to be done in time.

Whoever calls sets the deadline: one for TLS, head and body together.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import attrs
import trio

from trio_draftws._exceptions import HandshakeTimeout, TLSFailed
from trio_draftws._settings.checks import awaitable, check_kind, several
from trio_draftws.drafts import (
    MAX_LINE,
    BadHead,
    HandshakeError,
    Response,
    find_head_end,
    line_too_long,
    may_begin_head,
    shown,
)

from .sockets import DirectStream, StreamFactory

# How many answers of 1xx may come before the final one
MAX_INTERIM = 32
# How long to listen, in seconds, to a peer that takes nothing any more
LAST_WORDS = 0.5


@attrs.define
class HeadReader:
    """Reads what opens a stream, and keeps what comes behind it."""

    stream: trio.abc.Stream
    buffer: bytearray = attrs.field(factory=bytearray)

    async def read_head(self, max_size: float, begins: bytes = b"") -> bytes:
        """The head, its blank line included.

        Raises:
            BadHead: it is longer than `max_size` bytes, or its first line than `MAX_LINE`; or it
                does not begin as it should.
            HandshakeError: the stream ended first.
        """
        searched = 0
        while True:
            end = find_head_end(self.buffer, searched)
            if end > max_size or (end < 0 and len(self.buffer) >= max_size):
                longest = min(max_size, MAX_LINE)
                if b"\r\n" not in self.buffer[: int(longest) + 2]:
                    raise line_too_long(longest)
                raise BadHead(f"the head is longer than {max_size} bytes", 431)
            if end >= 0:
                return self._take(end)
            begun = bytes(self.buffer[: len(begins)])
            if self.buffer and not (begins.startswith(begun) and may_begin_head(self.buffer)):
                raise BadHead(f"expected HTTP, got {_no_http(bytes(self.buffer[:16]))}")
            searched = len(self.buffer)
            await self._read_more()

    async def read_answer(self, max_size: float) -> tuple[bytes, Response]:
        """The head of the final answer: those of 1xx before it are read over, but for 101.

        Raises:
            BadHead: as `read_head`; or it is no answer, or more than `MAX_INTERIM` came before it.
            HandshakeError: the stream ended first.
        """
        # RFC 9110 section 15.2: a client reads them over whether it expects them or not.
        for _ in range(MAX_INTERIM + 1):
            head = await self.read_head(max_size, b"HTTP/")
            response = Response.parse(head)
            if response.status == 101 or response.status >= 200:
                return head, response
        raise BadHead(f"expected an answer, got more than {MAX_INTERIM} of 1xx, which are none")

    async def ask(self, request: bytes, max_size: float) -> tuple[bytes, Response]:
        """Sends a request and reads the head that answers it, as `read_answer`.

        Where it cannot be sent, what came before says why: a refusal, or an alert of TLS.
        """
        try:
            await self.stream.send_all(request)
        except trio.BrokenResourceError:
            with trio.move_on_after(LAST_WORDS):
                return await self.read_answer(max_size)
            raise
        return await self.read_answer(max_size)

    async def begins_with(self, opening: bytes) -> bool:
        """Whether the stream begins so; waits for no more than it takes to tell.

        Raises:
            HandshakeError: the stream ended first.
        """
        while len(self.buffer) < len(opening) and opening.startswith(self.buffer):
            await self._read_more()
        return self.buffer.startswith(opening)

    async def read_body(self, size: int) -> bytes:
        """The next `size` bytes.

        Raises:
            HandshakeError: the stream ended first.
        """
        while len(self.buffer) < size:
            await self._read_more()
        return self._take(size)

    def read_nowait(self) -> None:
        """Adds to the buffer what has come meanwhile, where that can be asked."""
        if isinstance(self.stream, DirectStream):
            try:
                self.buffer += self.stream.receive_nowait() or b""
            except trio.BrokenResourceError:
                pass  # the next read, which waits, will meet it again and say so

    def rest(self) -> bytes:
        """What came behind the handshake."""
        return self._take(len(self.buffer))

    def _take(self, size: int) -> bytes:
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    async def _read_more(self) -> None:
        data = await self.stream.receive_some()
        if not data:
            raise HandshakeError(
                f"the peer ended the stream within the opening handshake, after {len(self.buffer)} "
                "bytes of it"
                if self.buffer
                else "the peer ended the stream within the opening handshake"
            )
        self.buffer += data


def _no_http(begin: bytes) -> str:
    """What came in place of a head."""
    # RFC 8446 section 5.1: a record's type and its version
    if begin.startswith(b"\x16\x03"):
        return "a TLS handshake: this port speaks ws, not wss"
    if begin.startswith(b"\x15\x03"):
        return "a TLS alert: that port speaks wss, not ws"
    return shown(begin)


# By what OpenSSL says, what the two sides may have meant
_NO_TLS = {
    "WRONG_VERSION_NUMBER": "the peer does not speak TLS there: ws in place of wss?",
    "HTTP_REQUEST": "a request came without TLS: its URL should begin with wss",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server demands a certificate of its client",
}


def tls_failed(error: BaseException) -> TLSFailed | None:
    """What to raise in place of `error`, where TLS is what failed behind its handshake.

    In TLS 1.3 a client is through with that before the server has looked at its certificate, so a
    refusal is an alert in place of the first answer (RFC 8446 section 4.4.2.4).
    """
    cause = error.__cause__
    # An end without TLS's goodbye is one of the stream.
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return _tls_failed(cause)
    return None


def _tls_failed(cause: BaseException) -> TLSFailed:
    failed = TLSFailed(f"TLS did not come about: {cause}")
    failed.advice = _NO_TLS.get(getattr(cause, "reason", None) or "", "")
    failed.__cause__ = cause
    return failed


@asynccontextmanager
async def closed_unless_opened(stream: trio.abc.Stream) -> AsyncIterator[None]:
    """Runs one opening handshake, and closes the stream unless it succeeds.

    Raises:
        TLSFailed: TLS broke, as where a certificate of ours is refused; the cause says why.
        HandshakeError: also where the stream broke; that is the cause.
    """
    try:
        yield
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        await trio.aclose_forcefully(stream)
        failed = tls_failed(error)
        if failed is not None:
            raise failed from failed.__cause__
        raise HandshakeError(
            f"the connection broke within the opening handshake: {str(error) or repr(error)}"
        ) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


@asynccontextmanager
async def opening(
    stream: trio.abc.Stream, timeout: float, started: float | None = None
) -> AsyncIterator[trio.CancelScope]:
    """Runs one opening handshake, as `closed_unless_opened`: within `timeout` seconds from
    `started`, by default from now.

    Raises:
        HandshakeTimeout: it took too long.
        TLSFailed, HandshakeError: as `closed_unless_opened`.
    """
    begun = trio.current_time() if started is None else started
    with trio.move_on_at(begun + timeout) as scope:
        async with closed_unless_opened(stream):
            yield scope
    if scope.cancelled_caught:
        raise too_late(timeout)


def too_late(timeout: float) -> HandshakeTimeout:
    """What says that an opening took longer than `timeout` seconds."""
    return HandshakeTimeout(f"the opening handshake was not done within {timeout} s")


async def dress(stream: trio.abc.Stream, factory: StreamFactory | None) -> trio.abc.Stream:
    """The stream to speak on: what `factory` makes of it.

    Raises:
        TLSFailed: the factory's TLS handshake failed; the cause says why.
        TypeError: the factory is no async function, or returned no stream.
    """
    if factory is None:
        return stream
    try:
        dressed = await awaitable("stream_factory", factory(stream))
    except (trio.BrokenResourceError, OSError) as error:
        cause = error.__cause__ or error
        raise _tls_failed(cause) from cause
    check_kind("what stream_factory returned", dressed, trio.abc.Stream, "a trio.abc.Stream")
    return dressed


def check_subprotocols(names: Iterable[str]) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        TypeError: it is one str, where several names were meant, or one of them is none.
    """
    return several("subprotocols", names, "names", str)
