"""Reads the HTTP heads and bodies of an opening handshake, on either side.

The caller sets the deadline: one for TLS, heads and bodies together.
"""

from __future__ import annotations

import attrs
import trio

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

from .sockets import DirectStream

# How many 1xx responses may come before the final one
MAX_INTERIM = 32
# How many seconds to read for a response after the peer refused to take our request
REFUSAL_TIMEOUT = 0.5


@attrs.define
class HeadReader:
    """Reads an opening handshake from a stream, and keeps the bytes that follow it."""

    stream: trio.abc.Stream
    buffer: bytearray = attrs.field(factory=bytearray)
    """What was read and not yet returned."""

    async def read_head(self, max_size: float, prefix: bytes = b"") -> bytes:
        """Reads up to and including the blank line, and returns it all.

        Args:
            max_size: the most bytes that the head may have.
            prefix: what it has to begin with.

        Raises:
            BadHead: it is longer than `max_size` bytes, or its first line longer than `MAX_LINE`;
                or it does not begin with `prefix`, or not like HTTP.
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
            begin = bytes(self.buffer[: len(prefix)])
            if self.buffer and not (prefix.startswith(begin) and may_begin_head(self.buffer)):
                raise BadHead(f"expected HTTP, got {_describe(bytes(self.buffer[:16]))}")
            searched = len(self.buffer)
            await self._read_more()

    async def read_response(self, max_size: float) -> tuple[bytes, Response]:
        """Reads the head of the final response, skipping 1xx responses other than 101.

        Raises:
            BadHead: as `read_head`; or the head is no response, or more than `MAX_INTERIM` 1xx
                responses came before it.
            HandshakeError: the stream ended first.
        """
        # RFC 9110 section 15.2: a client skips 1xx responses, even those it did not expect.
        for _ in range(MAX_INTERIM + 1):
            head = await self.read_head(max_size, b"HTTP/")
            response = Response.parse(head)
            if response.status == 101 or response.status >= 200:
                return head, response
        raise BadHead(f"expected an answer, got more than {MAX_INTERIM} of 1xx, which are none")

    async def exchange(self, request: bytes, max_size: float) -> tuple[bytes, Response]:
        """Sends a request and reads the head of its response, as `read_response`.

        If the request cannot be sent, what the peer sent before may say why: a refusal, or a TLS
        alert. So that is read first.

        Raises:
            trio.BrokenResourceError: the stream broke.
            BadHead, HandshakeError: as `read_response`.
        """
        try:
            await self.stream.send_all(request)
        except trio.BrokenResourceError:
            with trio.move_on_after(REFUSAL_TIMEOUT):
                return await self.read_response(max_size)
            raise
        return await self.read_response(max_size)

    async def begins_with(self, prefix: bytes) -> bool:
        """Returns whether the stream begins with `prefix`, reading no more than that takes.

        Raises:
            HandshakeError: the stream ended first.
        """
        while len(self.buffer) < len(prefix) and prefix.startswith(self.buffer):
            await self._read_more()
        return self.buffer.startswith(prefix)

    async def read_body(self, size: int) -> bytes:
        """Reads exactly `size` bytes.

        Raises:
            HandshakeError: the stream ended first.
        """
        while len(self.buffer) < size:
            await self._read_more()
        return self._take(size)

    def read_nowait(self) -> None:
        """Adds what has already arrived to the buffer, if the stream is a `DirectStream`."""
        if isinstance(self.stream, DirectStream):
            try:
                self.buffer += self.stream.receive_nowait() or b""
            except trio.BrokenResourceError:
                pass  # the next read that waits raises it again

    def rest(self) -> bytes:
        """Returns what was read beyond the handshake."""
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


def _describe(begin: bytes) -> str:
    """Names what came instead of a head, from its first bytes."""
    # RFC 8446 section 5.1: a record's type and its version
    if begin.startswith(b"\x16\x03"):
        return "a TLS handshake: this port speaks ws, not wss"
    if begin.startswith(b"\x15\x03"):
        return "a TLS alert: that port speaks wss, not ws"
    return shown(begin)
