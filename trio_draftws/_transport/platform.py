"""What not every system has, and what is done without it.

Everything that is missing somewhere is looked for here, when this is imported, and nothing fails
then: what cannot be done without it fails when it is called, and says so.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

try:
    import fcntl
    from termios import TIOCOUTQ
except ImportError:
    HAS_FCNTL = False
else:
    HAS_FCNTL = True

from trio_draftws.drafts import Buffer

from .kqueue import Kqueue

SOCKETS_ARE_FILES = HAS_FCNTL
"""Whether `os.read` and `os.write` take the number of a socket: on every system but Windows."""
HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX")
HAS_REUSE_PORT = hasattr(socket, "SO_REUSEPORT")

# On, for zero seconds: of two ints by POSIX, of two shorts in Windows' winsock2.h
RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

# How much is copied to be sent at once, or given to a kernel that does not say what it holds
MOST_AT_ONCE = 65536


def not_here(what: str) -> OSError:
    """Returns what a feature raises that the system does not have."""
    return OSError(errno.EOPNOTSUPP, f"this system has no {what}")


# Sending several buffers at once


def _send_joined(to: socket.socket, buffers: Sequence[Buffer]) -> int:
    if buffers and len(buffers[0]) >= MOST_AT_ONCE:
        return to.send(buffers[0])
    return to.send(b"".join(beginning(buffers)))


send_gathered: Callable[[socket.socket, Sequence[Buffer]], int] = getattr(
    socket.socket, "sendmsg", _send_joined
)
"""Sends the first of some buffers, as `socket.sendmsg` does, which Windows has not."""


def beginning(buffers: Sequence[Buffer]) -> list[Buffer]:
    """Returns as many whole buffers as make up to `MOST_AT_ONCE` bytes, or a part of the first."""
    size = 0
    for count, buffer in enumerate(buffers):
        size += len(buffer)
        if size > MOST_AT_ONCE:
            return list(buffers[:count]) or [memoryview(buffer)[:MOST_AT_ONCE]]
    return list(buffers)


# What the kernel holds of what it has taken


class Asked(Protocol):
    """A socket, of Python's or of Trio's."""

    def fileno(self) -> int: ...
    def getsockopt(self, level: int, option: int, /) -> int: ...


Ask = Callable[[Asked], int]


def _by_ioctl(request: int) -> Ask:
    def ask(held_by: Asked) -> int:
        return int.from_bytes(fcntl.ioctl(held_by.fileno(), request, bytes(4)), sys.byteorder)

    return ask


def _by_option(option: int) -> Ask:
    return lambda held_by: held_by.getsockopt(socket.SOL_SOCKET, option)


def _how_to_ask() -> tuple[Ask | None, Ask | None]:
    """Returns what asks for the bytes that the peer has not acknowledged, and for those that were
    never sent; None where nobody can be asked.
    """
    if sys.platform in ("linux", "android") and HAS_FCNTL:
        # SIOCOUTQ, which is the same, and SIOCOUTQNSD in <linux/sockios.h> of Linux
        return _by_ioctl(TIOCOUTQ), _by_ioctl(0x894B)
    if sys.platform in ("darwin", "ios"):
        # SO_NWRITE in <sys/socket.h> of macOS counts what was sent, but not acknowledged.
        return _by_option(0x1024), None
    if sys.platform.startswith("freebsd") and HAS_FCNTL:
        # FIONWRITE in <sys/filio.h>
        return _by_ioctl(0x40046677), None
    return None, None


_ask_unacked, _ask_unsent = _how_to_ask()
TELLS_UNACKED = _ask_unacked is not None
"""Whether the system says how much of what it took the peer has not acknowledged."""
TELLS_UNSENT = _ask_unsent is not None
"""Whether it says how much of that it has never sent."""


def _ask(ask: Ask | None, held_by: Asked) -> int:
    try:
        return 0 if ask is None else ask(held_by)
    except (OSError, ValueError):
        return 0  # the socket was closed


def unacked(held_by: Asked) -> int:
    """Returns how many bytes the kernel holds that were not acknowledged; 0 if it does not say."""
    return _ask(_ask_unacked, held_by)


def unsent(held_by: Asked) -> int:
    """Returns how many bytes the kernel holds that it never sent; 0 if it does not say."""
    return _ask(_ask_unsent, held_by)


# Waiting for many descriptors

# With it an epoll waits for one event; a kqueue does anyhow.
ONCE = getattr(select, "EPOLLONESHOT", 0)


class Watcher(Protocol):
    """What `select.epoll` is on Linux, used for one event at a time."""

    def fileno(self) -> int: ...
    def register(self, fileno: int, flags: int, /) -> None: ...
    def modify(self, fileno: int, flags: int, /) -> None: ...
    def unregister(self, fileno: int, /) -> None: ...
    def poll(self, timeout: float, most: int, /) -> list[tuple[int, int]]: ...
    def close(self) -> None: ...


def make_epoll() -> select.epoll | None:
    """Returns an epoll; None if there is no such thing, or no descriptor left."""
    try:
        return select.epoll()
    except (AttributeError, OSError):
        return None


def make_watcher() -> Watcher | None:
    """Returns an epoll, or else a kqueue; None if there is neither, or no descriptor left."""
    if not hasattr(select, "kqueue"):
        return make_epoll()
    try:
        return Kqueue()
    except OSError:
        return None


# Locks on files


def lock(file: int) -> None:
    """Waits until nobody else has locked the open file, and locks it until it is closed.

    Raises:
        OSError: the system has no such locks.
    """
    if not HAS_FCNTL:
        raise not_here("locks on files")
    fcntl.flock(file, fcntl.LOCK_EX)
