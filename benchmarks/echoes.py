"""Whole echoes to be counted: a server, and raw clients that talk to it over TCP, in one process.

The clients are not tasks. They run when Trio is about to wait for input, so all that is counted
besides the server is a few socket calls per message, the same for every server.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from typing import TypeAlias

import attrs
import trio

from .dial import CHUNK, opened_by
from .servers import bare_trio, draftws
from .servers.common import Options
from .task import Failed
from .wire import DIALECTS, HeaderFormat, text

WARM_UP = 16
# Seconds; a busy kernel may take a moment to deliver what was sent.
PATIENCE = 0.01

Serve: TypeAlias = Callable[..., Awaitable[object]]
"""Starts, in a nursery, with the port that it listens on."""


@attrs.frozen
class Echo:
    """How many messages on how many connections."""

    connections: int
    in_flight: int
    """Messages written at once on a connection; the next follow when all are back."""
    repeats: int
    size: int = 32

    @property
    def messages(self) -> int:
        """How many messages each repeat has."""
        return self.connections * self.in_flight


ECHOES = {
    "echo 1 in flight": Echo(1, 1, 1000),
    "echo 100 in flight": Echo(1, 100, 100),
    "echo 64 connections": Echo(64, 1, 30),
}


@attrs.define(eq=False)
class Clients(trio.abc.Instrument):
    """Sends on every socket, and sends again whenever a whole echo has come back."""

    sockets: dict[int, socket.socket]
    """By file descriptor."""
    wire: bytes
    expected: bytes
    token: trio.lowlevel.TrioToken = attrs.field(factory=trio.lowlevel.current_trio_token)
    epoll: select.epoll = attrs.field(factory=select.epoll, init=False)
    room: bytearray = attrs.field(init=False)
    to_come: dict[int, int] = attrs.field(factory=dict, init=False)
    """How many bytes of the echo each socket still waits for."""
    to_send: dict[int, int] = attrs.field(factory=dict, init=False)
    """How often to send on each socket again."""
    busy: int = attrs.field(default=0, init=False)
    echoed: int = attrs.field(default=0, init=False)
    """How many echoes have come back, on all sockets together."""
    done: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self.room = bytearray(len(self.expected))
        for number in self.sockets:
            self.epoll.register(number, select.EPOLLIN)

    async def exchange(self, repeats: int) -> None:
        """Has the bytes echoed so many times on every socket."""
        self.done = trio.Event()
        self.busy = len(self.sockets)
        for number, sock in self.sockets.items():
            self.to_send[number] = repeats - 1
            self.to_come[number] = len(self.expected)
            sock.sendall(self.wire)
        trio.lowlevel.add_instrument(self)
        await self.done.wait()
        trio.lowlevel.remove_instrument(self)
        if self.room != self.expected:
            raise Failed(f"the server sent {bytes(self.room[:80])!r}…, not the echo")

    def close(self) -> None:
        """Ends them all."""
        self.epoll.close()
        for sock in self.sockets.values():
            sock.close()

    def before_io_wait(self, timeout: float) -> None:
        """Called by Trio."""
        ready = self.epoll.poll(PATIENCE if timeout else 0)
        if timeout and not ready:
            # Trio does not wait for our input: make it come back here.
            self.token.run_sync_soon(no_op)
        for number, _ in ready:
            sock, left = self.sockets[number], self.to_come[number]
            count = sock.recv_into(memoryview(self.room)[-left:])
            if not count:
                self.room.clear()
                self.token.run_sync_soon(self.done.set)
                return
            left -= count
            if left:
                self.to_come[number] = left
                continue
            self.echoed += 1
            if self.to_send[number]:
                self.to_send[number] -= 1
                self.to_come[number] = len(self.expected)
                sock.sendall(self.wire)
            else:
                self.busy -= 1
                if not self.busy:
                    # Trio has already decided how long to wait; this wakes it.
                    self.token.run_sync_soon(self.done.set)


def no_op() -> None:
    """Does nothing but wake Trio."""


async def opened(port: int, dialect: HeaderFormat) -> socket.socket:
    """Opens a connection as a client."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(dialect.request)
    answer = b""
    while not opened_by(answer, dialect):
        await trio.lowlevel.wait_readable(sock)
        answer += sock.recv(CHUNK)
    return sock


async def echo(serve: Serve, dialect: HeaderFormat, shape: Echo, repeats: int) -> int:
    """Has the messages of every client echoed so many times; returns how many messages that was.

    Raises:
        Failed: the server sent something else.
    """
    payload = text(shape.size)
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(serve)
        sockets = [await opened(port, dialect) for _ in range(shape.connections)]
        with closing(
            Clients(
                {sock.fileno(): sock for sock in sockets},
                dialect.frame(payload) * shape.in_flight,
                dialect.echo(payload) * shape.in_flight,
            )
        ) as clients:
            await clients.exchange(WARM_UP)
            clients.echoed = 0
            if repeats:
                await clients.exchange(repeats)
        nursery.cancel_scope.cancel()
    return clients.echoed * shape.in_flight


def run(mode: str, shape: Echo, repeats: int) -> None:
    server = bare_trio if mode == "bare" else draftws
    serve = partial(server.serve, Options(mode=mode))
    trio.run(echo, serve, DIALECTS[mode], shape, repeats)
