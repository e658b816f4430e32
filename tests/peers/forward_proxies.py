"""Proxies that a client asks to connect it somewhere: tinyproxy, by CONNECT, and microsocks."""

from __future__ import annotations

import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from .catalogue import TIED, Peer, kill, require, shown_stderr
from .proxies import reserved_port, until_it_listens

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

TINYPROXY = Peer(
    name="tinyproxy", drafts=(), command=("tinyproxy", "-d"), needs=("tinyproxy", "-v")
)
# It has no option that only says that it is there.
MICROSOCKS = Peer(
    name="microsocks",
    drafts=(),
    command=("microsocks", "-i", "127.0.0.1"),
    needs=Path("/usr/bin/microsocks"),
)


@asynccontextmanager
async def tinyproxy(
    folder: Path, *, user: tuple[str, str] | None = None, only_to: int | None = None
) -> AsyncGenerator[int]:
    """An HTTP proxy; gives its port. It demands that user, and connects to that port alone."""
    lines = ["Listen 127.0.0.1", "Timeout 60", "LogLevel Critical", "Allow 127.0.0.1"]
    if user is not None:
        lines.append(f"BasicAuth {user[0]} {user[1]}")
    if only_to is not None:
        lines.append(f"ConnectPort {only_to}")
    with reserved_port() as port:
        config = folder / f"tinyproxy-{port}.conf"
        config.write_text("\n".join([f"Port {port}", *lines, ""]), encoding="utf-8")
        async with _running(TINYPROXY, ("-c", str(config)), port):
            yield port


@asynccontextmanager
async def microsocks(*, user: tuple[str, str] | None = None) -> AsyncGenerator[int]:
    """A SOCKS5 proxy; gives its port."""
    arguments = () if user is None else ("-u", user[0], "-P", user[1])
    with reserved_port() as port:
        async with _running(MICROSOCKS, ("-p", str(port), *arguments), port):
            yield port


@asynccontextmanager
async def _running(peer: Peer, arguments: tuple[str, ...], port: int) -> AsyncGenerator[None]:
    require(peer)
    with shown_stderr() as stderr:
        process = await trio.lowlevel.open_process(
            [*TIED, *peer.command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            await until_it_listens(process, port)
            yield
            assert process.poll() is None
        finally:
            kill(process)
            with trio.CancelScope(shield=True):
                await process.wait()
