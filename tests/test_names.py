"""A server's name on its way: into DNS, to a proxy, into the Host field, and into TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trustme

from trio_draftws import Draft, TLSFailed, open_websocket, ssl_stream_factory, use_framing_mode

from .processes import HOST
from .redirecting import noting, sending_on
from .rows import drafts_that_differ_most
from .test_proxy import tls_before
from .wire import dial, raw_server, read_request, serving

draft = drafts_that_differ_most()


class Here(trio.abc.HostnameResolver):
    """Every name is this machine; notes what was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        self.asked.append(host.decode() if isinstance(host, bytes) else host)
        return socket.getaddrinfo(HOST, port, type=socket.SOCK_STREAM)

    async def getnameinfo(self, *arguments: Any) -> Any:
        raise AssertionError(f"somebody asks for {arguments}")


@pytest.fixture
async def resolver() -> Here:
    here = Here()
    trio.socket.set_custom_hostname_resolver(here)
    return here


class Server:
    """A context of a server with certificates for these names; notes those that are asked for."""

    def __init__(self, authority: trustme.CA) -> None:
        self.asked: list[str | None] = []
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        names = ["a.example", "xn--fa-hia.example", "my-service", HOST]
        authority.issue_cert(*names).configure_cert(self.context)
        self.context.sni_callback = lambda _, name, __: self.asked.append(name)


@pytest.fixture
def tls(authority: trustme.CA) -> Server:
    return Server(authority)


NAMES = [
    ("a.example", "a.example", "a.example"),
    ("a.example.", "a.example.", "a.example"),
    ("A.Example.", "a.example.", "a.example"),
    ("fa\u00df.example", "xn--fa-hia.example", "xn--fa-hia.example"),
    ("fa\u00df.example.", "xn--fa-hia.example.", "xn--fa-hia.example"),
    ("my-service", "my-service", "my-service"),
]


@pytest.mark.parametrize(("name", "host", "asked"), NAMES)
async def test_over_tls(
    name: str, host: str, asked: str, tls: Server, client_ssl: ssl.SSLContext, resolver: Here
) -> None:
    """DNS and Host have the final dot; SNI and the certificate have none."""
    async with noting(ssl_context=tls.context) as (port, requests):
        url = f"wss://{name}:{port}/"
        async with open_websocket(url, draft="rfc6455", ssl_context=client_ssl) as client:
            assert client.url == f"wss://{host}:{port}/"
    assert [request.host for request in requests] == [f"{host}:{port}"]
    assert (tls.asked, resolver.asked) == ([asked], [host])


async def test_host_in_every_draft(
    tls: Server, client_ssl: ssl.SSLContext, resolver: Here, draft: Draft
) -> None:
    """Those that repeat the URL in their answer repeat it with its dot."""
    with use_framing_mode(draft.name):
        async with noting(ssl_context=tls.context) as (port, requests):
            url = f"wss://a.example.:{port}/"
            async with open_websocket(url, draft=draft, ssl_context=client_ssl):
                pass
    assert [request.host for request in requests] == [f"a.example.:{port}"]
    assert tls.asked == ["a.example"]


@pytest.mark.parametrize("name", ["b.example", "b.example.", "a.example.b", "fass.example"])
async def test_another_name_is_not_trusted(
    name: str, tls: Server, client_ssl: ssl.SSLContext, resolver: Here
) -> None:
    async with serving(ssl_context=tls.context) as server:
        with pytest.raises(TLSFailed, match="certificate verify failed"):
            async with open_websocket(
                f"wss://{name}:{server.port}/", draft="rfc6455", ssl_context=client_ssl
            ):
                raise AssertionError("it is trusted")
    assert tls.asked == [name.removesuffix(".")]


@pytest.mark.parametrize("address", ["127.0.0.1.", "127.1", "0x7f.0.0.1"])
async def test_an_address_is_checked_as_one(
    address: str, tls: Server, client_ssl: ssl.SSLContext
) -> None:
    """RFC 6066 section 3: it is not asked for by SNI."""
    async with noting(ssl_context=tls.context) as (port, requests):
        url = f"wss://{address}:{port}/"
        async with open_websocket(url, draft="rfc6455", ssl_context=client_ssl):
            pass
    assert [request.host for request in requests] == [f"127.0.0.1:{port}"]
    assert tls.asked == [None]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        *((name, name) for name in ("my_service", "a_b.example", "-a-.example", "xn--a.example")),
        ("\u2603.example", "xn--n3h.example"),
        ("fa\u00df.my_service.example", "xn--fa-hia.my_service.example"),
    ],
)
async def test_what_idna_2008_refuses(name: str, asked: str, resolver: Here) -> None:
    """ASCII is asked for as it is, and signs as browsers ask for them."""
    async with noting() as (port, requests):
        async with open_websocket(f"ws://{name}:{port}/", draft="rfc6455"):
            pass
    assert resolver.asked == [asked]
    assert [request.host for request in requests] == [f"{asked}:{port}"]


async def test_where_a_redirect_leads(
    tls: Server, client_ssl: ssl.SSLContext, resolver: Here
) -> None:
    async with noting(ssl_context=tls.context) as (there, requests):
        for location in (f"wss://fa\u00df.example.:{there}/", f"https://fa%C3%9F.example.:{there}"):
            async with sending_on(location) as (here, _):
                url = f"ws://{HOST}:{here}/"
                async with open_websocket(url, draft="rfc6455", ssl_context=client_ssl):
                    pass
    assert [request.host for request in requests] == [f"xn--fa-hia.example.:{there}"] * 2
    assert tls.asked == ["xn--fa-hia.example"] * 2


@pytest.mark.parametrize("kind", ["TCP", "another's stream"])
@pytest.mark.parametrize("name", ["a.example.", "fa\u00df.example."])
async def test_a_factory_of_ones_own(
    name: str, kind: str, tls: Server, client_ssl: ssl.SSLContext
) -> None:
    """`ssl_stream_factory` knows what belongs into TLS, whoever calls it."""
    factory = ssl_stream_factory(client_ssl, server_hostname=name)
    async with serving(ssl_context=tls.context) as server:
        stream: trio.abc.Stream = await dial(server)
        if kind != "TCP":
            stream = trio.StapledStream(stream, stream)
        url = "wss://elsewhere.example/"
        async with open_websocket(
            url, draft="rfc6455", stream=stream, stream_factory=factory
        ) as client:
            await client.send("hello")
            assert await client.receive() == "hello"
    assert tls.asked == [{"a.example.": "a.example"}.get(name, "xn--fa-hia.example")]


@pytest.mark.parametrize("name", ["", "a..b", "a b", "\u200d"])
def test_a_factory_for_no_host(name: str, client_ssl: ssl.SSLContext) -> None:
    with pytest.raises(ValueError, match=r"no host"):
        ssl_stream_factory(client_ssl, server_hostname=name)


# Proxies


@asynccontextmanager
async def connecting_to(port: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A proxy whose tunnels all lead to that port; gives its own, and the heads that came."""
    heads: list[bytes] = []

    async def pump(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream) -> None:
        try:
            async for data in source:
                await sink.send_all(data)
        except trio.BrokenResourceError:
            pass

    async def visit(stream: trio.SocketStream) -> None:
        heads.append((await read_request(stream, 0))[0])
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        behind = await trio.open_tcp_stream(HOST, port)
        async with behind, trio.open_nursery() as nursery:
            nursery.start_soon(pump, behind, stream)
            await pump(stream, behind)
            nursery.cancel_scope.cancel()

    async with raw_server(visit) as before:
        yield before, heads


@pytest.mark.parametrize(("name", "host", "asked"), NAMES)
async def test_through_a_proxy(
    name: str, host: str, asked: str, tls: Server, client_ssl: ssl.SSLContext, resolver: Here
) -> None:
    """It resolves the name that DNS knows; TLS with the server is as without a proxy."""
    async with noting(ssl_context=tls.context) as (port, requests):
        async with connecting_to(port) as (proxy, heads):
            async with open_websocket(
                f"wss://{name}/",
                draft="rfc6455",
                ssl_context=client_ssl,
                proxy=f"http://{HOST}:{proxy}",
            ):
                pass
    assert heads == [f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode()]
    assert [request.host for request in requests] == [host]
    assert (tls.asked, resolver.asked) == ([asked], [])


@pytest.mark.parametrize(("name", "host", "asked"), NAMES)
async def test_tls_with_a_proxy(
    name: str, host: str, asked: str, tls: Server, client_ssl: ssl.SSLContext, resolver: Here
) -> None:
    """The proxy's own name is treated as a server's is."""
    async with serving() as server:
        assert server.port is not None
        async with connecting_to(server.port) as (plain, _):
            async with tls_before(plain, tls.context) as proxy:
                async with open_websocket(
                    "ws://b.example/",
                    draft="rfc6455",
                    proxy=f"https://{name}:{proxy}",
                    proxy_ssl_context=client_ssl,
                ) as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"
    assert (tls.asked, resolver.asked) == ([asked], [host])
