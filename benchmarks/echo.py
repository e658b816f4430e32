"""Server CPU per echoed message, for each draft and for a bare Trio socket; prints JSON.

The server is a process of its own whose CPU clock is read from outside. The client is a blocking
socket that writes bytes made beforehand, so what it costs is not counted.
"""

from __future__ import annotations

import argparse
import json
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import attrs
import trio

from trio_draftws import Connection, Server, serve_websocket, use_framing_mode

TEXT = b"0123456789abcdefghijklmnopqrstuv"
BARE = "bare trio socket"

FIELDS = b"Upgrade: WebSocket\r\nConnection: Upgrade\r\nHost: 127.0.0.1\r\nOrigin: null\r\n"
# The example of hixie-76 section 1.2
KEYS = (
    b"Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
    b"\r\n^n:ds[4U"
)


@attrs.frozen
class Subject:
    """What is measured: the bytes that open it, those that follow the answer's head, a frame."""

    name: str
    request: bytes
    answer_body: int
    frame: bytes


SUBJECTS = (
    Subject(BARE, b"", 0, TEXT),
    Subject("hixie-75", b"GET / HTTP/1.1\r\n" + FIELDS + b"\r\n", 0, b"\x00" + TEXT + b"\xff"),
    Subject("hixie-76", b"GET / HTTP/1.1\r\n" + FIELDS + KEYS, 16, b"\x00" + TEXT + b"\xff"),
    Subject(
        "whatwg-2010-08",
        b"GET / HTTP/1.1\r\n" + FIELDS + KEYS,
        16,
        b"\xff" + len(TEXT).to_bytes(8, "big") + TEXT,
    ),
)


async def serve(name: str) -> None:
    """Echo for ever; tell the port on one line."""

    async def echo(connection: Connection, state: object) -> None:
        async for message in connection:
            await connection.send(message)

    async def bare_echo(stream: trio.SocketStream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async with trio.open_nursery() as nursery:
        if name == BARE:
            listeners = await nursery.start(partial(trio.serve_tcp, bare_echo, 0, host="127.0.0.1"))
            print(listeners[0].socket.getsockname()[1], flush=True)
        else:
            with use_framing_mode(name):
                server: Server = await nursery.start(
                    partial(serve_websocket, echo, 0, host="127.0.0.1")
                )
            print(server.port, flush=True)


def cpu_clock(pid: int) -> Callable[[], float]:
    """The CPU seconds that another process has used, to the nanosecond."""
    # Linux names the clock of a process so: clock_getcpuclockid(3)
    return partial(time.clock_gettime, (~pid << 3) | 2)


def read_exactly(client: socket.socket, count: int) -> bytes:
    """The next `count` bytes."""
    data = bytearray()
    while len(data) < count:
        chunk = client.recv(min(count - len(data), 1 << 16))
        if not chunk:
            raise SystemExit(f"the server ended the connection after {bytes(data)!r}")
        data += chunk
    return bytes(data)


@contextmanager
def opened(subject: Subject) -> Iterator[Callable[[int, int], float]]:
    """A server in a process of its own, and a connection to it whose opening is done.

    Yields a function that exchanges so many messages, so many at a time, and returns the
    microseconds of server CPU that each took.
    """
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", subject.name], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        address = ("127.0.0.1", int(server.stdout.readline()))
        with socket.create_connection(address, timeout=30) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if subject.request:
                client.sendall(subject.request)
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += read_exactly(client, 1)
                read_exactly(client, subject.answer_body)
            clock = cpu_clock(server.pid)

            def exchange(messages: int, window: int) -> float:
                wire = subject.frame * window
                before = clock()
                for _ in range(messages // window):
                    client.sendall(wire)
                    if read_exactly(client, len(wire)) != wire:
                        raise SystemExit(f"{subject.name}: the echo is not what was sent")
                return (clock() - before) / (messages // window * window) * 1e6

            yield exchange
            # Before the client goes, so that the server has no lost connection to report
            server.kill()
    finally:
        server.kill()
        server.wait()


def measure(messages: int, window: int, rounds: int) -> dict[str, dict[str, float]]:
    """The best and the median round of each subject.

    The subjects take turns, so that a machine that is slow for a while is slow for all of them.
    """
    with ExitStack() as stack:
        exchanges = {subject.name: stack.enter_context(opened(subject)) for subject in SUBJECTS}
        times: dict[str, list[float]] = {name: [] for name in exchanges}
        for number in range(rounds + 1):
            for name, exchange in exchanges.items():
                took = exchange(messages, window)
                if number > 0:  # the first round warms up
                    times[name].append(took)
    return {
        name: {"best": round(min(took), 2), "median": round(statistics.median(took), 2)}
        for name, took in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000, help="in each round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--serve", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        trio.run(serve, options.serve)
        return
    report = {
        "what": "microseconds of server CPU per echoed message of 32 bytes",
        "python": platform.python_version(),
        "trio": trio.__version__,
        "messages": options.messages,
        "rounds": options.rounds,
        **{
            f"{window} at a time": measure(options.messages, window, options.rounds)
            for window in (1, 100)
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
