"""What is taken away, system by system. To be applied before Trio is imported."""

from __future__ import annotations

import errno
import importlib
import os
import select as real_select
import socket
import stat
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# The modules, in which type checkers do not look for what is put there
SOCKET: Any = socket
SELECT: Any = real_select


class Missing:
    """An attribute that a class has not, though one that it inherits from has."""

    def __get__(self, _: object, __: object = None) -> object:
        raise AttributeError("it is masked")


# Before Trio is imported, which looks for these too


def without(name: str) -> None:
    """Removes a constant of `socket`."""
    delattr(socket, name)
    socket.__all__.remove(name)


def no_unix_sockets() -> None:
    family, pair = socket.AF_UNIX, socket.socketpair
    # Windows makes its pairs of TCP, which nobody is to notice.
    SOCKET.socketpair = lambda of=family, *rest, **named: pair(of, *rest, **named)
    without("AF_UNIX")


def no_reuse_port() -> None:
    without("SO_REUSEPORT")


def no_low_water() -> None:
    without("TCP_NOTSENT_LOWAT")


# When Trio has been imported, which needs them here


def no_sendmsg() -> None:
    SOCKET.socket.sendmsg = Missing()


def keep_select() -> None:
    """Gives all that were imported so far the whole module, for only the package is to miss it."""
    importlib.import_module("asyncio")
    importlib.import_module("subprocess")
    whole = types.SimpleNamespace(**vars(real_select))
    for module in list(sys.modules.values()):
        if vars(module).get("select") is real_select:
            module.select = whole  # type: ignore[attr-defined]


def no_epoll() -> None:
    keep_select()
    del SELECT.epoll


def no_poll() -> None:
    keep_select()
    del SELECT.poll, SELECT.PIPE_BUF


def kqueue() -> None:
    imitation = importlib.import_module("tests.platforms.kqueue")
    vars(real_select).update(imitation.NAMES)
    no_epoll()


def no_files() -> None:
    """The number of a socket is no descriptor; what is written in C has no functions for it."""

    def refused(*_: object) -> Any:
        raise OSError(errno.EBADF, "a socket is no file here")

    def only_files(function: Callable[..., Any]) -> Callable[..., Any]:
        def checked(file: int, *rest: Any) -> Any:
            return (refused if stat.S_ISSOCK(os.fstat(file).st_mode) else function)(file, *rest)

        return checked

    vars(os).update(read=only_files(os.read), write=only_files(os.write))
    short_io = importlib.import_module("trio_draftws.drafts._framing.short_io")
    for name in ("receive_short_messages", "receive_texts", "send_short_message", "send_text"):
        setattr(short_io, name, refused)


def refused_when_full() -> None:
    """A Unix socket whose backlog is full refuses, as if nobody listened."""
    connect = socket.socket.connect

    def connect_or_refuse(to: socket.socket, address: Any, /) -> None:
        try:
            connect(to, address)
        except BlockingIOError as error:
            if to.family == socket.AF_UNIX:
                raise ConnectionRefusedError(errno.ECONNREFUSED, "it is full") from error
            raise

    SOCKET.socket.connect = connect_or_refuse


# While what looks for them is imported


@contextmanager
def no_fcntl() -> Iterator[None]:
    kept = {name: sys.modules.get(name) for name in ("fcntl", "termios")}
    sys.modules.update(dict.fromkeys(kept))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in kept.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module


@contextmanager
def macos() -> Iterator[None]:
    """It says that it is one, and its sockets have `SO_NWRITE`."""
    import fcntl
    import termios

    ask = socket.socket.getsockopt

    def answer(of: socket.socket, level: int, option: int, *rest: Any) -> Any:
        if (level, option) == (socket.SOL_SOCKET, 0x1024):
            held = fcntl.ioctl(of.fileno(), termios.TIOCOUTQ, bytes(4))
            return int.from_bytes(held, sys.byteorder)
        return ask(of, level, option, *rest)

    SOCKET.socket.getsockopt = answer
    system, sys.platform = sys.platform, "darwin"
    try:
        yield
    finally:
        sys.platform = system


@contextmanager
def windows() -> Iterator[None]:
    system, sys.platform = sys.platform, "win32"
    try:
        with no_fcntl():
            yield
    finally:
        sys.platform = system


BEFORE = (no_unix_sockets, no_reuse_port, no_low_water)
AFTER = (no_sendmsg, no_poll, no_epoll, kqueue, no_files, refused_when_full)
DURING = (no_fcntl, macos, windows)
MASKS: dict[str, tuple[Callable[[], Any], ...]] = {
    **{mask.__name__: (mask,) for mask in (*BEFORE, *AFTER, *DURING)},
    # That what is no file is not taken for one is known by the absence of fcntl.
    "no_files": (no_files, no_fcntl),
    "macos": (kqueue, refused_when_full, macos),
    "windows": (*BEFORE, no_sendmsg, no_epoll, no_poll, no_files, windows),
}


def looked_for() -> types.ModuleType:
    """The module of the package that looks for what there is."""
    return importlib.import_module("trio_draftws._transport.platform")


def apply(name: str) -> None:
    """Takes away what the mask of that name does, and imports Trio and the package."""
    assert "trio" not in sys.modules, "it is too late"
    parts = MASKS[name]
    for part in parts:
        if part in BEFORE:
            part()
    importlib.import_module("trio")
    importlib.import_module("trio_draftws.drafts")
    for part in parts:
        if part in AFTER:
            part()
    for part in parts:
        if part in DURING:
            with part():
                looked_for()
    looked_for()
