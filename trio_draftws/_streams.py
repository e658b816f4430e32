"""The TCP stream that yields only when it must, and TLS on top of a stream.

Plain `trio.SocketStream` makes two passes through the scheduler for each read and one for each
write. `DirectStream` asks the kernel first and the scheduler only when the kernel says "not now".
Its rules:

1. Exactly `trio.SocketStream` is taken over, by its file descriptor; from then on the caller's
   object is dead. Every other stream is used through its public methods.
2. `receive_nowait` and `send_nowait` never block. Whoever waits for the kernel does so in
   `wait_readable` or `wait_writable`.
3. After a short read the kernel has no more, so the next read goes straight to waiting.
4. `interrupt` wakes whoever waits with `trio.ClosedResourceError` and leaves the stream open: so
   one task can take the reading over from another.
"""

from __future__ import annotations

import errno
import operator
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import attrs
import trio

from .drafts import Buffer

StreamFactory: TypeAlias = Callable[[trio.abc.Stream], Awaitable[trio.abc.Stream]]
"""Turns the stream that was dialled or accepted into the one to speak on."""

RECEIVE_SIZE = 65536
# Below what every kernel takes in one call (IOV_MAX is 1024 on Linux)
MAX_GATHERED = 512

_NOT_A_SOCKET = (errno.EBADF, errno.ENOTSOCK)


@attrs.define(eq=False)
class DirectStream(trio.abc.HalfCloseableStream):
    """A connected socket, spoken to without asking the scheduler first.

    Its async methods are cancellation points, but schedule points only when they must wait.
    """

    socket: socket.socket
    fileno: int = attrs.field(init=False)
    """The socket's; -1 when it is closed."""
    may_have_more: bool = attrs.field(default=False, init=False)
    """Whether a read is worth trying before waiting: false after a short one."""
    _sending: bool = attrs.field(default=False, init=False)
    _ended_sending: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.fileno = self.socket.fileno()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """As `socket.socket.setsockopt`."""
        self.socket.setsockopt(level, option, value)

    @property
    def closed(self) -> bool:
        return self.fileno == -1

    def receive_nowait(self, max_bytes: int = RECEIVE_SIZE) -> bytes | None:
        """What is there: None for nothing yet, empty for the end of the stream."""
        try:
            data = self.socket.recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            self.may_have_more = False
            return None
        except OSError as error:
            raise _as_trio_error(error) from error
        self.may_have_more = len(data) == max_bytes
        return data

    def send_nowait(self, buffers: Sequence[Buffer]) -> int:
        """How many bytes of `buffers` the kernel took at once; it may be none."""
        try:
            if len(buffers) == 1:
                return self.socket.send(buffers[0])
            return self.socket.sendmsg(buffers[:MAX_GATHERED])
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise _as_trio_error(error) from error

    async def wait_readable(self) -> None:
        """Waits until the kernel has bytes, or the end of the stream."""
        self._check_open()
        await trio.lowlevel.wait_readable(self.fileno)
        self.may_have_more = True

    async def wait_writable(self) -> None:
        """Waits until the kernel takes bytes; an `interrupt` does not end it."""
        while True:
            self._check_open()
            try:
                await trio.lowlevel.wait_writable(self.fileno)
            except trio.ClosedResourceError:
                continue
            return

    def interrupt(self) -> None:
        """Makes a `wait_readable` elsewhere raise `trio.ClosedResourceError`; nothing closes."""
        trio.lowlevel.notify_closing(self.socket)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if max_bytes is None:
            max_bytes = RECEIVE_SIZE
        elif operator.index(max_bytes) < 1:
            raise ValueError(f"max_bytes must be at least 1, not {max_bytes}")
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if self.may_have_more:
                data = self.receive_nowait(max_bytes)
                if data is not None:
                    return data
            await self.wait_readable()

    async def send_all(self, data: Buffer) -> None:
        with self._one_sender(), memoryview(data) as view:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._check_open()
            if self._ended_sending:
                raise trio.ClosedResourceError("send_eof was called on this stream")
            sent = self.send_nowait([view])
            while sent < len(view):
                await self.wait_writable()
                with view[sent:] as rest:
                    sent += self.send_nowait([rest])

    async def wait_send_all_might_not_block(self) -> None:
        with self._one_sender():
            await self.wait_writable()

    @contextmanager
    def _one_sender(self) -> Iterator[None]:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._sending = True
        try:
            yield
        finally:
            self._sending = False

    def _check_open(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError("this stream was closed")

    def end_sending(self) -> None:
        """Ends our side of TCP; the peer's stays open."""
        self._ended_sending = True
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise _as_trio_error(error) from error

    async def send_eof(self) -> None:
        with self._one_sender():
            await trio.lowlevel.checkpoint()
            self.end_sending()

    def close(self) -> None:
        """Closes the socket at once; whoever waits gets `trio.ClosedResourceError`."""
        if not self.closed:
            trio.lowlevel.notify_closing(self.socket)
            # From now on the number may be another socket's.
            self.fileno = -1
            self.socket.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


def _as_trio_error(error: OSError) -> Exception:
    if error.errno in _NOT_A_SOCKET:
        return trio.ClosedResourceError("this stream was closed")
    return trio.BrokenResourceError(f"the connection broke: {error}")


def take_over(stream: trio.abc.Stream) -> trio.abc.Stream:
    """A `DirectStream` in place of a `trio.SocketStream`; any other stream is given back as it is.

    The caller's object is dead afterwards.
    """
    # Exactly this class: of a subclass we cannot know what it does with its bytes.
    if type(stream) is not trio.SocketStream:
        return stream
    taken = socket.socket(fileno=stream.socket.detach())
    taken.setblocking(False)
    return DirectStream(taken)


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
    return isinstance(stream, trio.SSLStream)
