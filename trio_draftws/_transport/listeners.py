"""Listeners that Trio does not open: on a Unix socket, and on a port that several processes share.

Give them to `serve_websocket(..., listeners=[...])`.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import trio

from trio_draftws._settings.checks import MAX_BACKLOG, check_address, check_int, needs_trio

try:
    import fcntl
except ImportError:  # pragma: no cover
    # Windows, where Python has no Unix sockets either
    pass

# As many as the system lets wait; Trio asks for as many.
_BACKLOG = 65535


@attrs.define(eq=False)
class UnixListener(trio.abc.Listener[trio.SocketStream]):
    """Listens on a Unix socket, and removes its file when it is closed."""

    path: Path
    """Where its file is; absolute."""
    _listener: trio.SocketListener
    _file: tuple[int, int] | None
    """Which file that is, since another may stand there by now."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket that listens."""
        return self._listener.socket

    async def accept(self) -> trio.SocketStream:
        """Waits for a connection. A checkpoint; cancelled, it has accepted none.

        Raises:
            trio.ClosedResourceError: the listener was closed.
            OSError: no connection can be accepted, as where too many files are open.
        """
        return await self._listener.accept()

    async def aclose(self) -> None:
        """Removes the file and closes the socket. A checkpoint; cancelled, it does both too."""
        # While the socket listens, nobody takes its place.
        if self.socket.fileno() != -1 and _identity(self.path) == self._file:
            self.path.unlink(missing_ok=True)
        await self._listener.aclose()


def cannot_listen(error: OSError, host: str | bytes | None, port: int) -> OSError:
    """The same error, with what could not be listened on."""
    where = f"port {port}" if host is None else f"{os.fsdecode(host)} port {port}"
    return type(error)(error.errno, f"cannot listen on {where}: {error.strerror or error}")


async def open_unix_listener(
    path: str | os.PathLike[str], *, mode: int = 0o600, backlog: int | None = None
) -> UnixListener:
    """Listens on a Unix socket.

    A socket file on which nobody listens any more, as a server leaves it that was killed, is
    replaced; one that is alive is not, nor is anything else. Several processes may try at once: one
    of them gets it. The file is removed when the listener is closed. A checkpoint; the work is done
    in a thread, and is not cancelled once it has begun.

    Args:
        path: of the socket's file, in a directory that is there; 107 bytes at most on Linux.
        mode: who may connect, which is who may write to the file. By default only the user that the
            server runs as; for a proxy of the same group `0o660`. Nobody can connect before it
            is set.
        backlog: how many connections may wait to be accepted; by default as many as the system
            lets.

    Raises:
        FileExistsError: what is there is no socket.
        OSError: another process listens there (`errno.EADDRINUSE`), or the file cannot be made.
        ValueError: the mode or the backlog is out of range.
        TypeError: an argument is of another kind.
    """
    needs_trio("open_unix_listener")
    check_int("mode", mode, 0, 0o7777, "; as 0o660")
    if backlog is not None:
        check_int("backlog", backlog, 0, MAX_BACKLOG)
    return await trio.to_thread.run_sync(
        _listen, os.fspath(path), mode, _BACKLOG if backlog is None else backlog
    )


def _listen(place: str, mode: int, backlog: int) -> UnixListener:
    if not hasattr(socket, "AF_UNIX"):  # pragma: no cover
        raise OSError(errno.EOPNOTSUPP, "this system has no Unix sockets")
    path = Path(place).absolute()
    with _locked(path.parent):
        _make_room(path)
        made = socket.socket(socket.AF_UNIX)
        try:
            made.bind(str(path))
            try:
                # Before it listens, connecting is refused.
                path.chmod(mode)
                made.listen(backlog)
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(made))
                return UnixListener(path, listener, _identity(path))
            except BaseException:
                path.unlink(missing_ok=True)
                raise
        except BaseException:
            made.close()
            raise


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One process at a time looks who listens and takes the place.

    There is no other way: between looking and removing, somebody else may have begun to listen.
    """
    file = os.open(directory, os.O_RDONLY)
    try:
        # Closing it ends the lock.
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _make_room(path: Path) -> None:
    """Removes a socket's file on which nobody listens.

    Raises:
        OSError: somebody does, or it is no socket.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, "this is no socket", str(path))
    with socket.socket(socket.AF_UNIX) as probe:
        # Where it has as many connections waiting as it takes, this says so at once.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except FileNotFoundError:  # pragma: no cover
            return  # it has just been removed
        except BlockingIOError:
            pass
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
    """Listens on a TCP port on which other processes of the same user listen in the same way.

    The kernel gives each connection to one of them, and Linux spreads them evenly. As
    `trio.open_tcp_listeners`, but that it sets `SO_REUSEPORT`. A checkpoint;
    cancelled, it leaves nothing open.

    Connections that wait to be accepted by a process that ends are reset: its clients have to try
    again.

    Args:
        port: 0 picks one for each address; all processes need the same, so somebody has to pick.
        host: the interface to listen on; None for all.
        backlog: how many connections may wait to be accepted, in each process; by default as many
            as the system lets.

    Raises:
        OSError: it cannot listen there, as where somebody listens who does not share; or this
            system cannot do it (`errno.EOPNOTSUPP`).
        ValueError: the port, the host or the backlog is out of range.
        TypeError: one of them is of another kind.
    """
    needs_trio("open_reuse_port_listeners")
    check_address(port, host, backlog)
    if not hasattr(socket, "SO_REUSEPORT"):  # pragma: no cover
        raise OSError(errno.EOPNOTSUPP, "this system has no SO_REUSEPORT")
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
                # The name has an address of a kind that this system does not have.
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
