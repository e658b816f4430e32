"""Listeners that Trio does not provide: on a Unix socket, and on a port shared by processes.

Pass them to `serve_websocket(..., listeners=[...])`.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from trio_draftws._settings.checks import MAX_BACKLOG, check_address, check_int, needs_trio

from . import platform

# The system lowers it to its own limit; Trio uses the same number.
_BACKLOG = 65535


@attrs.define(eq=False, kw_only=True)
class UnixListener(trio.abc.Listener[trio.SocketStream]):
    """Listens on a Unix socket, and removes its file when it is closed."""

    path: Path
    """The absolute path of its file."""
    _listener: trio.SocketListener
    _file: tuple[int, int] | None
    """Identifies that file, since another one may have replaced it."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The listening socket."""
        return self._listener.socket

    async def accept(self) -> trio.SocketStream:
        """Waits for a connection. A checkpoint; if it is cancelled, it accepted none.

        Raises:
            trio.ClosedResourceError: the listener was closed.
            OSError: no connection can be accepted, for example because too many files are open.
        """
        return await self._listener.accept()

    async def aclose(self) -> None:
        """Removes the file and closes the socket. A checkpoint; does both even if cancelled."""
        # In this order: while the socket listens, no other process replaces the file.
        if self.socket.fileno() != -1 and _identity(self.path) == self._file:
            self.path.unlink(missing_ok=True)
        await self._listener.aclose()


def is_closed(listener: trio.abc.Listener[Any]) -> bool:
    """Returns whether a listener of Trio's or ours is closed; False if that cannot be known."""
    if isinstance(listener, trio.SSLListener):
        listener = listener.transport_listener
    if isinstance(listener, (trio.SocketListener, UnixListener)):
        return bool(listener.socket.fileno() == -1)
    return False


def cannot_listen(error: OSError, host: str | bytes | None, port: int) -> OSError:
    """Returns the same error, with host and port in its message."""
    where = f"port {port}" if host is None else f"{os.fsdecode(host)} port {port}"
    return type(error)(error.errno, f"cannot listen on {where}: {error.strerror or error}")


async def open_unix_listener(
    path: str | os.PathLike[str], *, mode: int = 0o600, backlog: int | None = None
) -> UnixListener:
    """Listens on a Unix socket.

    A socket file that no process listens on, as a server leaves it if it is killed, is replaced; a
    socket in use or any other file is not. If several processes try at once, one of them succeeds.
    The file is removed when the listener is closed. A checkpoint; the work is done in a thread, and
    cannot be cancelled once it has begun.

    Args:
        path: of the socket's file, in a directory that exists; at most 107 bytes on Linux.
        mode: the file's permissions; whoever may write to it may connect. By default only the user
            that the server runs as; for a proxy in the same group use `0o660`. Nobody can connect
            before they are set.
        backlog: how many connections may wait to be accepted; by default as many as the system
            allows.

    Raises:
        FileExistsError: the file exists and is not a socket.
        OSError: another process listens there (`errno.EADDRINUSE`), or the file cannot be created;
            or the system has no Unix sockets (`errno.EOPNOTSUPP`).
        ValueError: the mode or the backlog is out of range.
        TypeError: an argument is of the wrong type.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("open_unix_listener")
    if not platform.HAS_UNIX_SOCKETS:
        raise platform.not_here("Unix sockets")
    check_int("mode", mode, 0, 0o7777, "; as 0o660")
    if backlog is not None:
        check_int("backlog", backlog, 0, MAX_BACKLOG)
    return await trio.to_thread.run_sync(
        _listen, os.fspath(path), mode, _BACKLOG if backlog is None else backlog
    )


def _listen(place: str, mode: int, backlog: int) -> UnixListener:
    path = Path(place).absolute()
    with _locked(path.parent):
        _remove_stale(path)
        made = socket.socket(socket.AF_UNIX)
        try:
            made.bind(str(path))
            try:
                # In this order: nobody can connect before `listen`.
                path.chmod(mode)
                made.listen(backlog)
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
                return UnixListener(path=path, listener=listener, file=_identity(path))
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        except BaseException:
            made.close()
            raise


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Holds a lock on the directory, so that one process at a time checks and replaces the file.

    Without it, another process could begin to listen between the check and the removal.
    """
    file = os.open(directory, os.O_RDONLY)
    try:
        # Closing it releases the lock.
        platform.lock(file)
        yield
    finally:
        os.close(file)


def _remove_stale(path: Path) -> None:
    """Removes a socket's file if no process listens on it.

    Raises:
        OSError: a process does, or the file is not a socket.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "this is no socket", str(path))
    # Of another kind, so that it cannot connect: a socket that anyone has says that it is not of
    # that kind, also if its backlog is full, where one that could connect is refused by the BSDs.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except FileNotFoundError:  # pragma: no cover
            return  # removed just now
        except OSError as error:
            if error.errno != errno.EPROTOTYPE:
                raise
    raise OSError(errno.EADDRINUSE, "another process listens here", str(path))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


async def open_reuse_port_listeners(
    port: int, *, host: str | bytes | None = None, backlog: int | None = None
) -> list[trio.SocketListener]:
    """Listens on a TCP port that several processes of the same user share (`SO_REUSEPORT`).

    The kernel gives each connection to one of them; Linux distributes them evenly. Apart from that
    it is like `trio.open_tcp_listeners`. A checkpoint; if it is cancelled, it leaves nothing open.

    When a process ends, connections that wait for it to accept them are reset: those clients have
    to try again.

    Args:
        port: all processes need the same. With 0 the system picks one for each address.
        host: the interface to listen on; None for all.
        backlog: how many connections may wait to be accepted, in each process; by default as many
            as the system allows.

    Raises:
        OSError: it cannot listen there, for example because another process listens without
            sharing; or the system does not support it (`errno.EOPNOTSUPP`).
        ValueError: the port, the host or the backlog is out of range.
        TypeError: an argument is of the wrong type.
        RuntimeError: it was called outside of Trio.
    """
    needs_trio("open_reuse_port_listeners")
    check_address(port, host, backlog)
    if not platform.HAS_REUSE_PORT:
        raise platform.not_here("SO_REUSEPORT")
    try:
        return await _listen_shared(port, host, _BACKLOG if backlog is None else backlog)
    except OSError as error:
        raise cannot_listen(error, host, port) from error


async def _listen_shared(
    port: int, host: str | bytes | None, backlog: int
) -> list[trio.SocketListener]:
    found = await trio.socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[trio.SocketListener] = []
    try:
        for family, kind, protocol, _, address in found:
            try:
                made = trio.socket.socket(family, kind, protocol)
            except OSError as error:  # pragma: no cover
                # The name has an address of a family that this system does not support.
                if error.errno == errno.EAFNOSUPPORT and len(found) > 1:
                    continue
                raise
            try:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if family == socket.AF_INET6:
                    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                await made.bind(address)
                made.listen(backlog)
                listeners.append(trio.SocketListener(made))
            except BaseException:
                made.close()
                raise
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return listeners
