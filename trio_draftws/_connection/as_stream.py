"""A connection's binary messages as a stream of bytes, so that other protocols run through it.

Where messages begin and end means nothing, as with TCP. `send_eof` is our closing frame. The peer's
is the end of what is received, and is answered by ours when the program ends its side too, so that
either side may go on sending when the other has ended, as far as the peer waits for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from trio_draftws._exceptions import PeerClosed
from trio_draftws._settings.checks import check_int
from trio_draftws.drafts import Buffer, Close, CloseCode, cannot_say

from .endpoint import Endpoint

# The longest message to send, in bytes: peers have limits.
LONGEST = 65536
# Those that say that the peer has sent all; None is a closing frame without one.
REGULAR = (None, CloseCode.NORMAL_CLOSURE)


class BinaryConnection(Protocol):
    """Sends and receives like `Connection`."""

    async def aclose(self) -> None: ...

    async def send(self, message: str | Buffer) -> None: ...

    async def send_close(self) -> None: ...

    async def receive(self) -> str | bytes: ...


class ConnectionStream(trio.abc.HalfCloseableStream):
    """A connection's binary messages as a stream of bytes, as `connection.as_stream()` gives it.

    What is sent goes out in messages of at most 64 KiB. Each method is a checkpoint, and does what
    `trio.abc.HalfCloseableStream` says.
    """

    __slots__ = ("_busy", "_connection", "_endpoint", "_eof_sent", "_rest")

    def __init__(self, connection: BinaryConnection, endpoint: Endpoint) -> None:
        if not endpoint.protocol.draft.binary:
            raise cannot_say(endpoint.protocol.draft.name, "binary messages")
        self._connection = connection
        self._endpoint = endpoint
        self._rest = b""
        """What was not taken yet of a message."""
        self._eof_sent = False
        self._busy: set[str] = set()
        # Otherwise nothing could be sent any more once the peer's end was received.
        endpoint.hold_answer()

    @contextmanager
    def _alone(self, doing: str) -> Iterator[None]:
        if doing in self._busy:
            raise trio.BusyResourceError(f"another task is {doing} on this stream")
        self._busy.add(doing)
        try:
            yield
        finally:
            self._busy.remove(doing)

    def _check_sendable(self) -> None:
        if self._eof_sent and not self._endpoint.aclose_called:
            raise trio.ClosedResourceError("send_eof was called: nothing can be sent any more")
        self._endpoint.check_sendable()

    async def send_all(self, data: Buffer) -> None:
        """Sends bytes. If it is cancelled, a part of them may have been sent.

        Raises:
            trio.BusyResourceError: another task is sending.
            trio.ClosedResourceError: we closed the stream, or `send_eof` was called.
            trio.BrokenResourceError: the peer closed it, or it was lost.
        """
        with self._alone("sending"):
            await trio.lowlevel.checkpoint()
            self._check_sendable()
            view = memoryview(data).cast("B")
            for start in range(0, len(view), LONGEST):
                await self._connection.send(view[start : start + LONGEST])

    async def wait_send_all_might_not_block(self) -> None:
        """Waits until fewer than 64 KiB wait to be written. Cancelling it changes nothing.

        Raises:
            trio.BusyResourceError, trio.ClosedResourceError, trio.BrokenResourceError: as
                `send_all`.
        """
        with self._alone("sending"):
            await trio.lowlevel.checkpoint()
            async with self._endpoint.sender.turn():
                self._check_sendable()

    async def send_eof(self) -> None:
        """Sends a closing frame behind all that was sent: after it we can only receive.

        A second call does nothing. If it is cancelled, nothing was sent.

        Raises:
            trio.BusyResourceError, trio.ClosedResourceError, trio.BrokenResourceError: as
                `send_all`.
        """
        with self._alone("sending"):
            await trio.lowlevel.checkpoint()
            if not self._eof_sent or self._endpoint.aclose_called:
                await self._connection.send_close()
                self._eof_sent = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receives bytes. Cancelling it loses nothing.

        Args:
            max_bytes: the most to return; the rest of a message is kept for the next call. By
                default a whole message is returned, or what is left of one.

        Returns:
            At least one byte; none when the peer has closed with code 1000 or without one.

        Raises:
            TypeError, ValueError: `max_bytes` is no `int`, or less than 1.
            trio.BusyResourceError: another task is receiving.
            trio.ClosedResourceError: we closed the stream.
            trio.BrokenResourceError: it was lost, or the peer closed it with another code. As a
                `PeerViolation`: a text message came, and the connection was closed with 1003.
        """
        if max_bytes is not None:
            check_int("max_bytes", max_bytes, 1, math.inf)
        with self._alone("receiving"):
            await trio.lowlevel.checkpoint()
            if not self._rest or self._endpoint.aclose_called:
                self._rest = await self._next_message()
            some = self._rest[:max_bytes]
            self._rest = self._rest[len(some) :]
            return some

    async def _next_message(self) -> bytes:
        """Receives a message that is not empty; returns none at the end."""
        while True:
            try:
                message = await self._connection.receive()
            except PeerClosed as closed:
                if closed.code in REGULAR:
                    return b""
                raise trio.BrokenResourceError(str(closed)) from closed
            if isinstance(message, str):
                raise self._endpoint.refuse(
                    "a text message came on a stream of bytes",
                    Close(CloseCode.UNSUPPORTED_DATA, "binary only"),
                )
            if message:
                return message

    async def aclose(self) -> None:
        """Closes the connection, like `Connection.aclose` with code 1000.

        If it is cancelled, it closes by force: the peer is not waited for.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_by_force_when_cancelled)
            await self._connection.aclose()
            nursery.cancel_scope.cancel()

    async def _close_by_force_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            await trio.aclose_forcefully(self._endpoint.stream)
