"""Two ends of a stream, and two ends of a connection, over each kind of stream."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache, partial
from typing import Any

import attrs
import trio
import trio.testing
import trustme

from trio_draftws import (
    Compression,
    Connection,
    Draft,
    StreamFactory,
    open_websocket,
    serve_websocket,
    ssl_stream_factory,
)

# The one place of the tests that reaches into a connection: for a side whose program stands still,
# for bytes that it writes beneath its connection, and for streams as `open_websocket` makes them.
from trio_draftws._connection.receiver import Owner
from trio_draftws._transport.sockets import TCPStream, take_over
from trio_draftws._transport.tls import is_secure
from trio_draftws.drafts import Buffer, Event, draft_named
from trio_draftws.testing import (
    Faults,
    FaultyStream,
    RawClient,
    RawPeer,
    RawServer,
    connected_pair,
)

from .wire import plain_nursery

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


async def as_it_is(stream: trio.abc.Stream) -> trio.abc.Stream:
    """A stream factory that changes nothing."""
    return stream


def open_client(
    stream: trio.abc.Stream, draft: Draft, *, offer: Compression | None = None, **limits: Any
) -> AbstractAsyncContextManager[Connection]:
    """The client's side over a stream that is there already; it offers that compression."""
    return open_websocket(
        url_over(stream),
        stream=stream,
        stream_factory=as_it_is,
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


@attrs.define(eq=False)
class OneStream(trio.abc.Listener[trio.abc.Stream]):
    """A listener to which one client comes, and no other."""

    _stream: trio.abc.Stream
    _is_there: bool = True

    async def accept(self) -> trio.abc.Stream:
        if not self._is_there:
            await trio.sleep_forever()
        self._is_there = False
        return self._stream

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def served_stream(
    stream: trio.abc.Stream, draft: Draft, **settings: Any
) -> AsyncGenerator[Connection, None]:
    """The connection that a server has on this stream, while its handler does what the block does.

    What the handler itself does is sleep.
    """
    here = trio.Event()
    leave = trio.Event()
    connections: list[Connection] = []

    async def handler(connection: Connection, state: object) -> None:
        connections.append(connection)
        here.set()
        await leave.wait()

    serve = partial(
        serve_websocket,
        handler,
        listeners=[OneStream(stream)],
        framing_mode=lambda request: draft.name,
        **settings,
    )
    async with plain_nursery() as nursery:
        server = await nursery.start(serve)
        await here.wait()
        try:
            yield connections[0]
        finally:
            leave.set()
            with trio.CancelScope(shield=True):
                await server.aclose()


@asynccontextmanager
async def by_raw_client(
    draft: Draft, transport: str = "tcp", **limits: Any
) -> AsyncIterator[tuple[RawClient, Connection]]:
    """A client by hand, which says no goodbye at the end, and a server's side of a connection."""
    client_end, server_end = await stream_pair(transport)
    raw = RawClient(client_end)
    open_raw = partial(raw.open, draft, url_over(client_end))
    async with _by_raw_peer(raw, open_raw, served_stream(server_end, draft, **limits)) as server:
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


@attrs.define(eq=False)
class Breakable(trio.abc.Stream):
    """A stream of which either way can be broken at any time."""

    _stream: trio.abc.Stream
    breaks_receiving: bool = False
    breaks_sending: bool = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self.breaks_receiving:
            raise trio.BrokenResourceError
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.breaks_sending:
            raise trio.BrokenResourceError
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def breakable(draft: Draft) -> AsyncIterator[tuple[Connection, Connection, Breakable]]:
    """Two sides in memory, and the server's stream."""
    client_end, server_end = await stream_pair("memory")
    stream = Breakable(server_end)
    async with connected_pair(draft, streams=(client_end, stream)) as (client, server):
        yield client, server, stream


# Beneath a connection


def frames(connection: Connection, *events: Event) -> bytes:
    """What the connection would write for these."""
    encode = connection._protocol.codec.encode
    return b"".join(bytes(part) for event in events for part in encode(event))


async def send_bytes(connection: Connection, data: Buffer) -> None:
    """Writes to the connection's stream, past the connection."""
    await connection._endpoint.stream.send_all(data)


async def cut(connection: Connection) -> None:
    """Closes the connection's stream, with no goodbye."""
    await trio.aclose_forcefully(connection._endpoint.stream)


def tcp_stream(connection: Connection) -> TCPStream:
    """The connection's stream of ours, which is straight on TCP."""
    stream = connection._endpoint.stream
    assert isinstance(stream, TCPStream)
    return stream


def stream_is_closed(connection: Connection) -> bool:
    """Whether the connection has let its TCP socket go."""
    return tcp_stream(connection).closed


def set_option(connection: Connection, level: int, option: int, value: int | bytes) -> None:
    """Sets an option of the connection's TCP socket."""
    tcp_stream(connection).socket.setsockopt(level, option, value)


def reset(connection: Connection) -> None:
    """Ends the connection's TCP by a reset, as where a process is killed with bytes unread."""
    set_option(connection, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tcp_stream(connection).close()


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
