"""The stream that yields only when it must.

Plain `trio.SocketStream` makes two passes through the scheduler for each read and one for each
write. `DirectStream` asks the kernel first and the scheduler only when the kernel says "not now".
Its rules:

1. Only exactly `trio.SocketStream` is taken over, by its file descriptor; the caller's object can
   no longer be used. Our own TLS (`tls.py`) builds on that. Every other stream is used through its
   public methods.
2. `receive_nowait` and `send_nowait` never block. Waiting for the kernel happens in
   `wait_readable` and `wait_writable`.
3. After a short read the kernel has no more, so the next read waits first.
4. If `send_nowait` took only some of the bytes, the next call has to begin with the rest of them.
5. `interrupt` makes a waiting reader raise `trio.ClosedResourceError` and leaves the stream open,
   so that another task can take over reading.
6. TLS buffers bytes, for which there is no event on the descriptor. To wait for the descriptor by
   other means than `wait_readable`, look first: if `blocked_by_output`, wait until it is writable
   and call `flush_nowait`; else, if `may_have_more` or `has_buffered`, read without waiting.
"""

from __future__ import annotations

import errno
import operator
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

import attrs
import trio

from trio_draftws.drafts import Buffer

from . import platform

StreamFactory: TypeAlias = Callable[[trio.abc.Stream], Awaitable[trio.abc.Stream]]
"""An async function that turns the dialled or accepted stream into the one to speak on."""

RECEIVE_SIZE = 16384
# How many bytes of a large message the kernel may hold that it cannot send yet. Trio sets 16 KiB,
# with which a message of a megabyte takes five writes, with a wait before each.
MAX_UNSENT = 2**19
# Below what every kernel takes in one call (IOV_MAX is 1024 on Linux)
MAX_GATHERED = 512

_NOT_A_SOCKET = (errno.EBADF, errno.ENOTSOCK)


class Poller(Protocol):
    """What waits until a descriptor is readable: Trio, or something cheaper for many."""

    def wait_readable(self, fileno: int, /) -> Awaitable[None]: ...
    def notify_closing(self, closing: socket.socket, /) -> None: ...

    def forget(self, fileno: int, /) -> None:
        """Called before a socket is closed that nobody waits for."""
        ...


class TrioPoller:
    """A `Poller` that is Trio itself."""

    wait_readable = staticmethod(trio.lowlevel.wait_readable)
    notify_closing = staticmethod(trio.lowlevel.notify_closing)

    @staticmethod
    def forget(fileno: int, /) -> None:
        """Does nothing: Trio only knows descriptors that a task waits for."""


TRIO = TrioPoller()


@attrs.define(eq=False)
class DirectStream(trio.abc.Stream):
    """A connected socket, read and written without a pass of the scheduler.

    Its async methods are cancellation points, but schedule points only if they have to wait.
    """

    socket: socket.socket
    fileno: int = attrs.field(init=False)
    """The socket's; -1 when it is closed."""
    may_have_more: bool = attrs.field(default=False, init=False)
    """Whether a read is worth trying before waiting: false after a short read. Even if it is true,
    a read may return None.
    """
    blocked_by_output: bool = attrs.field(default=False, init=False)
    """Whether reading has to wait until some of TLS's own output is written."""
    poller: Poller = attrs.field(default=TRIO, init=False)
    """What waits until there is something to read."""
    _sending: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.fileno = self.socket.fileno()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """As `socket.socket.setsockopt`."""
        self.socket.setsockopt(level, option, value)

    def use_poller(self, poller: Poller) -> None:
        """Waits with `poller` from now on. No task may be waiting."""
        self.poller = poller

    def note_received(self, size: int) -> None:
        """Notes that somebody else read `size` bytes of the descriptor, and would have taken
        `RECEIVE_SIZE`.
        """
        self.may_have_more = size == RECEIVE_SIZE

    @property
    def closed(self) -> bool:
        return self.fileno == -1

    @property
    def has_buffered(self) -> bool:
        """Whether the stream holds input that was read from the kernel and not returned yet."""
        return False

    @property
    def unsent(self) -> int:
        """How many bytes of output the stream holds until the kernel takes them."""
        return 0

    def flush_nowait(self) -> None:
        """Writes as much of `unsent` as the kernel takes. A failure is raised by the next call."""

    def receive_nowait(self, max_bytes: int = RECEIVE_SIZE) -> bytes | None:
        """Returns what has arrived: None if nothing has, empty at the end of the stream."""
        try:
            data = self.socket.recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            self.may_have_more = False
            return None
        except OSError as error:
            raise as_trio_error(error) from error
        self.may_have_more = len(data) == max_bytes
        return data

    def receive_into_nowait(self, buffer: memoryview) -> int | None:
        """As `receive_nowait`, into `buffer`; returns how many bytes were read."""
        try:
            size = self.socket.recv_into(buffer)
        except (BlockingIOError, InterruptedError):
            self.may_have_more = False
            return None
        except OSError as error:
            raise as_trio_error(error) from error
        self.may_have_more = size == len(buffer)
        return size

    def send_nowait(self, buffers: Sequence[Buffer]) -> int:
        """Sends without waiting; returns how many bytes of `buffers` the kernel took, maybe 0."""
        try:
            if len(buffers) == 1:
                return self.socket.send(buffers[0])
            return platform.send_gathered(self.socket, buffers[:MAX_GATHERED])
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise as_trio_error(error) from error

    def send_large_nowait(self, buffers: Sequence[Buffer]) -> int:
        """As `send_nowait`, for large messages: lets the kernel take up to `MAX_UNSENT` bytes that
        it cannot send yet.

        Only if it can say what it holds: of the rest of what it took nobody else could tell whether
        a slow peer takes something of it.
        """
        if not platform.TELLS_UNSENT:
            return self.send_nowait(
                buffers if platform.TELLS_UNACKED else platform.beginning(buffers)
            )
        before = self._set_max_unsent(MAX_UNSENT)
        sent = self.send_nowait(buffers)
        if before:
            # This removes nothing that the kernel has taken.
            self._set_max_unsent(before)
        return sent

    def _set_max_unsent(self, size: int) -> int:
        """Sets how many bytes the kernel may hold unsent, if the socket has a limit for that.

        Returns:
            The limit before, or 0 if nothing was changed.
        """
        try:
            before = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
            # 0 means the system's default, which usually is no limit.
            if before in (0, size) or size == MAX_UNSENT < before:
                return 0
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, size)
        except (OSError, AttributeError):
            # Not a TCP socket, or closed; or the system has no such option.
            return 0
        return before

    @trio.lowlevel.enable_ki_protection
    async def wait_readable(self) -> None:
        """Waits until the kernel has bytes or the end of the stream."""
        self._check_open()
        try:
            await self.poller.wait_readable(self.fileno)
        except OSError as error:
            raise self._closed_elsewhere(error) from error
        self.may_have_more = True

    async def wait_writable(self) -> None:
        """Waits until the kernel takes bytes, even if `interrupt` is called meanwhile."""
        while True:
            self._check_open()
            try:
                await trio.lowlevel.wait_writable(self.fileno)
            except trio.ClosedResourceError:
                continue
            except OSError as error:
                raise self._closed_elsewhere(error) from error
            return

    def _closed_elsewhere(self, error: OSError) -> Exception:
        """Returns what to raise: code outside of this stream has closed its descriptor."""
        self.close()
        return as_trio_error(error)

    def interrupt(self) -> None:
        """Makes a waiting `wait_readable` raise `trio.ClosedResourceError`; closes nothing."""
        self.poller.notify_closing(self.socket)

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
        self._start_sending()
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._check_open()
            with memoryview(data) as view:
                sent = self.send_nowait([view])
                while sent < len(view):
                    await self.wait_writable()
                    with view[sent:] as rest:
                        sent += self.send_nowait([rest])
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        self._start_sending()
        try:
            await self.wait_writable()
        finally:
            self._sending = False

    def _start_sending(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._sending = True

    def _check_open(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError("this stream was closed")

    def end_sending(self) -> None:
        """Ends our side of the stream, if one side can be ended alone."""

    def close(self, *, awaited: bool = True) -> None:
        """Closes the socket at once; tasks that wait for it raise `trio.ClosedResourceError`.

        Args:
            awaited: whether a task may be waiting; if not, closing is cheaper.
        """
        if not self.closed:
            if awaited:
                self.poller.notify_closing(self.socket)
            else:
                self.poller.forget(self.fileno)
            # From now on the number may be reused for another socket.
            self.fileno = -1
            self.socket.close()

    def abort(self) -> None:
        """As `close`, but drops what the kernel has not sent yet, and ends TCP with a reset."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, platform.RESET_ON_CLOSE)
        except OSError:
            pass  # it is closed
        # Not what a subclass says before that, as TLS does.
        DirectStream.close(self)

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class TCPStream(DirectStream, trio.abc.HalfCloseableStream):
    """A plain socket, TCP or Unix."""

    _ended_sending: bool = attrs.field(default=False, init=False)

    async def send_all(self, data: Buffer) -> None:
        if self._ended_sending:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("send_eof was called on this stream")
        await super().send_all(data)

    def use_socket(self, taken: socket.socket) -> None:
        """Goes on with another object for the same socket. No task may be waiting."""
        self.socket = taken
        self.fileno = taken.fileno()

    def end_sending(self) -> None:
        """Ends our side of the stream; the peer's stays open."""
        self._ended_sending = True
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise as_trio_error(error) from error

    async def send_eof(self) -> None:
        self._start_sending()
        try:
            await trio.lowlevel.checkpoint()
            self.end_sending()
        finally:
            self._sending = False


def as_trio_error(error: OSError) -> Exception:
    """Returns what a stream of Trio raises for an error of the system."""
    if error.errno in _NOT_A_SOCKET:
        return trio.ClosedResourceError("this stream was closed")
    return trio.BrokenResourceError(f"the connection broke: {error}")


def without_tracebacks(error: BaseException) -> BaseException:
    """Removes an error's tracebacks and returns it; kept, they would keep whole frames alive."""
    kept: BaseException | None = error
    while kept is not None:
        kept.__traceback__ = None
        kept = kept.__cause__ or kept.__context__
    return error


def take_over(stream: trio.abc.Stream) -> trio.abc.Stream:
    """Returns a `TCPStream` with the descriptor of a `trio.SocketStream`, which cannot be used any
    more; any other stream is returned unchanged.
    """
    # Exactly this class: a subclass may do something else with its bytes.
    if type(stream) is not trio.SocketStream:
        return stream
    taken = socket.socket(fileno=stream.socket.detach())
    taken.setblocking(False)
    return TCPStream(taken)


def below_tls(stream: trio.abc.Stream) -> trio.abc.Stream:
    """Returns what Trio's TLS runs over; any other stream is returned unchanged."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    return stream


def kernel_unacked(stream: trio.abc.Stream) -> int:
    """Returns how many bytes the kernel holds that the peer's kernel has not acknowledged; 0 if
    that is unknown.

    The kernel takes more from us only when a third of its buffer is free, which may be a megabyte.
    So this shows much earlier that a slow peer takes something.
    """
    stream = below_tls(stream)
    if isinstance(stream, (DirectStream, trio.SocketStream)):
        return platform.unacked(stream.socket)
    return 0


def kernel_unsent(stream: trio.abc.Stream) -> int:
    """Returns how many bytes the kernel holds that it has never sent, since the peer's kernel has
    no room; 0 if that is unknown.
    """
    stream = below_tls(stream)
    if isinstance(stream, (DirectStream, trio.SocketStream)):
        return platform.unsent(stream.socket)
    return 0
