"""How soon pings and closing handshakes are answered by programs that are not receiving."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

from . import raw
from .results import Columns, Setup
from .subject import started

MILLISECONDS = "ms"


def ping(sock: socket.socket, role: str) -> float:
    """Sends a ping; returns the milliseconds until its pong. `role` is that of our end."""
    pong = raw.frame(raw.PONG, masked=role == "server")
    began = time.perf_counter()
    sock.sendall(raw.frame(raw.PING, masked=role == "client"))
    came = raw.read(sock, len(pong))
    took = time.perf_counter() - began
    # What follows in a client's frame is a masking key of its own choice.
    if came[:2] != pong[:2]:
        raise ConnectionError(f"{came!r} came, not a pong")
    return took * 1000


def later_pings(sock: socket.socket, role: str, count: int) -> list[float]:
    """Pings a few more times, at random moments, so that they are not in step with any timer."""
    times = []
    for _ in range(count):
        time.sleep(random.uniform(0.02, 0.3))
        times.append(ping(sock, role))
    return times


def server_pings(setup: Setup) -> Iterator[tuple[str, Columns]]:
    count = setup.pick(7, 1)
    with started(setup.surroundings, "subjects.server", "sleep") as server, ExitStack() as stack:
        port = server.read_port()
        first = []
        for _ in range(count):
            sock = stack.enter_context(raw.dial(port))
            first.append(ping(sock, "client"))
        yield "a handler sleeps: first ping", {MILLISECONDS: first}
        later = later_pings(sock, "client", count)
        yield "a handler sleeps: later pings", {MILLISECONDS: later}


def client_pings(setup: Setup) -> Iterator[tuple[str, Columns]]:
    first, later = [], []
    with raw.listen() as listener:
        port = listener.getsockname()[1]
        for _ in range(setup.pick(7, 1)):
            with started(setup.surroundings, "subjects.client", port, "sleep", "--connections", 1):
                with raw.answer(listener) as sock:
                    first.append(ping(sock, "server"))
                    later += later_pings(sock, "server", 1)
    yield "a client sleeps in its block: first ping", {MILLISECONDS: first}
    yield "a client sleeps in its block: later pings", {MILLISECONDS: later}


def pings(setup: Setup) -> Iterator[tuple[str, Columns]]:
    """From a ping to its pong."""
    yield from server_pings(setup)
    yield from client_pings(setup)


def time_to_leave(setup: Setup, behaviour: str, stay: float, *say: str) -> Columns:
    """How long our clients take to leave our server, after staying for so many seconds."""
    with started(setup.surroundings, "subjects.server", behaviour) as server:
        arguments = (server.read_port(), setup.pick(9, 2), stay, *say)
        with started(setup.surroundings, "subjects.leaving", *arguments) as client:
            return {MILLISECONDS: [took * 1000 for took in client.wait()]}


def leaving(setup: Setup) -> Iterator[tuple[str, Columns]]:
    """From the end of the block of `async with open_websocket` to the line after it."""
    for behaviour in ("sleep", "send"):
        for stay in (0, 0.5):
            when = f"after {stay} s" if stay else "at once"
            columns = time_to_leave(setup, behaviour, stay)
            yield f"the handler only {behaviour}s: left {when}", columns


def answered(setup: Setup) -> Iterator[tuple[str, Columns]]:
    """The handler has received one message, answered it, and sleeps."""
    first, later = [], []
    with started(setup.surroundings, "subjects.server", "answer_one") as server:
        port = server.read_port()
        for _ in range(setup.pick(7, 1)):
            with raw.dial(port) as sock:
                raw.exchange_message(sock)
                first.append(ping(sock, "client"))
                later += later_pings(sock, "client", 1)
    yield "first ping", {MILLISECONDS: first}
    yield "later pings", {MILLISECONDS: later}
    yield "left at once", time_to_leave(setup, "answer_one", 0, "--say")
    stay = setup.pick(5, 1)
    yield f"left after {stay} s", time_to_leave(setup, "answer_one", stay, "--say")
