"""What the servers share: their options, how they say their port, and how asyncio runs."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import attrs
import trio


@attrs.frozen
class Options:
    """A server's command-line options."""

    ssl_context: ssl.SSLContext | None = None
    """None: without TLS."""
    uvloop: bool = False
    mode: str = "old"
    """The framing mode, for drafts whose requests look the same."""
    compress: bool = False
    """Compress as the library does by default; otherwise not at all."""
    backend: str | None = None
    """What compresses, if it is not the default."""
    broadcast: bool = False
    """Send what one connection says to all, instead of echoing it."""


def options() -> Options:
    parser = argparse.ArgumentParser()
    parser.add_argument("--certificate", help="serve TLS with it; a file with its key in it too")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--mode", default="old")
    parser.add_argument("--compress", action="store_true")
    parser.add_argument("--backend")
    parser.add_argument("--broadcast", action="store_true")
    given = parser.parse_args()
    context = None
    if given.certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(given.certificate)
    return Options(
        context, given.uvloop, given.mode, given.compress, given.backend, given.broadcast
    )


def listening(port: int) -> None:
    print("listening on", port, flush=True)


def run_trio(serve: Callable[..., Awaitable[object]]) -> None:
    """Runs `serve`, which starts with the port that it listens on."""

    async def announce() -> None:
        async with trio.open_nursery() as nursery:
            listening(await nursery.start(serve))

    trio.run(announce)


def run_asyncio(serve: Callable[[Options], Coroutine[Any, Any, None]]) -> None:
    """Runs `serve`, on the loop that the options name."""
    chosen = options()
    loop(chosen.uvloop).run_until_complete(serve(chosen))


def loop(uvloop: bool) -> asyncio.AbstractEventLoop:
    """One of asyncio's own, or of uvloop, made the current one."""
    factory = asyncio.new_event_loop
    if uvloop:
        import uvloop as other

        factory = other.new_event_loop
    # asyncio.run takes a factory from Python 3.12 on only.
    made = factory()
    asyncio.set_event_loop(made)
    return made
