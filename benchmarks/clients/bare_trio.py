"""Bytes made beforehand on a non-blocking socket: the least that a client on Trio can cost."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from benchmarks.wire import DIALECTS

from .common import Options, Wrong, check, run_trio

CHUNK = 1 << 16
DIALECT = DIALECTS["rfc6455"]


@asynccontextmanager
async def connected(chosen: Options) -> AsyncIterator[socket.socket]:
    """A connection whose opening handshake is done."""
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(("127.0.0.1", chosen.port))
        await trio.lowlevel.wait_writable(sock)
        sock.send(DIALECT.request)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += await received(sock)
        yield sock


async def received(sock: socket.socket) -> bytes:
    await trio.lowlevel.wait_readable(sock)
    came = sock.recv(CHUNK)
    if not came:
        raise Wrong("the server ended the connection")
    return came


async def echo(chosen: Options) -> None:
    wire = DIALECT.frame(chosen.message.encode())
    expected = DIALECT.echo(chosen.message.encode())
    async with connected(chosen) as sock:
        while True:
            sock.send(wire)
            check(await received(sock), expected)


async def visit(chosen: Options) -> None:
    async with connected(chosen) as sock:
        sock.send(DIALECT.close)
        await received(sock)


if __name__ == "__main__":
    run_trio(echo, visit)
