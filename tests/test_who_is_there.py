"""What a connection and a request know of both ends: addresses, TLS and certificates."""

from __future__ import annotations

import logging
import ssl
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Address,
    Connection,
    HeaderFields,
    Request,
    accept,
    open_websocket,
)
from trio_draftws.testing import connected_pair

from .pairs import tls_contexts
from .rows import each_row
from .test_proxy import proxy_of, tls_before
from .wire import dial, echo, read_until, request_13, serving


class Seen:
    """A server's `conn_headers` and handler, which keep what they are given."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections: list[Connection] = []

    async def conn_headers(self, request: Request) -> tuple[HeaderFields, None]:
        self.requests.append(request)
        return (), None

    async def handler(self, connection: Connection, state: object) -> None:
        self.connections.append(connection)
        self.requests.append(connection.request)
        await echo(connection)


async def check(client: Connection, seen: Seen) -> Connection:
    """Both sides say the same of each other, now and after the end; returns the server's side."""
    await client.send("hello")
    assert await client.receive() == "hello"
    [server] = seen.connections
    ends = (client.local, client.remote)
    assert (server.remote, server.local) == ends
    for request in seen.requests:
        assert (request.remote, request.local) == ends
        assert request.peer_certificate == server.peer_certificate
        assert request.ssl_object is server.ssl_object
    await client.aclose()
    while not server.closed:
        await trio.lowlevel.checkpoint()
    assert (client.local, client.remote) == (server.remote, server.local) == ends
    assert (server.request.remote, server.request.local) == ends
    return server


@each_row("host, draft", product(["127.0.0.1", "::1"], ["rfc6455", "hixie-76", "hixie-75"]))
async def test_over_tcp(host: str, draft: str) -> None:
    """Also by the full parser, which reads the request of an old draft."""
    seen = Seen()
    async with serving(seen.handler, host=host, conn_headers=seen.conn_headers) as server:
        name = f"[{host}]" if ":" in host else host
        async with open_websocket(f"ws://{name}:{server.port}/", draft=draft) as client:
            assert client.remote == Address(host, server.port)
            assert str(client.remote) == f"{name}:{server.port}"
            assert (client.ssl_object, client.peer_certificate) == (None, None)
            await check(client, seen)


@each_row("over", ["ours", "Trio's"])
async def test_over_tls(over: str, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    """Ours, and that of Trio's listeners, below which a socket is no stream of ours."""
    seen = Seen()
    settings: dict[str, Any] = {"ssl_context": server_ssl}
    if over == "Trio's":
        listeners = await trio.open_ssl_over_tcp_listeners(0, server_ssl, host="127.0.0.1")
        settings = {"listeners": listeners}
    async with serving(seen.handler, conn_headers=seen.conn_headers, **settings) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        async with open_websocket(url, ssl_context=client_ssl, draft="rfc6455") as client:
            assert client.remote == Address("127.0.0.1", server.port)
            session = client.ssl_object
            assert isinstance(session, ssl.SSLObject)
            assert session.version() == "TLSv1.3"
            certificate = client.peer_certificate
            assert certificate is not None
            assert ("IP Address", "127.0.0.1") in certificate["subjectAltName"]
            side = await check(client, seen)
            assert isinstance(side.ssl_object, ssl.SSLObject)
            assert side.ssl_object.version() == "TLSv1.3"
            assert side.peer_certificate is None
            assert side.request.secure
        # Also once it is closed
        assert client.peer_certificate == certificate


async def test_tls_over_memory() -> None:
    client_ssl, server_ssl = tls_contexts()
    ends: Any = trio.testing.memory_stream_pair()
    seen = Seen()
    sides: list[Connection] = []

    async def serve() -> None:
        async with accept(ends[1], ssl_context=server_ssl, conn_headers=seen.conn_headers) as it:
            sides.append(it)
            await echo(it)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        url = "wss://localhost/"
        async with open_websocket(url, stream=ends[0], ssl_context=client_ssl) as client:
            assert client.remote is client.local is None
            assert isinstance(client.ssl_object, ssl.SSLObject)
            assert client.peer_certificate is not None
            assert seen.requests[0].remote is seen.requests[0].local is None
            assert isinstance(seen.requests[0].ssl_object, ssl.SSLObject)
            assert sides[0].request.secure


async def test_in_memory() -> None:
    async with connected_pair() as (client, server):
        for side in (client, server):
            assert (side.remote, side.local) == (None, None)
            assert (side.ssl_object, side.peer_certificate) == (None, None)
        assert server.request.remote is None
        assert not server.request.secure


@each_row("abstract", [False, True])
async def test_on_a_unix_socket(abstract: bool, tmp_path: Path) -> None:
    """A client's socket has no name, and some servers' are no files."""
    name: Any = str(tmp_path / "socket")
    shown = f"unix:{name}"
    if abstract:
        name = f"\0{name}"
        shown = f"unix:@{name[1:]}"
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(name)
    listener.listen()
    seen = Seen()
    listeners = [trio.SocketListener(listener)]
    async with serving(seen.handler, conn_headers=seen.conn_headers, listeners=listeners):
        sock = trio.socket.socket(trio.socket.AF_UNIX)
        await sock.connect(name)
        async with open_websocket("ws://localhost/", stream=trio.SocketStream(sock)) as client:
            assert client.remote == Address(shown)
            assert client.local == Address("unix:", None)
            assert client.remote.is_unix
            await check(client, seen)


async def test_a_peer_that_has_reset(caplog: pytest.LogCaptureFixture) -> None:
    """It is still known who it was, by the connection and by the log, when its socket knows not."""
    caplog.set_level(logging.INFO, "trio_draftws")
    seen = Seen()
    async with serving(seen.handler) as server:
        stream = await dial(server)
        address = Address(*stream.socket.getsockname())
        await stream.send_all(request_13())
        await read_until(stream, lambda said: said.endswith(b"\r\n\r\n"))
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()
        while server.connections:
            await trio.lowlevel.checkpoint()
    [connection] = seen.connections
    assert connection.remote == address
    assert connection.local == Address("127.0.0.1", server.port)
    [record] = caplog.records
    assert f"with 127.0.0.1 port {address.port} ended under its handler" in record.message
    assert record.__dict__["peer"] == f"127.0.0.1 port {address.port}"


async def test_a_factory_that_hides_the_socket() -> None:
    """What it was made of still tells."""

    async def hide(stream: trio.abc.Stream) -> trio.abc.Stream:
        return trio.StapledStream(stream, stream)

    seen = Seen()
    async with serving(seen.handler, conn_headers=seen.conn_headers, stream_factory=hide) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, stream_factory=hide, draft="rfc6455") as client:
            assert client.remote == Address("127.0.0.1", server.port)
            await check(client, seen)


async def test_a_client_through_a_proxy(
    tmp_path: Path, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """The peer of its socket is the proxy; TLS with that is not TLS with the server."""
    async with (
        serving() as server,
        proxy_of("http", tmp_path) as plain,
        tls_before(plain, server_ssl) as proxy,
    ):
        url = f"ws://127.0.0.1:{server.port}/"
        where = f"https://127.0.0.1:{proxy}"
        async with open_websocket(
            url, proxy=where, proxy_ssl_context=client_ssl, draft="rfc6455"
        ) as client:
            assert client.remote == Address("127.0.0.1", proxy)
            assert (client.ssl_object, client.peer_certificate) == (None, None)
