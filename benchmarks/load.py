"""The load generator: blocking sockets and bytes made beforehand, in a process of its own.

It knows no WebSocket beyond those bytes. What it costs itself is not counted: it reads, before and
after, what the server has used.

    python -m benchmarks.load '{"port": …}'    prints one JSON object: a `Sample`
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import attrs

from .cpu import cpu_nanoseconds, resident_bytes
from .wire import DIALECTS, Dialect, text

TIMEOUT = 30
# Written at once only while both sides' buffers can hold it; above it, read and write by turns.
SMALL = 1 << 15
CHUNK = 1 << 18


@attrs.frozen
class Task:
    """What to do to which server."""

    port: int
    pid: int
    """The server's process."""
    dialect: str
    exercise: str
    """The name of one of `EXERCISES`."""
    connections: int
    in_flight: int = 1
    """Messages sent at once on a connection; the next come when all are back."""
    size: int = 32
    """Bytes in a message."""
    tls: bool = False
    warm_up: float = 0.3
    """Seconds."""
    seconds: float = 1.0


@attrs.frozen
class Sample:
    """What came of it."""

    count: int
    """Messages, handshakes or connections."""
    seconds: float
    cost: float
    """For each of them: microseconds of the server's processor time, or KiB of its memory."""

    @property
    def rate(self) -> float:
        """So many in a second."""
        return self.count / self.seconds


class Failed(Exception):
    """The server did something else than echo."""


@contextmanager
def opened(task: Task, dialect: Dialect) -> Iterator[socket.socket]:
    """A connection whose opening handshake is done."""
    with socket.create_connection(("127.0.0.1", task.port), timeout=TIMEOUT) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if task.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # It is measured, not trusted.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(plain) as encrypted:
                shake_hands(encrypted, dialect)
                yield encrypted
        else:
            shake_hands(plain, dialect)
            yield plain


def shake_hands(sock: socket.socket, dialect: Dialect) -> None:
    if not dialect.request:
        return
    sock.sendall(dialect.request)
    answer = b""
    while not opened_by(answer, dialect):
        chunk = sock.recv(CHUNK)
        if not chunk:
            raise Failed(f"the server ended the opening after {answer!r}")
        answer += chunk


def opened_by(answer: bytes, dialect: Dialect) -> bool:
    """Whether that is all of an answer that opens the connection; false if more is to come.

    Raises:
        Failed: it is all of another answer.
    """
    if not dialect.request:
        return True
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end or len(body) < dialect.answer_body:
        return False
    if b" 101 " not in head.partition(b"\r\n")[0]:
        raise Failed(f"the server answered {head!r}")
    return True


def read(sock: socket.socket, room: memoryview) -> None:
    """Fills `room`."""
    while room:
        count = sock.recv_into(room)
        if not count:
            raise Failed("the server ended the connection")
        room = room[count:]


def write_and_read(sock: socket.socket, wire: memoryview, room: memoryview) -> None:
    """Writes one and fills the other at the same time.

    A server may send back what it has before it has all, and then waits until that is read.
    """
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    while wire:
        ((_, ready),) = poll.poll(TIMEOUT * 1000) or [(0, 0)]
        if not ready:
            raise Failed("the server does not read")
        if ready & select.POLLIN:
            count = sock.recv_into(room)
            if not count:
                raise Failed("the server ended the connection")
            room = room[count:]
        if ready & select.POLLOUT:
            wire = wire[sock.send(wire, socket.MSG_DONTWAIT) :]
    read(sock, room)


def measured(task: Task, some: Callable[[], int]) -> Sample:
    """What it costs to do `some`, which says how many that was, again and again."""
    until(task.warm_up, some)
    began, used = time.perf_counter(), cpu_nanoseconds(task.pid)
    count = until(task.seconds, some)
    used, ended = cpu_nanoseconds(task.pid) - used, time.perf_counter()
    return Sample(count, ended - began, used / count / 1000)


def until(seconds: float, some: Callable[[], int]) -> int:
    deadline = time.perf_counter() + seconds
    count = some()
    while time.perf_counter() < deadline:
        count += some()
    return count


def echo(task: Task) -> Sample:
    """Every connection has `in_flight` messages on the way, all the time."""
    dialect = DIALECTS[task.dialect]
    payload = text(task.size)
    wire = memoryview(dialect.frame(payload) * task.in_flight)
    expected = dialect.echo(payload) * task.in_flight
    room = memoryview(bytearray(len(expected)))

    def exchange(sock: socket.socket) -> None:
        if len(wire) > SMALL:
            write_and_read(sock, wire, room)
        else:
            sock.sendall(wire)
            read(sock, room)

    def exchange_all() -> int:
        for sock in sockets:
            exchange(sock)
        return task.in_flight * len(sockets)

    def take_turns() -> int:
        for sock in sockets:
            read(sock, room)
            sock.sendall(wire)
        return task.in_flight * len(sockets)

    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(task, dialect)) for _ in range(task.connections)]
        for sock in sockets:
            exchange(sock)
            if room != expected:
                raise Failed(f"the server sent {bytes(room[:80])!r}…, not the echo")
        if len(sockets) == 1:
            return measured(task, exchange_all)
        for sock in sockets:
            sock.sendall(wire)
        sample = measured(task, take_turns)
        for sock in sockets:
            read(sock, room)
        return sample


def handshakes(task: Task) -> Sample:
    """One connection after the other is opened and closed again, by both sides."""
    dialect = DIALECTS[task.dialect]

    def one() -> int:
        with opened(task, dialect) as sock:
            sock.sendall(dialect.close)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(CHUNK):
                pass
        return 1

    return measured(task, one)


def memory(task: Task) -> Sample:
    """Connections are opened, have one message echoed, and stay."""
    dialect = DIALECTS[task.dialect]
    wire = dialect.frame(text(task.size))
    room = memoryview(bytearray(len(dialect.echo(text(task.size)))))
    with ExitStack() as stack:

        def open_one() -> None:
            sock = stack.enter_context(opened(task, dialect))
            sock.sendall(wire)
            read(sock, room)

        # What the first ones cause to be loaded belongs to none.
        for _ in range(20):
            open_one()
        began, before = time.perf_counter(), resident_bytes(task.pid)
        for _ in range(task.connections):
            open_one()
        grown, ended = resident_bytes(task.pid) - before, time.perf_counter()
        return Sample(task.connections, ended - began, grown / task.connections / 1024)


EXERCISES = {exercise.__name__: exercise for exercise in (echo, handshakes, memory)}


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    try:
        sample = EXERCISES[task.exercise](task)
    except (Failed, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(json.dumps(attrs.asdict(sample)))


if __name__ == "__main__":
    main()
