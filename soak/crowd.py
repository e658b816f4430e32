"""Ten thousand clients in one process: blocking code, written as generators, over one epoll.

A client's script yields when it has to wait for its socket, and is gone on with when that has
something. It knows no WebSocket beyond the bytes made beforehand that the benchmarks have too.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable, Generator
from typing import TypeAlias

import attrs

from benchmarks.wire import DIALECTS, HeaderFormat

from .server import NEW

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

Script: TypeAlias = Generator[int, None, None]
"""Yields what it waits for: `READ` or `WRITE`."""
Question: TypeAlias = Generator[int, None, bool]
"""The same, and what came of it."""

CHUNK = 1 << 16
# One address has 28,000 ports, and each is kept from the next for a minute.
ADDRESSES = 32

# RFC 6455 section 5.5.2: of four bytes, as this library sends them
PING = b"\x89\x04"
PONG = b"\x8a\x84\0\0\0\0"
# How the server's closing frame begins, or all of it: hixie-76 section 1.4, nine zeros of
# whatwg-2010-08, RFC 6455 section 5.5.1
GOODBYES = {"old": b"\xff\x00", "new": bytes(9), "rfc6455": b"\x88"}
MODES = tuple(GOODBYES)


class Wrong(Exception):
    """The server did something else than it should."""


class Gone(Exception):
    """The server ended or broke the connection."""


@attrs.define(eq=False)
class Client:
    """One of the crowd: at most one socket at a time, and what was read from it."""

    crowd: Crowd
    number: int
    mode: str
    """Which of the drafts it speaks."""
    script: Script | None = None
    sock: socket.socket | None = None
    received: bytearray = attrs.field(factory=bytearray)
    ended: bool = False
    """Whether the server has ended its side."""
    broken: OSError | None = None
    """How it did, if not in order."""
    code: int | None = None
    """The code in the server's close, in drafts that have codes."""
    waits_for: int = READ
    dialect: HeaderFormat = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.dialect = DIALECTS[self.mode]

    # Each connection

    def connect(self) -> None:
        """Dials; what is left of an earlier connection is dropped."""
        self.received.clear()
        self.ended, self.broken, self.code, self.waits_for = False, None, None, READ
        self.sock = socket.create_connection(
            ("127.0.0.1", self.crowd.port),
            self.crowd.patience,
            source_address=(f"127.0.0.{2 + self.number % ADDRESSES}", 0),
        )
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.crowd.add(self)

    @property
    def request(self) -> bytes:
        """What opens a connection."""
        if self.mode != "new":
            return self.dialect.request
        return self.dialect.request.replace(b" / ", f" {NEW} ".encode(), 1)

    def opening(self) -> Script:
        """Connects and shakes hands."""
        self.connect()
        self.send(self.request)
        while (end := self.received.find(b"\r\n\r\n")) < 0:
            yield from self.wait()
        if b" 101 " not in self.received[: self.received.find(b"\r\n")]:
            raise Wrong(f"the server answered {bytes(self.received[:200])!r}")
        while len(self.received) < end + 4 + self.dialect.answer_body:
            yield from self.wait()
        del self.received[: end + 4 + self.dialect.answer_body]
        self.crowd.openings += 1

    def leave(self) -> None:
        """Closes the socket."""
        if self.sock is not None:
            self.crowd.drop(self)
            self.sock.close()
            self.sock = None

    def reset(self) -> None:
        """Closes it in such a way that the server gets an error."""
        assert self.sock is not None
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.leave()

    # Sending and receiving

    def send(self, data: bytes) -> None:
        """Sends what is short enough for the kernel to take."""
        assert self.sock is not None
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise Gone(f"{error}, on sending") from error
        if sent < len(data):
            raise Wrong(f"the server does not read: {len(data) - sent} bytes were not taken")

    def say(self, text: bytes) -> Question:
        """Sends a message and waits for its echo: false if a close came instead."""
        self.send(self.dialect.frame(text))
        return (yield from self.hears(self.dialect.echo(text)))

    def hears(self, data: bytes = b"") -> Question:
        """Waits for exactly `data`: false if a close came instead.

        Without `data` that is all that may come.
        """
        while True:
            if data and self.received.startswith(data):
                del self.received[: len(data)]
                return True
            self.answer_pings()
            if self.take_goodbye():
                return False
            if not self.may_become(data):
                raise Wrong(f"{bytes(self.received[:80])!r} came, not {data[:80]!r}")
            yield from self.wait()

    def wait(self) -> Script:
        """Until more has come."""
        if self.broken is not None:
            raise Gone(str(self.broken))
        if self.ended:
            raise Gone(f"the server ended after {bytes(self.received[:80])!r}")
        yield READ

    def may_become(self, data: bytes) -> bool:
        """Whether what came is the beginning of what may come."""
        came = bytes(self.received)
        goodbye = GOODBYES[self.mode]
        return (
            data.startswith(came)
            or goodbye.startswith(came[: len(goodbye)])
            or (self.mode == "rfc6455" and PING.startswith(came[:2]))
        )

    def answer_pings(self) -> None:
        """Where the server asks whether we are there."""
        while self.mode == "rfc6455" and self.received[:2] == PING and len(self.received) >= 6:
            self.send(PONG + self.received[2:6])
            del self.received[:6]
            self.crowd.pings += 1

    def take_goodbye(self) -> bool:
        """Whether the server's closing frame has come."""
        size = len(GOODBYES[self.mode])
        if not self.received.startswith(GOODBYES[self.mode]):
            return False
        if self.mode == "rfc6455":
            if len(self.received) < 2 or len(self.received) < 2 + self.received[1]:
                return False
            size = 2 + self.received[1]
            self.code = int.from_bytes(self.received[2:4], "big")
        del self.received[:size]
        return True

    def closing(self, code: int) -> Script:
        """The server has closed: checks its close, answers it, and waits for the end."""
        if self.mode == "rfc6455" and self.code != code:
            raise Wrong(f"the server closed with {self.code}, not {code}")
        self.send(self.dialect.close)
        yield from self.until_end()

    def until_end(self) -> Script:
        """Waits until the server has ended its side; nothing may come before."""
        while not self.ended:
            yield READ
        if self.broken is not None:
            raise Gone(str(self.broken))
        if self.received:
            raise Wrong(f"{bytes(self.received[:80])!r} came behind the goodbye")

    def hushing(self) -> Script:
        """For scripts with nothing in flight: waits while there is a hush."""
        while self.crowd.hushed and not self.ended:
            self.crowd.quiet.add(self)
            yield READ

    def hear(self) -> None:
        """Reads what is there."""
        assert self.sock is not None
        try:
            data = self.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self.broken = error
            self.ended = True
            return
        if data:
            self.received += data
        else:
            self.ended = True


@attrs.define(eq=False)
class Crowd:
    """All clients of one server, gone on with one after the other."""

    port: int
    patience: float
    """Seconds for what the server does at once, if it has the time."""
    faults: list[str] = attrs.field(factory=list)
    """The faults that clients have reported."""
    hushed: bool = False
    """Whether talkers should finish and wait; see `hush`."""
    ending: bool = False
    """Whether the server has got SIGTERM."""
    openings: int = 0
    """Connections opened."""
    pings: int = 0
    """Pings of the server's that were answered."""
    quiet: set[Client] = attrs.field(factory=set)
    """The clients that wait for the hush to end."""
    alive: int = 0
    """Clients whose script has not ended."""
    _clients: dict[int, Client] = attrs.field(factory=dict)
    _epoll: select.epoll = attrs.field(factory=select.epoll)

    def add(self, client: Client) -> None:
        assert client.sock is not None
        self._clients[client.sock.fileno()] = client
        self._epoll.register(client.sock, READ)

    def drop(self, client: Client) -> None:
        assert client.sock is not None
        # Closed, it leaves the epoll by itself.
        del self._clients[client.sock.fileno()]

    def start(self, client: Client, script: Script) -> None:
        """Begins with a client's script, which runs until it has to wait."""
        client.script = script
        self.alive += 1
        self.go_on(client)

    def go_on(self, client: Client) -> None:
        """Runs a client's script until it has to wait again, or ends."""
        assert client.script is not None
        try:
            wanted = next(client.script)
        except StopIteration:
            self.end(client)
        except (Wrong, Gone, OSError) as error:
            self.faults.append(f"client {client.number}: {type(error).__name__}: {error}")
            self.end(client)
        else:
            if wanted != client.waits_for and client.sock is not None:
                client.waits_for = wanted
                self._epoll.modify(client.sock, wanted)

    def end(self, client: Client) -> None:
        """A client does nothing more."""
        client.leave()
        client.script = None
        self.quiet.discard(client)
        self.alive -= 1

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Lets them all go on for that long, or until it is so; whether it is."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for number, event in self._epoll.poll(min(left, 0.1)):
                client = self._clients.get(number)
                # Since epoll returned, one may have left and another have got its number.
                if client is None:
                    continue
                if event & ~WRITE:
                    client.hear()
                self.go_on(client)
        return True

    def hush(self) -> None:
        """Makes the talkers finish what they do, and wait."""
        self.hushed = True

    def go_on_all(self) -> None:
        """Ends the hush."""
        self.hushed = False
        waiting, self.quiet = self.quiet, set()
        for client in waiting:
            if client.script is not None:
                self.go_on(client)
