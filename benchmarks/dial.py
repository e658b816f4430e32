"""A load generator's connections: blocking sockets, opened, written to and read from."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .task import Failed, Task
from .wire import HeaderFormat

TIMEOUT = 30
CHUNK = 1 << 18


@contextmanager
def connected(task: Task) -> Iterator[socket.socket]:
    """A connection without an opening handshake, over TLS if it is asked for."""
    with socket.create_connection(("127.0.0.1", task.port), timeout=TIMEOUT) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if task.delay:
            time.sleep(task.delay)
        if task.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            # It is measured, not trusted.
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            with context.wrap_socket(plain) as encrypted:
                yield encrypted
        else:
            yield plain


@contextmanager
def opened(task: Task, dialect: HeaderFormat) -> Iterator[socket.socket]:
    """A connection whose opening handshake is done."""
    with connected(task) as sock:
        shake_hands(sock, dialect)
        yield sock


def shake_hands(sock: socket.socket, dialect: HeaderFormat) -> bytes:
    """Returns the head of the answer."""
    answer = b""
    if dialect.request:
        sock.sendall(dialect.request)
        while not opened_by(answer, dialect):
            chunk = sock.recv(CHUNK)
            if not chunk:
                raise Failed(f"the server ended the opening after {answer!r}")
            answer += chunk
    return answer.partition(b"\r\n\r\n")[0]


def opened_by(answer: bytes, dialect: HeaderFormat) -> bool:
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
