"""The other end of clients that are measured: a plain server, one and the same for all of them.

It starts the client's program, which connects to it, and reads what that has used. The programs are
in `clients/`. The server takes up no extension, so nobody compresses.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

import attrs

from . import raw
from .command import last_words
from .dial import CHUNK, TIMEOUT
from .task import Failed, Sample, Task, measured
from .wire import TEXT_FRAME, payload_of, unmasked_frame, with_mask

# Seconds after which it is looked whether the client is still alive
LOOK = 0.2
# RFC 6455 section 5.2: the length and the masking key of a short frame
SHORT, KEY = 126, 4


@attrs.define(eq=False)
class Client:
    """A running client, and the listening socket that it connects to."""

    listener: socket.socket
    process: subprocess.Popen[str]
    complaints: IO[str]

    def accept(self) -> socket.socket:
        """The next connection, its opening handshake done."""
        for _ in range(round(TIMEOUT / LOOK)):
            try:
                sock, _ = self.listener.accept()
            except TimeoutError:
                self.look()
            else:
                sock.settimeout(TIMEOUT)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.sendall(raw.answer_to(raw.read_head(sock)))
                return sock
        raise Failed("the client does not connect")

    def look(self) -> None:
        """Raises Failed if the client has ended."""
        if self.process.poll() is not None:
            self.complaints.seek(0)
            raise Failed(f"the client ended: {last_words(self.complaints.read())}")


@contextmanager
def started(task: Task, exercise: str) -> Iterator[Client]:
    """The client, which ends with the block."""
    with raw.listen() as listener, tempfile.TemporaryFile("w+") as complaints:
        listener.settimeout(LOOK)
        port = listener.getsockname()[1]
        process = subprocess.Popen(
            [*task.client, exercise, str(port), str(task.connections), str(task.size)],
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            text=True,
            cwd=task.cwd,
            env={**os.environ, **task.environment},
        )
        try:
            yield Client(listener, process, complaints)
        finally:
            process.kill()
            process.wait()


def client_echo(task: Task) -> Sample:
    """Each of its connections sends a message, and the next when that has come back."""
    expected = payload_of("ascii", task.size)
    echo = unmasked_frame(expected)
    begun: dict[int, bytes] = {}

    def answer(number: int) -> int:
        """Echoes what came on a connection: one message, if it is whole."""
        sock = sockets[number]
        wire = begun.pop(number, b"") + sock.recv(CHUNK)
        if len(wire) < len(expected) + 2 + KEY:
            if not wire:
                raise Failed("the client ended a connection")
            begun[number] = wire
            return 0
        if payload(wire) != expected:
            raise Failed(f"the client sent {wire[:80]!r}")
        sock.sendall(echo)
        return 1

    def answer_all() -> int:
        for _ in range(round(TIMEOUT / LOOK)):
            if ready := epoll.poll(LOOK):
                return sum(answer(number) for number, _ in ready)
            client.look()
        raise Failed("the client sends nothing")

    with started(task, "echo") as client, ExitStack() as stack:
        accepted = [stack.enter_context(client.accept()) for _ in range(task.connections)]
        sockets = {sock.fileno(): sock for sock in accepted}
        epoll = stack.enter_context(select.epoll())
        for number in sockets:
            epoll.register(number, select.EPOLLIN)
        return measured(task, client.process.pid, answer_all)


def payload(wire: bytes) -> bytes | None:
    """What a client's frame of a short text holds; None if it is not that."""
    if wire[0] != TEXT_FRAME or not 0x80 <= wire[1] < 0x80 | SHORT:
        return None
    start = 2 + KEY
    if len(wire) != start + (wire[1] & 0x7F):
        return None
    return with_mask(wire[start:], wire[2:start])


def client_handshakes(task: Task) -> Sample:
    """It opens one connection after the other, and closes each."""
    # RFC 6455 section 5.5.1: code 1000
    answer = raw.frame(raw.CLOSE, b"\x03\xe8", masked=False)

    def one() -> int:
        with client.accept() as sock:
            wire = sock.recv(CHUNK)
            while wire and len(wire) < 2 + KEY + (wire[1] & 0x7F if len(wire) > 1 else 0):
                wire += sock.recv(CHUNK)
            if wire[:1] != bytes([raw.CLOSE]):
                raise Failed(f"the client sent {wire[:80]!r}, not a close")
            sock.sendall(answer)
        return 1

    with started(task, "handshakes") as client:
        return measured(task, client.process.pid, one)
