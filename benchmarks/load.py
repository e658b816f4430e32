"""The load generator: blocking sockets and bytes made beforehand, in a process of its own.

It knows no WebSocket beyond those bytes. What it costs itself is not counted: it reads, before and
after, what the process that is measured has used.

    python -m benchmarks.load '{"port": …}'    prints one JSON object: a `Sample`
"""

from __future__ import annotations

import json
import socket
import sys
import time
from contextlib import ExitStack

import attrs

from .client_load import client_echo, client_handshakes
from .cpu import resident_bytes
from .deflated import deflated
from .dial import CHUNK, opened, read, write_and_read
from .task import Failed, Sample, Task, measured
from .wire import dialect_of, payload_of

# Written at once only while both sides' buffers can hold it; above it, read and write by turns.
SMALL = 1 << 15


def check(room: memoryview, expected: bytes) -> None:
    if room != expected:
        raise Failed(f"the server sent {bytes(room[:80])!r}…, not the echo")


def echo(task: Task) -> Sample:
    """`at_once` of the connections have `in_flight` messages in flight, all the time."""
    dialect, payload = dialect_of(task.dialect, task.content), payload_of(task.content, task.size)
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
        for sock, later in turns:
            read(sock, room)
            later.sendall(wire)
        return task.in_flight * len(sockets)

    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(task, dialect)) for _ in range(task.connections)]
        for sock in sockets:
            exchange(sock)
            check(room, expected)
        at_once = min(task.at_once or len(sockets), len(sockets))
        if len(sockets) == 1:
            return measured(task, task.pid, exchange_all)
        # When one has its echo, the next message goes out on the one that has waited longest.
        turns = list(zip(sockets, sockets[at_once:] + sockets[:at_once], strict=True))
        for sock in sockets[:at_once]:
            sock.sendall(wire)
        sample = measured(task, task.pid, take_turns)
        for sock in sockets[:at_once]:
            read(sock, room)
            check(room, expected)
        return sample


def handshakes(task: Task) -> Sample:
    """One connection after the other is opened and closed again, by both sides."""
    dialect = dialect_of(task.dialect)

    def one() -> int:
        with opened(task, dialect) as sock:
            sock.sendall(dialect.close)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(CHUNK):
                pass
        return 1

    return measured(task, task.pid, one)


def broadcast(task: Task) -> Sample:
    """One connection sends a message, and all have it sent by the server."""
    dialect, payload = dialect_of(task.dialect), payload_of(task.content, task.size)
    wire, expected = dialect.frame(payload), dialect.echo(payload)
    room = memoryview(bytearray(len(expected)))

    def one() -> int:
        # The last: when it has a handler that receives, so have those that opened before it.
        sockets[-1].sendall(wire)
        for sock in sockets:
            read(sock, room)
            check(room, expected)
        return 1

    with ExitStack() as stack:
        sockets = [stack.enter_context(opened(task, dialect)) for _ in range(task.connections)]
        return measured(task, task.pid, one)


def memory(task: Task) -> Sample:
    """Connections are opened, have one message echoed, and stay."""
    dialect, payload = dialect_of(task.dialect), payload_of(task.content, task.size)
    wire = dialect.frame(payload)
    room = memoryview(bytearray(len(dialect.echo(payload))))
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


EXERCISES = {
    exercise.__name__: exercise
    for exercise in (echo, deflated, broadcast, handshakes, memory, client_echo, client_handshakes)
}


def main() -> None:
    task = Task(**json.loads(sys.argv[1]))
    try:
        sample = EXERCISES[task.exercise](task)
    except (Failed, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(json.dumps(attrs.asdict(sample)))


if __name__ == "__main__":
    main()
