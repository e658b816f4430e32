"""The stream that yields only when it must.

Plain `trio.SocketStream` makes two passes through the scheduler for each read and one for each
write. `DirectStream` asks the kernel first and the scheduler only when the kernel says "not now".
Its rules:

1. Exactly `trio.SocketStream` is taken over, by its file descriptor; from then on the caller's
   object is dead. TLS of our own making (`tls.py`) stands on that. Every other stream is used
   through its public methods.
2. `receive_nowait` and `send_nowait` never block. Whoever waits for the kernel does so in
   `wait_readable` or `wait_writable`.
3. After a short read the kernel has no more, so the next read goes straight to waiting.
4. Whoever offers bytes to `send_nowait` again, because it took only some, offers the same bytes.
5. `interrupt` wakes whoever waits with `trio.ClosedResourceError` and leaves the stream open: so
   one task can take the reading over from another.
6. TLS holds bytes of its own, which are no events on the descriptor. Whoever waits for that without
   `wait_readable` looks first: `blocked_by_output` means to wait until it is writable and call
   `write_waiting`; else `may_have_more` or `has_buffered` means to read again without waiting.
"""

from __future__ import annotations

import errno
import operator
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

import attrs
import trio

try:
    import fcntl
    import termios
except ImportError:  # pragma: no cover
    # Windows, where the kernel cannot be asked for what `untaken` says
    pass

from trio_draftws.drafts import Buffer

StreamFactory: TypeAlias = Callable[[trio.abc.Stream], Awaitable[trio.abc.Stream]]
"""Turns the stream that was dialled or accepted into the one to speak on."""

RECEIVE_SIZE = 16384
# How much of what is large may lie in the kernel before it could be sent: Trio says 16 KiB, for
# which a message of a megabyte is written in five parts, with a wait before each.
MOST_UNSENT = 2**19
# Below what every kernel takes in one call (IOV_MAX is 1024 on Linux)
MAX_GATHERED = 512

_NOT_A_SOCKET = (errno.EBADF, errno.ENOTSOCK)


class Poller(Protocol):
    """Who waits for the kernel: Trio, or one that knows a cheaper way for many."""

    def wait_readable(self, fileno: int, /) -> Awaitable[None]: ...
    def notify_closing(self, closing: socket.socket, /) -> None: ...

    def forget(self, fileno: int, /) -> None:
        """For a socket that is about to be closed, and that nobody waits for."""
        ...


class TrioPoller:
    """Trio itself."""

    wait_readable = staticmethod(trio.lowlevel.wait_readable)
    notify_closing = staticmethod(trio.lowlevel.notify_closing)

    @staticmethod
    def forget(fileno: int, /) -> None:
        """Trio knows only those that somebody waits for."""


TRIO = TrioPoller()


@attrs.define(eq=False)
class DirectStream(trio.abc.Stream):
    """A connected socket, spoken to without asking the scheduler first.

    Its async methods are cancellation points, but schedule points only when they must wait.
    """

    socket: socket.socket
    fileno: int = attrs.field(init=False)
    """The socket's; -1 when it is closed."""
    may_have_more: bool = attrs.field(default=False, init=False)
    """Whether a read is worth trying before waiting: false after a short one. Such a read may still
    return None.
    """
    blocked_by_output: bool = attrs.field(default=False, init=False)
    """Whether reading has to wait until some of what the stream itself says is written."""
    poller: Poller = attrs.field(default=TRIO, init=False)
    """Who waits until there is something to read."""
    _sending: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.fileno = self.socket.fileno()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """As `socket.socket.setsockopt`."""
        self.socket.setsockopt(level, option, value)

    def wait_through(self, poller: Poller) -> None:
        """Has `poller` wait from now on; for when nobody waits."""
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
        """Whether something was taken from the kernel that a read has not looked at yet."""
        return False

    @property
    def unsent(self) -> int:
        """How many bytes the stream itself holds until the kernel takes them."""
        return 0

    def write_waiting(self) -> None:
        """Writes what the kernel takes of `unsent`; a failure shows in the next read or send."""

    def receive_nowait(self, max_bytes: int = RECEIVE_SIZE) -> bytes | None:
        """What is there: None for nothing yet, empty for the end of the stream."""
        try:
            data = self.socket.recv(max_bytes)
        except (BlockingIOError, InterruptedError):
            self.may_have_more = False
            return None
        except OSError as error:
            raise as_trio_error(error) from error
        self.may_have_more = len(data) == max_bytes
        return data

    def receive_into_nowait(self, place: memoryview) -> int | None:
        """As `receive_nowait`, into memory of the caller's; says how many bytes."""
        try:
            size = self.socket.recv_into(place)
        except (BlockingIOError, InterruptedError):
            self.may_have_more = False
            return None
        except OSError as error:
            raise as_trio_error(error) from error
        self.may_have_more = size == len(place)
        return size

    def send_nowait(self, buffers: Sequence[Buffer]) -> int:
        """How many bytes of `buffers` the kernel took at once; it may be none."""
        try:
            if len(buffers) == 1:
                return self.socket.send(buffers[0])
            return self.socket.sendmsg(buffers[:MAX_GATHERED])
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise as_trio_error(error) from error

    def send_large_nowait(self, buffers: Sequence[Buffer]) -> int:
        """As `send_nowait`, for what is large: the kernel takes more of it, up to `MOST_UNSENT`
        bytes that it cannot send yet.
        """
        before = self._change_most_unsent(MOST_UNSENT)
        sent = self.send_nowait(buffers)
        if before:
            # What is in the kernel already stays there.
            self._change_most_unsent(before)
        return sent

    def _change_most_unsent(self, most: int) -> int:
        """Sets how much may lie in the kernel unsent, where there is a bound for that; says which
        there was, or 0 where nothing was changed.
        """
        try:
            before = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
            # 0 stands for the system's own, which is none as a rule.
            if before in (0, most) or most == MOST_UNSENT < before:
                return 0
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, most)
        except (OSError, AttributeError):
            # It is no socket of TCP, or none any more; or the system has no such option.
            return 0
        return before

    @trio.lowlevel.enable_ki_protection
    async def wait_readable(self) -> None:
        """Waits until the kernel has bytes, or the end of the stream."""
        self._check_open()
        try:
            await self.poller.wait_readable(self.fileno)
        except OSError as error:
            raise self._closed_by_stranger(error) from error
        self.may_have_more = True

    async def wait_writable(self) -> None:
        """Waits until the kernel takes bytes; an `interrupt` does not end it."""
        while True:
            self._check_open()
            try:
                await trio.lowlevel.wait_writable(self.fileno)
            except trio.ClosedResourceError:
                continue
            except OSError as error:
                raise self._closed_by_stranger(error) from error
            return

    def _closed_by_stranger(self, error: OSError) -> Exception:
        """The number is no socket's any more: somebody who had it has closed it."""
        self.close()
        return as_trio_error(error)

    def interrupt(self) -> None:
        """Makes a `wait_readable` elsewhere raise `trio.ClosedResourceError`; nothing closes."""
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
        self._begin_to_send()
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
        self._begin_to_send()
        try:
            await self.wait_writable()
        finally:
            self._sending = False

    def _begin_to_send(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this stream")
        self._sending = True

    def _check_open(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError("this stream was closed")

    def end_sending(self) -> None:
        """Ends our side of the stream, where it can end one side."""

    def close(self, *, awaited: bool = True) -> None:
        """Closes the socket at once; whoever waits gets `trio.ClosedResourceError`.

        Where nobody can be waiting, that is not `awaited`, and nobody has to be told.
        """
        if not self.closed:
            if awaited:
                self.poller.notify_closing(self.socket)
            else:
                self.poller.forget(self.fileno)
            # From now on the number may be another socket's.
            self.fileno = -1
            self.socket.close()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


@attrs.define(eq=False)
class TCPStream(DirectStream, trio.abc.HalfCloseableStream):
    """A socket as it is, of TCP or of the Unix domain."""

    _ended_sending: bool = attrs.field(default=False, init=False)

    async def send_all(self, data: Buffer) -> None:
        if self._ended_sending:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("send_eof was called on this stream")
        await super().send_all(data)

    def end_sending(self) -> None:
        """Ends our side of the stream; the peer's stays open."""
        self._ended_sending = True
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise as_trio_error(error) from error

    async def send_eof(self) -> None:
        self._begin_to_send()
        try:
            await trio.lowlevel.checkpoint()
            self.end_sending()
        finally:
            self._sending = False


def as_trio_error(error: OSError) -> Exception:
    """What Trio's streams raise for what the system said."""
    if error.errno in _NOT_A_SOCKET:
        return trio.ClosedResourceError("this stream was closed")
    return trio.BrokenResourceError(f"the connection broke: {error}")


def without_frames(error: BaseException) -> BaseException:
    """The same error, for keeping: its tracebacks would keep what the frames knew as well."""
    kept: BaseException | None = error
    while kept is not None:
        kept.__traceback__ = None
        kept = kept.__cause__ or kept.__context__
    return error


def take_over(stream: trio.abc.Stream) -> trio.abc.Stream:
    """A `TCPStream` in place of a `trio.SocketStream`; any other stream is given back as it is.

    The caller's object is dead afterwards.
    """
    # Exactly this class: of a subclass we cannot know what it does with its bytes.
    if type(stream) is not trio.SocketStream:
        return stream
    taken = socket.socket(fileno=stream.socket.detach())
    taken.setblocking(False)
    return TCPStream(taken)


def untaken(stream: trio.abc.Stream) -> int:
    """How many bytes the kernel has taken from us and the peer's has not taken from it.

    It takes more from us only when a third of its buffer is free, which may be a megabyte: so a
    slow peer is seen here long before. It is 0 where nobody can be asked.
    """
    return _ask_kernel(stream, "TIOCOUTQ")


def not_transmitted(stream: trio.abc.Stream) -> int:
    """How many bytes the kernel has taken from us and never sent yet: there is no room at the
    peer's. It is 0 where nobody can be asked.
    """
    return _ask_kernel(stream, "SIOCOUTQNSD")


def _ask_kernel(stream: trio.abc.Stream, what: str) -> int:
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, (DirectStream, trio.SocketStream)):
        return 0
    try:
        # Linux has the second, in <linux/sockios.h>.
        request = termios.TIOCOUTQ if what == "TIOCOUTQ" else 0x894B
        held = fcntl.ioctl(stream.socket.fileno(), request, bytes(4))
    except (OSError, ValueError, NameError):
        return 0  # it was closed, or there is no such thing
    return int.from_bytes(held, sys.byteorder)
