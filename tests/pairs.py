"""Two ends of a stream, and two ends of a connection, over each kind of stream."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import trio
import trio.testing
import trustme

from trio_draftws import Compression, Connection, Draft, accept, use_framing_mode
from trio_draftws._ask import ask
from trio_draftws._handshake import opening
from trio_draftws._limits import Limits
from trio_draftws._streams import StreamFactory, take_over
from trio_draftws._tls import is_secure, ssl_stream_factory
from trio_draftws._upkeep import open_upkeep
from trio_draftws.drafts import Ask, WebSocketURL, draft_named
from trio_draftws.testing import Faults, FaultyStream

TRANSPORTS = ("memory", "lockstep", "tcp", "tls")
# The two that the handshake cannot tell apart, and the one of today: where all would take too long
SOME_DRAFTS = [draft_named(name) for name in ("old", "new", "rfc6455")]


@lru_cache(maxsize=1)
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's context that trust each other, for `localhost`."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return client, server


async def stream_pair(transport: str) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """A client's and a server's end of a stream of that kind.

    That of kind "foreign" is somebody else's: it runs over TCP, and reads and writes in pieces.
    """
    if transport == "memory":
        return trio.testing.memory_stream_pair()
    if transport == "lockstep":
        return trio.testing.lockstep_stream_pair()
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        client: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", port)
        server: trio.abc.Stream = await listener.accept()
    if transport == "foreign":
        return in_pieces(client), in_pieces(server)
    if transport == "tls":
        client_context, server_context = tls_contexts()
        ends: dict[str, trio.abc.Stream] = {}

        async def dress(end: str, stream: trio.abc.Stream, factory: StreamFactory) -> None:
            ends[end] = await factory(take_over(stream))

        async with trio.open_nursery() as nursery:
            as_client = ssl_stream_factory(client_context, server_hostname="localhost")
            nursery.start_soon(dress, "client", client, as_client)
            nursery.start_soon(dress, "server", server, ssl_stream_factory(server_context))
        return ends["client"], ends["server"]
    assert transport == "tcp"
    return client, server


def in_pieces(stream: trio.abc.Stream) -> trio.abc.Stream:
    return FaultyStream(stream, incoming=Faults(split=25_000), outgoing=Faults(split=20_000))


def make_limits(**changes: float) -> Limits:
    """The defaults, but for `changes`."""
    defaults: dict[str, float] = {
        "handshake_timeout": 10,
        "close_timeout": 5,
        "idle_timeout": 3600,
        "ping_interval": 20,
        "ping_timeout": 20,
        "write_timeout": 60,
        "max_message_size": 2**20,
        "max_head_size": 2**14,
    }
    return Limits(**(defaults | changes))


@asynccontextmanager
async def open_client(
    stream: trio.abc.Stream, draft: Draft, *, offer: Compression | None = None, **limits: Any
) -> AsyncIterator[Connection]:
    """The client's side over a stream that is there already; it offers that compression."""
    async with open_upkeep() as upkeep:
        stream = take_over(stream)
        made = make_limits(**limits)
        async with opening(stream, made.handshake_timeout):
            scheme = "wss" if is_secure(stream) else "ws"
            wish = Ask(url=WebSocketURL.parse(f"{scheme}://localhost/"), compression=offer)
            connection = await ask(stream, draft, wish, made, upkeep)
        try:
            yield connection
        finally:
            await connection.aclose()


@asynccontextmanager
async def connected(
    transport: str,
    draft: Draft,
    *,
    offer: Compression | None = None,
    compression: Compression | None = None,
    **limits: Any,
) -> AsyncIterator[tuple[Connection, Connection]]:
    """A client's and a server's side of one connection; both are closed at the end.

    The client offers one way to compress, and the server takes another.
    """
    client_stream, server_stream = await stream_pair(transport)
    sides: list[Connection] = []
    ready = trio.Event()
    done = trio.Event()

    async def serve() -> None:
        with use_framing_mode(draft.name):
            async with accept(server_stream, compression=compression, **limits) as connection:
                sides.append(connection)
                ready.set()
                await done.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_client(client_stream, draft, offer=offer, **limits) as client:
            await ready.wait()
            try:
                yield client, sides[0]
            finally:
                # Each side waits for the other's goodbye, so both close at once.
                done.set()
