"""Echoes bytes, no messages: a non-blocking socket, and Trio asked to wait only when it must.

The least that a server on Trio can cost. Or sends to all what one says.
"""

from __future__ import annotations

import socket
from functools import partial

import trio

from .common import Options, options, run_trio

CHUNK = 1 << 16


async def echo(stream: trio.SocketStream) -> None:
    """Echoes what one connection says."""
    with socket.socket(fileno=stream.socket.detach()) as sock:
        sock.setblocking(False)
        while True:
            try:
                chunk = sock.recv(CHUNK)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(sock)
                continue
            if not chunk:
                return
            await send_all(sock, chunk)
            if len(chunk) < CHUNK:
                # There was no more; another call would only say so.
                await trio.lowlevel.wait_readable(sock)


async def send_all(sock: socket.socket, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        try:
            rest = rest[sock.send(rest) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)


async def tell_all(stream: trio.SocketStream, everybody: set[socket.socket]) -> None:
    """Sends to all what one connection says, in few bytes at a time."""
    with socket.socket(fileno=stream.socket.detach()) as sock:
        sock.setblocking(False)
        everybody.add(sock)
        try:
            while True:
                await trio.lowlevel.wait_readable(sock)
                chunk = sock.recv(CHUNK)
                if not chunk:
                    return
                for other in everybody:
                    other.send(chunk)
        finally:
            everybody.remove(sock)


async def serve(
    chosen: Options, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED
) -> None:
    handler = partial(tell_all, everybody=set()) if chosen.broadcast else echo
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        task_status.started(listeners[0].socket.getsockname()[1])


if __name__ == "__main__":
    run_trio(partial(serve, options()))
