"""Floods, and peers that send them as fast as they are read; one loop runs all the peers."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

import attrs

from .raw import CHUNK, PING, PONG, TEXT, TIMEOUT, answer_to, frame
from .wire import HEAD, HIXIE_75, RFC6455

# Seconds before a client whose connection was ended opens another
PAUSE = 0.1

# RFC 6455 section 5.2: no FIN; RSV1 says that a message is compressed (RFC 7692 section 7.2.3.1)
CONTINUES, RSV1 = 0x00, 0x40
# RFC 1951 section 3.2.6: an empty final block with fixed codes, padded to two bytes
EMPTY_BLOCK = b"\x03\x00"


@attrs.frozen
class Flood:
    """Bytes that a peer sends over and over; functions of whether it is a client, and masks."""

    name: str
    unit: Callable[[bool], bytes]
    begins: Callable[[bool], bytes] = lambda masked: b""
    """Sent once before that."""
    step: int = CHUNK
    """Bytes per call of `send`, at most."""
    reads: bool = True
    """Whether it reads the answers."""
    deflate: bool = False
    hixie_75: bool = False

    @property
    def draft(self) -> str:
        """The name of the draft that it is sent in."""
        return "hixie-75" if self.hixie_75 else "rfc6455"

    def request(self) -> bytes:
        """A client's request."""
        if self.hixie_75:
            return HIXIE_75
        offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.deflate else b""
        return HEAD + offer + RFC6455

    def block(self, masked: bool) -> bytes:
        """Many units, so that one call of `send` takes many."""
        unit = self.unit(masked)
        return unit * max(1, CHUNK // len(unit))


def frames(first: int, payload: bytes = b"") -> Callable[[bool], bytes]:
    return lambda masked: frame(first, payload, masked=masked)


FLOODS = (
    Flood("pings", frames(PING)),
    Flood("pings, pongs not read", frames(PING), reads=False),
    Flood("pongs", frames(PONG)),
    Flood("empty fragments", frames(CONTINUES), frames(CONTINUES | 1)),
    Flood("tiny messages", frames(TEXT, b"a")),
    # hixie-75 section 5.3: a type with its highest bit set, and a length of 0; it is skipped
    Flood("reserved frames, hixie-75", lambda masked: b"\x80\x00", hixie_75=True),
    Flood("one byte at a time", frames(TEXT, b"a"), step=1),
    Flood(
        "03 00 compressed",
        frames(CONTINUES, EMPTY_BLOCK * 1000),
        frames(CONTINUES | RSV1 | 1, EMPTY_BLOCK),
        deflate=True,
    ),
)


@attrs.define(eq=False)
class Flooder:
    """One peer's connection, in either role."""

    flood: Flood
    masked: bool
    """Whether it is a client."""
    sock: socket.socket
    head: bytes = attrs.field(default=b"", init=False)
    opened: bool = attrs.field(default=False, init=False)
    block: memoryview = attrs.field(init=False)
    rest: memoryview = attrs.field(init=False)
    """What it sends next."""

    def __attrs_post_init__(self) -> None:
        self.block = memoryview(self.flood.block(self.masked))
        self.rest = memoryview(self.flood.begins(self.masked)) or self.block
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        if self.masked:
            self.sock.sendall(self.flood.request())

    @property
    def read_events(self) -> int:
        """What to poll for besides room to send."""
        return select.POLLIN if self.flood.reads or not self.opened else 0

    def read(self) -> None:
        """Reads the other side's head; what follows it is thrown away.

        Raises:
            OSError: the other side ended the connection.
        """
        chunk = self.sock.recv(CHUNK)
        if not chunk:
            raise ConnectionError("the connection was ended")
        if not self.opened:
            self.head += chunk
            if b"\r\n\r\n" in self.head:
                self.opened = True
                if not self.masked:
                    self.sock.sendall(answer_to(self.head, deflate=self.flood.deflate))

    def write(self) -> None:
        """Sends as much as the kernel takes."""
        self.rest = self.rest[self.sock.send(self.rest[: self.flood.step]) :] or self.block


@attrs.define(eq=False)
class Crowd:
    """All flooders: clients of a port, which reconnect, or the servers behind a listener."""

    flood: Flood
    port: int | None = None
    """Of the server, where they are clients."""
    listener: socket.socket | None = None
    flooders: dict[int, Flooder] = attrs.field(factory=dict, init=False)
    poll: select.poll = attrs.field(factory=select.poll, init=False)
    ended: int = attrs.field(default=0, init=False)
    """How many connections the other side has ended."""
    dial_at: list[float] = attrs.field(factory=list, init=False)
    """When clients are to reconnect."""
    flooding: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        if self.listener is not None:
            self.poll.register(self.listener, select.POLLIN)

    def dial(self) -> None:
        """Connects one more client, now or a little later."""
        address = ("127.0.0.1", self.port)
        try:
            sock = socket.create_connection(address, timeout=1)
        except OSError:
            self.dial_at.append(time.perf_counter() + PAUSE)
        else:
            self.add(sock, masked=True)

    def add(self, sock: socket.socket, *, masked: bool) -> None:
        """Starts the opening handshake of one more."""
        flooder = Flooder(self.flood, masked, sock)
        self.flooders[sock.fileno()] = flooder
        self.watch(flooder)

    def watch(self, flooder: Flooder) -> None:
        """Polls it for what it can do now."""
        write = select.POLLOUT if self.flooding and flooder.opened else 0
        self.poll.register(flooder.sock, flooder.read_events | write)

    def drop(self, flooder: Flooder) -> None:
        """Closes one that the other side has ended."""
        self.poll.unregister(flooder.sock)
        del self.flooders[flooder.sock.fileno()]
        flooder.sock.close()
        self.ended += 1
        if self.listener is None:
            self.dial_at.append(time.perf_counter() + PAUSE)

    def open(self, connections: int) -> None:
        """Opens so many connections, or waits until so many clients have opened theirs.

        Raises:
            TimeoutError: that takes too long.
        """
        if self.listener is None:
            for _ in range(connections):
                self.dial()
        deadline = time.perf_counter() + TIMEOUT
        while sum(flooder.opened for flooder in self.flooders.values()) < connections:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{connections} connections did not open")
            self.turn()

    def begin(self) -> None:
        """Lets the flood begin."""
        self.flooding = True
        for flooder in self.flooders.values():
            self.watch(flooder)

    def run(self, seconds: float) -> None:
        """Runs them for so long."""
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            self.turn()

    def turn(self) -> None:
        """Every flooder that can read or write does so once."""
        now = time.perf_counter()
        due = [moment for moment in self.dial_at if moment <= now]
        self.dial_at = [moment for moment in self.dial_at if moment > now]
        for _ in due:
            self.dial()
        for number, ready in self.poll.poll(20):
            flooder = self.flooders.get(number)
            if flooder is None:
                assert self.listener is not None
                self.add(self.listener.accept()[0], masked=False)
                continue
            try:
                if ready & (select.POLLIN | select.POLLHUP | select.POLLERR):
                    was_opened = flooder.opened
                    flooder.read()
                    if flooder.opened != was_opened:
                        self.watch(flooder)
                if ready & select.POLLOUT:
                    flooder.write()
            except BlockingIOError:
                pass
            except OSError:
                self.drop(flooder)

    def close(self) -> None:
        """Ends them all."""
        for flooder in self.flooders.values():
            flooder.sock.close()
