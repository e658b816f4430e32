"""What the clients share: their arguments, what they say, and how they run.

python -m benchmarks.clients.NAME echo|handshakes PORT CONNECTIONS SIZE [--uvloop]
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

import attrs
import trio

from benchmarks.servers.common import loop
from benchmarks.wire import text


class Wrong(Exception):
    """What came back is not what was sent."""


@attrs.frozen
class Options:
    """A client's command-line options."""

    exercise: str
    port: int
    connections: int
    message: str
    uvloop: bool

    @property
    def url(self) -> str:
        """Of the server."""
        return f"ws://127.0.0.1:{self.port}/"


def options() -> Options:
    parser = argparse.ArgumentParser()
    parser.add_argument("exercise", choices=("echo", "handshakes"))
    parser.add_argument("port", type=int)
    parser.add_argument("connections", type=int)
    parser.add_argument("size", type=int, help="bytes in a message")
    parser.add_argument("--uvloop", action="store_true")
    given = parser.parse_args()
    message = text(given.size).decode()
    return Options(given.exercise, given.port, given.connections, message, given.uvloop)


def check(message: object, sent: object) -> None:
    if message != sent:
        raise Wrong(f"{message!r} came")


Do: TypeAlias = Callable[[Options], Coroutine[Any, Any, None]]


def run_trio(echo: Callable[[Options], Awaitable[None]], visit: Do) -> None:
    """Runs `echo` on every connection, or `visit` again and again, until the process is ended."""
    chosen = options()

    async def several() -> None:
        if chosen.exercise == "handshakes":
            while True:
                await visit(chosen)
        async with trio.open_nursery() as nursery:
            for _ in range(chosen.connections):
                nursery.start_soon(echo, chosen)

    trio.run(several)


def run_asyncio(echo: Do, visit: Do) -> None:
    """The same, on the loop that the options name."""
    chosen = options()

    async def several() -> None:
        if chosen.exercise == "handshakes":
            while True:
                await visit(chosen)
        await asyncio.gather(*(echo(chosen) for _ in range(chosen.connections)))

    loop(chosen.uvloop).run_until_complete(several())
