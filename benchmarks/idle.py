"""What idle connections cost a server: processor time and memory."""

from __future__ import annotations

import math
import select
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

import attrs

from . import raw
from .cpu import cpu_nanoseconds, resident_bytes
from .results import Columns, Setup
from .subject import started

# Seconds over which they open, one after the other, and for which they are then measured
OPENING, MEASURED = 20.0, 40.0
PING_INTERVAL = 20.0
# Fewer connections, pinged more often by the same factor, get as many pings.
FEWER = 50

BARE = "servers.bare_trio"
# The first connections make the server load and allocate things that belong to none of them.
FIRST = 20
# Seconds until a connection that nobody receives on has reached its final state
SETTLE = 3


@attrs.define(eq=False)
class IdleClients:
    """Clients that answer pings and do nothing else."""

    sockets: dict[int, socket.socket] = attrs.field(factory=dict, init=False)
    epoll: select.epoll = attrs.field(factory=select.epoll, init=False)
    pings: Counter[int] = attrs.field(factory=Counter, init=False)
    """How many were answered, by the server's port."""

    def dial(self, port: int) -> None:
        """Opens one more."""
        sock = raw.dial(port)
        self.sockets[sock.fileno()] = sock
        self.epoll.register(sock, select.EPOLLIN)

    def run(self, until: float) -> None:
        """Answers pings until that time of `time.perf_counter`."""
        while (left := until - time.perf_counter()) > 0:
            for number, _ in self.epoll.poll(left):
                self.answer(self.sockets[number])

    def answer(self, sock: socket.socket) -> None:
        """Answers what has come; small as they are, pings come whole."""
        came = sock.recv(raw.CHUNK)
        if not came:
            raise ConnectionError("the server ended an idle connection")
        while came[:1] == bytes([raw.PING]):
            end = 2 + came[1]
            sock.sendall(raw.frame(raw.PONG, came[2:end], masked=True))
            self.pings[sock.getpeername()[1]] += 1
            came = came[end:]

    def close(self) -> None:
        """Ends them all."""
        self.epoll.close()
        for sock in self.sockets.values():
            sock.close()


@attrs.frozen
class Idle:
    """A server whose connections are idle."""

    connections: int
    ping_interval: float


@attrs.frozen
class Use:
    """What it used."""

    percent: float
    """Of a core."""
    pings: float
    """Per second."""


def used_by(
    setup: Setup, behaviour: str, servers: Sequence[Idle], opening: float, seconds: float
) -> list[Use]:
    """What each server uses, all of them measured at the same time."""
    with closing(IdleClients()) as clients, ExitStack() as stack:
        running = [
            stack.enter_context(
                started(
                    *(setup.surroundings, "subjects.server", behaviour),
                    *("--ping-interval", server.ping_interval),
                )
            )
            for server in servers
        ]
        ports = [subject.read_port() for subject in running]
        began = time.perf_counter()
        schedule = sorted(
            (began + opening * number / server.connections, port)
            for server, port in zip(servers, ports, strict=True)
            for number in range(server.connections)
        )
        for moment, port in schedule:
            clients.run(until=moment)
            clients.dial(port)
        clients.run(until=began + opening)
        clients.pings.clear()
        before = [cpu_nanoseconds(subject.pid) for subject in running]
        began = time.perf_counter()
        clients.run(until=began + seconds)
        after = [cpu_nanoseconds(subject.pid) for subject in running]
        took = time.perf_counter() - began
        return [
            Use(100 * (end - start) / took / 1e9, clients.pings[port] / took)
            for port, start, end in zip(ports, before, after, strict=True)
        ]


def idle(setup: Setup) -> Iterator[tuple[str, Columns]]:
    """Processor time that a server uses while its connections are idle.

    What the pings alone cost is measured on a few connections that are pinged more often.
    """
    connections = setup.pick(setup.connections, 2 * FEWER)
    servers = (
        Idle(connections, PING_INTERVAL),
        Idle(connections, math.inf),
        Idle(connections // FEWER, PING_INTERVAL / FEWER),
    )
    for behaviour, name in (("receive", "receiving"), ("sleep", "asleep")):
        opening, seconds = (0.5, 0.5) if setup.quick else (OPENING, MEASURED)
        pinged, unpinged, few = used_by(setup, behaviour, servers, opening, seconds)
        alone = few.percent / few.pings * pinged.pings if few.pings else 0.0
        yield (
            f"{connections} connections, handlers {name}",
            {
                "% of a core": [pinged.percent],
                "without pings": [unpinged.percent],
                "the pings alone": [alone],
                "beyond them": [pinged.percent - alone],
                "pings per second": [pinged.pings],
            },
        )


def memory_of_one(
    setup: Setup, program: str, *arguments: str, exchange: bool, count: int
) -> Columns:
    """How much memory a server takes per connection, which has had one message echoed or none."""
    with started(setup.surroundings, program, *arguments) as server, ExitStack() as stack:
        port = server.read_port()

        def open_one() -> None:
            if program == BARE:
                sock = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                raw.exchange(sock, b"hello", b"hello")
                return
            sock = stack.enter_context(raw.dial(port))
            if exchange:
                raw.exchange_message(sock)

        for _ in range(FIRST):
            open_one()
        before = resident_bytes(server.pid)
        for _ in range(count):
            open_one()
        time.sleep(0 if exchange else SETTLE)
        return {"KiB": [(resident_bytes(server.pid) - before) / count / 1024]}


def memory(setup: Setup) -> Iterator[tuple[str, Columns]]:
    """Memory of a server per idle connection."""
    count = setup.pick(3000, 100)
    yield "bare Trio", memory_of_one(setup, BARE, exchange=True, count=count)
    yield (
        "receiving, after one echo",
        memory_of_one(setup, "subjects.server", "echo", exchange=True, count=count),
    )
    yield (
        "asleep",
        memory_of_one(setup, "subjects.server", "sleep", exchange=False, count=count),
    )
