"""Two ends of a stream, and two ends of a connection, over each kind of stream."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache, partial
from typing import Any
from unittest.mock import patch

import trio
import trio.testing
import trustme

from trio_draftws import Compression, Connection, Draft, accept, open_websocket, use_framing_mode
from trio_draftws._connection.receiver import Owner
from trio_draftws._connection.scope import open_scope
from trio_draftws._server import serve as _server
from trio_draftws._settings.keywords import with_defaults
from trio_draftws._settings.limits import Limits, LimitSettings
from trio_draftws._transport.sockets import StreamFactory, take_over
from trio_draftws._transport.tls import is_secure, ssl_stream_factory
from trio_draftws.drafts import draft_named
from trio_draftws.testing import (
    Faults,
    FaultyStream,
    RawClient,
    RawPeer,
    RawServer,
    connected_pair,
)
from trio_draftws.testing._pair import no_tls

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


def make_limits(**changes: Any) -> Limits:
    """The defaults, but for `changes`."""
    return Limits.of(with_defaults(LimitSettings, changes, "make_limits"))


def open_client(
    stream: trio.abc.Stream, draft: Draft, *, offer: Compression | None = None, **limits: Any
) -> AbstractAsyncContextManager[Connection]:
    """The client's side over a stream that is there already; it offers that compression."""
    return open_websocket(
        url_over(stream),
        stream=stream,
        stream_factory=no_tls,
        draft=draft,
        compression=offer,
        **limits,
    )


def url_over(stream: trio.abc.Stream) -> str:
    return f"{'wss' if is_secure(stream) else 'ws'}://localhost/"


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
    streams = await stream_pair(transport)
    async with connected_pair(
        draft,
        streams=streams,
        url=url_over(streams[0]),
        client={"compression": offer},
        server={"compression": compression},
        **limits,
    ) as pair:
        yield pair


@asynccontextmanager
async def by_raw_server(
    draft: Draft, transport: str = "tcp", **limits: Any
) -> AsyncIterator[tuple[Connection, RawServer]]:
    """A client's side of a connection, and a server by hand, which says no goodbye at the end."""
    client_end, server_end = await stream_pair(transport)
    raw = RawServer(server_end)
    opening = open_client(client_end, draft, **limits)
    async with _by_raw_peer(raw, partial(raw.open, draft), opening) as client:
        yield client, raw


@asynccontextmanager
async def by_raw_client(
    draft: Draft, transport: str = "tcp", **limits: Any
) -> AsyncIterator[tuple[RawClient, Connection]]:
    """A client by hand, which says no goodbye at the end, and a server's side of a connection.

    It is looked after as `serve_websocket` does it, for many connections, and not as `accept` does.
    """
    client_end, server_end = await stream_pair(transport)
    raw = RawClient(client_end)
    open_raw = partial(raw.open, draft, url_over(client_end))
    as_served = patch.object(_server, "open_scope", partial(open_scope, many=True))
    with use_framing_mode(draft.name), as_served:
        async with _by_raw_peer(raw, open_raw, accept(server_end, **limits)) as server:
            yield raw, server


@asynccontextmanager
async def _by_raw_peer(
    raw: RawPeer,
    open_raw: Callable[[], Awaitable[object]],
    opening: AbstractAsyncContextManager[Connection],
) -> AsyncIterator[Connection]:
    both_open = trio.Event()

    async def open_raw_side() -> None:
        await open_raw()
        both_open.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_raw_side)
        async with opening as connection:
            await both_open.wait()
            try:
                yield connection
            finally:
                await trio.aclose_forcefully(raw)


def mute(connection: Connection) -> None:
    """Has one side take no notice of the other, as if its program were stopped: nothing is read,
    answered or given up there. Bytes are still taken by its system.
    """
    endpoint = connection._endpoint
    endpoint.scope.forget(endpoint)
    receiver = connection._receiver
    receiver.owner = Owner.CLOSER
    if receiver._look is not None:
        receiver._look.scope.cancel()
    if receiver.direct is not None:
        endpoint.scope.looks.unwatch(receiver.direct)
        # Else the system takes 40 ms to say so, which it does not have where the clock is mocked.
        receiver.direct.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def unmute(connection: Connection) -> None:
    """Lets a muted side receive and close again."""
    connection._receiver.owner = Owner.NOBODY
