"""The stream of a peer by hand, which reads and writes as it is told, and counts."""

from __future__ import annotations

import socket
from collections.abc import Callable

import attrs
import trio

# On a stream that takes bytes only when they are read, it is seen piece by piece how many were.
PIECE = 4096


@attrs.define(eq=False)
class Wire(trio.abc.HalfCloseableStream):
    """A stream over another."""

    inner: trio.abc.Stream
    rate: int | None = None
    """How many bytes a second are read; None for all that comes."""
    read: int = 0
    written: int = 0
    messages: int = 0
    """How many bytes were written of frames that carry messages."""
    carries: bool = False
    """Whether what is written now does."""
    on_written: Callable[[], None] | None = None
    ended: str = ""
    """How what comes in ended, `the end` or `a break`; empty before."""
    split: int = PIECE
    """How many bytes are written at once."""
    pause: float = 0
    """How long it waits between two pieces."""
    cut: bool = False
    """Whether to keep back the second half of what is sent next."""
    gone: bool = False
    feign_end: bool = False
    """Whether to say that the stream ends here, whatever is true."""
    _reading: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    def set_rate(self, rate: int | None) -> None:
        self.rate = rate
        self._changed.set()
        self._reading.cancel()

    def vanish(self) -> None:
        """Nothing passes any more, in either direction."""
        self.gone = True
        self._reading.cancel()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self.feign_end:
            return b""
        while True:
            self._changed = trio.Event()
            if self.gone:
                await trio.sleep_forever()
            if self.rate == 0:
                await self._changed.wait()
                continue
            if self.rate is not None:
                await trio.sleep(1)
            with trio.CancelScope() as self._reading:
                try:
                    data = await self.inner.receive_some(self.rate or max_bytes)
                except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                    self.ended = "a break"
                    raise trio.BrokenResourceError("the stream broke") from error
                self.read += len(data)
                if not data:
                    self.ended = "the end"
                return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.cut:
            data = data[: len(data) // 2]
        for start in range(0, len(data), self.split):
            if self.gone:
                await trio.sleep_forever()
            piece = bytes(data[start : start + self.split])
            try:
                await self.inner.send_all(piece)
            except trio.ClosedResourceError as error:
                raise trio.BrokenResourceError("we closed it") from error
            self.written += len(piece)
            if self.carries:
                self.messages += len(piece)
            if self.on_written is not None:
                self.on_written()
            if self.pause and start + self.split < len(data):
                await trio.sleep(self.pause)

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    @property
    def can_send_eof(self) -> bool:
        return isinstance(self.inner, trio.abc.HalfCloseableStream)

    async def send_eof(self) -> None:
        assert isinstance(self.inner, trio.abc.HalfCloseableStream)
        try:
            await self.inner.send_eof()
        except trio.ClosedResourceError as error:
            raise trio.BrokenResourceError("we closed it") from error

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def reset(self) -> None:
        """Closes it without a word, and on TCP with a reset."""
        stream = self.inner
        if isinstance(stream, trio.SocketStream) and stream.socket.fileno() != -1:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(stream)
