"""The PROXY protocol: a proxy that passes bytes on says first who the client is."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Address,
    Connection,
    HandshakeError,
    HandshakeTimeout,
    Rejected,
    accept,
    open_websocket,
    proxy_protocol_factory,
    ssl_stream_factory,
)

from .arguments.cases import Case, case
from .pairs import stream_pair
from .rows import each_row
from .test_who_is_there import Seen
from .wire import dial, masked, read_to_end, request_13, serving

LINE = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT, TARGET = Address("192.0.2.7", 56324), Address("198.51.100.1", 443)
GOODBYE = masked(0x88, b"\x03\xe8")


def binary(begin: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes((begin, family)) + len(body).to_bytes(2, "big") + body


def packed(family: int, *ends: Address) -> bytes:
    hosts = b"".join(socket.inet_pton(family, end.host) for end in ends)
    return hosts + b"".join((end.port or 0).to_bytes(2, "big") for end in ends)


def field(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


def paths(*names: bytes) -> bytes:
    return b"".join(name.ljust(108, b"\0") for name in names)


IPV4 = packed(socket.AF_INET, CLIENT, TARGET)
CLIENT6, TARGET6 = Address("2001:db8::7", 56324), Address("2001:db8::1", 443)
IPV6 = packed(socket.AF_INET6, CLIENT6, TARGET6)
BINARY = binary(0x21, 0x11, IPV4)
OVER_TLS = field(1, b"h2") + field(0x20, b"\x01\0\0\0\0" + field(0x21, b"TLSv1.3"))
LINE6 = b"PROXY TCP6 2001:DB8:0:0:0:0:0:7 2001:db8::1 56324 443\r\n"
LONGEST = b"PROXY TCP6 " + b"2001:0db8:0000:0000:0000:0000:0000:0007 " * 2 + b"56324 443\r\n"
# What a header says, None where that is who has connected
SAID: list[tuple[bytes, tuple[Address, Address] | None]] = [
    (LINE, (CLIENT, TARGET)),
    (LINE6, (CLIENT6, TARGET6)),
    (LONGEST, (CLIENT6, Address("2001:db8::7", 443))),
    (b"PROXY TCP4 1.1.1.1 1.1.1.1 0 1\r\n", (Address("1.1.1.1"), Address("1.1.1.1", 1))),
    (b"PROXY TCP6 :: :: 1 1\r\n", (Address("::", 1), Address("::", 1))),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN x\r\n", None),
    (b"PROXY UNKNOWN " + b"f" * 91 + b"\r\n", None),
    (BINARY, (CLIENT, TARGET)),
    (binary(0x21, 0x21, IPV6), (CLIENT6, TARGET6)),
    (binary(0x21, 0x11, IPV4 + OVER_TLS), (CLIENT, TARGET)),
    (binary(0x21, 0x11, IPV4 + b"\x04\xff\xff"), (CLIENT, TARGET)),
    (binary(0x21, 0x21, IPV6 + field(4, b"x" * 60_000)), (CLIENT6, TARGET6)),
    (
        binary(0x21, 0x31, paths(b"/run/a", b"/b" * 54)),
        (Address("unix:/run/a"), Address("unix:" + "/b" * 54)),
    ),
    (
        binary(0x21, 0x31, paths(b"", b"\0name") + OVER_TLS),
        (Address("unix:"), Address("unix:@name")),
    ),
    (binary(0x20, 0x00, b""), None),
    (binary(0x20, 0x11, b"what it says of itself"), None),
    (binary(0x21, 0x00, b""), None),
    (binary(0x21, 0x00, b"anything"), None),
]


def unix_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """As between a proxy and a server on one machine."""
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), trio.SocketStream(theirs)


@asynccontextmanager
async def accepted(*pieces: bytes, **settings: Any) -> AsyncIterator[Connection]:
    """The server's side of what a proxy opens, each of whose pieces comes when all is still."""
    proxy, stream = unix_pair()
    factory = proxy_protocol_factory(["unix"])

    async def send() -> None:
        for piece in pieces:
            await trio.testing.wait_all_tasks_blocked()
            await proxy.send_all(piece)
        await read_to_end(proxy)

    async with proxy, trio.open_nursery() as nursery:
        nursery.start_soon(send)
        async with accept(stream, **{"stream_factory": factory, **settings}) as connection:
            yield connection


def whole(header: bytes) -> bytes:
    """All that a client says, from its request to its goodbye, behind a header."""
    return header + request_13() + masked(0x81, b"hello") + GOODBYE


@each_row("header, ends", SAID)
async def test_what_a_header_says(header: bytes, ends: tuple[Address, Address] | None) -> None:
    """Nothing behind it is lost, where all comes at once."""
    async with accepted(whole(header)) as connection:
        assert (connection.remote, connection.local) == (ends or (Address("unix:"),) * 2)
        assert connection.request.remote == connection.remote
        assert connection.request.secure is (OVER_TLS in header)
        assert [message async for message in connection] == ["hello"]


@each_row("header", [LINE, LINE6, BINARY, b"PROXY UNKNOWN\r\n", binary(0x20, 0, b"")])
async def test_every_cut(header: bytes) -> None:
    """In the header, right behind it, and after each byte."""
    everything = whole(header)
    cuts = [(everything[:at], everything[at:]) for at in range(1, len(header) + 2)]
    cuts.append(tuple(bytes((byte,)) for byte in everything))  # type: ignore[arg-type]
    for pieces in cuts:
        async with accepted(*pieces) as connection:
            assert connection.remote in (CLIENT, CLIENT6, Address("unix:"))
            assert [message async for message in connection] == ["hello"]


@each_row("header, behind", product([header for header, _ in SAID], [b"x", b"\r\n" * 200]))
async def test_no_byte_behind_it_is_read(header: bytes, behind: bytes) -> None:
    proxy, stream = unix_pair()
    async with proxy, trio.open_nursery() as nursery:
        nursery.start_soon(proxy.send_all, header + behind)
        async with await proxy_protocol_factory(["unix"])(stream) as made:
            assert await made.receive_some() == behind


@each_row(
    "header",
    [
        request_13(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
        b"proxy TCP4 192.0.2.7 198.51.100.1 56324 443\r\n",
        LINE.replace(b"TCP4", b"TCP6"),
        LINE6.replace(b"TCP6", b"TCP4"),
        LINE.replace(b"TCP4", b"UDP4"),
        LINE.replace(b"\r\n", b"\n") + request_13(),
        LINE.replace(b" 443", b""),
        LINE.replace(b"443", b"443 1"),
        LINE.replace(b" 443", b"  443"),
        LINE.replace(b"56324", b"65536"),
        LINE.replace(b"443", b"-443"),
        LINE.replace(b"443", b"4x3"),
        LINE.replace(b"192.0.2.7", b"192.0.2"),
        LINE.replace(b"192.0.2.7", b"192.0.2.07"),
        LINE.replace(b"192.0.2.7", b"a.example"),
        b"PROXY \r\n" + bytes(30),
        b"PROXY TCP4\r\n" + bytes(30),
        b"PROXY UNKNOWNS\r\n" + bytes(30),
        b"PROXY UNKNOWN " + b"f" * 92 + b"\r\n",
        b"PROXY UNKNOWN " + b"f" * 200,
        b"PROXY UNKNOWN a\rb\r\n" + bytes(30),
        BINARY.replace(b"QUIT", b"QUIZ"),
        binary(0x11, 0x11, IPV4),
        binary(0x22, 0x11, IPV4),
        binary(0x21, 0x12, IPV4),
        binary(0x21, 0x41, IPV4),
        binary(0x21, 0x11, IPV4[:-1]) + bytes(30),
        binary(0x21, 0x21, IPV4) + bytes(30),
        binary(0x21, 0x31, paths(b"/a")) + bytes(300),
    ],
)
async def test_what_is_no_header(header: bytes) -> None:
    """Where there is none, nobody guesses: the specification's section 2."""
    proxy, stream = unix_pair()
    factory = proxy_protocol_factory(["unix"])
    async with proxy:
        await proxy.send_all(header)
        with pytest.raises(HandshakeError, match="expected a PROXY header, got") as caught:
            async with accept(stream, stream_factory=factory):
                raise AssertionError("there is a connection")
        assert type(caught.value) is HandshakeError
        assert len(str(caught.value)) < 500
        # It was told nothing, and may have been reset.
        try:
            assert await read_to_end(proxy) == b""
        except trio.BrokenResourceError:
            pass


@each_row("begin", [b"", LINE[:1], LINE[:-1], SIGNATURE, BINARY[:-1]])
async def test_one_that_ends_within_it(begin: bytes) -> None:
    for end, why in (("end", "ended the stream within"), ("reset", "broke within")):
        proxy, stream = await stream_pair("tcp")
        assert isinstance(proxy, trio.SocketStream)
        async with proxy, trio.open_nursery() as nursery:

            async def say_and_go(proxy: trio.SocketStream = proxy, end: str = end) -> None:
                await proxy.send_all(begin)
                await trio.testing.wait_all_tasks_blocked()
                if end == "reset":
                    reset = b"\1\0\0\0\0\0\0\0"
                    proxy.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, reset)
                await proxy.aclose()

            nursery.start_soon(say_and_go)
            with pytest.raises(HandshakeError, match=f"{why} the PROXY header"):
                async with accept(stream, stream_factory=proxy_protocol_factory(["127.0.0.1"])):
                    raise AssertionError("there is a connection")


@pytest.mark.parametrize("cancelled", [False, True])
async def test_one_that_is_silent_within_it(
    cancelled: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """`handshake_timeout` runs from the beginning."""
    proxy, stream = unix_pair()
    async with proxy:
        await proxy.send_all(LINE[:20])
        opening = accept(
            stream, stream_factory=proxy_protocol_factory(["unix"]), handshake_timeout=7
        )
        with trio.move_on_after(3 if cancelled else 100) as scope:
            with pytest.raises(HandshakeTimeout):
                async with opening:
                    raise AssertionError("there is a connection")
        assert scope.cancelled_caught is cancelled
        assert trio.current_time() == pytest.approx(3 if cancelled else 7)


async def test_whoever_is_not_trusted(caplog: pytest.LogCaptureFixture) -> None:
    """Is refused, with a header and without."""
    caplog.set_level(logging.INFO, "trio_draftws")
    factory = proxy_protocol_factory(["192.0.2.7", "127.0.0.2", "unix"])
    async with serving(stream_factory=factory) as server:
        for said in (whole(LINE), request_13()):
            async with await dial(server) as stream:
                port = stream.socket.getsockname()[1]
                await stream.send_all(said)
                try:
                    assert await read_to_end(stream) == b""
                except trio.BrokenResourceError:
                    pass
        assert server.statistics().failed == 2
    why = f"127.0.0.1:{port} may not say who the client is"
    assert f"no connection with 127.0.0.1 port {port}: {why}" in caplog.records[1].message


@each_row("transport", ["memory", "tls"])
async def test_streams_that_are_no_sockets(transport: str) -> None:
    """None has an address that could be trusted, and a header comes before TLS."""
    client, stream = await stream_pair(transport)
    async with client:
        with pytest.raises(HandshakeError, match="may not say who the client is"):
            async with accept(stream, stream_factory=proxy_protocol_factory(["127.0.0.1"])):
                raise AssertionError("there is a connection")


async def send_line(stream: trio.abc.Stream) -> trio.abc.Stream:
    """A client's stream factory: what a proxy says in front of it."""
    await stream.send_all(LINE)
    return stream


@each_row("draft", ["rfc6455", "hixie-76"])
async def test_tls_behind_it(
    draft: str, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """It is ours, and the addresses are still known behind it."""
    seen = Seen()
    to_server = ssl_stream_factory(client_ssl, server_hostname="127.0.0.1")

    async def dress(stream: trio.abc.Stream) -> trio.abc.Stream:
        return await to_server(await send_line(stream))

    factory = proxy_protocol_factory(["127.0.0.1"], ssl_stream_factory(server_ssl))
    async with serving(
        seen.handler, stream_factory=factory, conn_headers=seen.conn_headers
    ) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        async with open_websocket(url, stream_factory=dress, draft=draft) as client:
            await client.send("hello")
            assert await client.receive() == "hello"
            assert client.url == url
        with pytest.raises(HandshakeError):
            async with open_websocket(
                url.replace("wss", "ws"), stream_factory=send_line, draft=draft
            ):
                raise AssertionError("it spoke no TLS")
    [connection] = seen.connections
    assert isinstance(connection.ssl_object, ssl.SSLObject)
    assert all(asked.ssl_object is connection.ssl_object for asked in seen.requests)
    assert (connection.remote, connection.local) == (CLIENT, TARGET)
    assert connection.request.secure


async def test_clients_and_their_proxies() -> None:
    """The caps count those of the header; and behind those may be proxies of HTTP."""
    proxied: Any = {"stream_factory": send_line, "draft": "rfc6455"}
    seen = Seen()
    async with serving(
        seen.handler,
        stream_factory=proxy_protocol_factory(["127.0.0.1"]),
        trusted_proxies=["192.0.2.0/24"],
        max_connections_per_host=1,
    ) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with await dial(server), open_websocket(url, **proxied) as client:
            with pytest.raises(Rejected, match="503"):
                async with open_websocket(url, **proxied):
                    raise AssertionError("it came in")
            behind = {"X-Forwarded-For": "203.0.113.9"}
            async with open_websocket(url, headers=behind, **proxied) as other:
                for one in (client, other):
                    await one.send("hello")
                    assert await one.receive() == "hello"
    assert [it.remote for it in seen.connections] == [CLIENT, Address("203.0.113.9")]
    assert {it.local for it in seen.connections} == {TARGET}


async def test_many_messages_behind_it() -> None:
    """The stream is ours, and as fast as any."""
    seen = Seen()
    async with serving(
        seen.handler, stream_factory=proxy_protocol_factory(["127.0.0.1"])
    ) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, stream_factory=send_line, draft="rfc6455") as client:
            messages: list[str | bytes] = ["x" * 2**20, b"y" * 100_000, *map(str, range(100))]
            for message in messages:
                await client.send(message)
                assert await client.receive() == message
            assert await client.ping() > 0


async def no_stream(stream: trio.abc.Stream) -> Any:
    return None


async def test_what_the_other_factory_does() -> None:
    """Its faults are those of `stream_factory`."""
    not_async: Any = lambda stream: stream  # noqa: E731
    for factory, why in ((no_stream, "returned is a trio.abc.Stream"), (not_async, "is an async")):
        proxy, stream = unix_pair()
        async with proxy:
            await proxy.send_all(LINE)
            with pytest.raises(TypeError, match=f"stream_factory.*{why}"):
                async with accept(stream, stream_factory=proxy_protocol_factory(["unix"], factory)):
                    raise AssertionError("there is a connection")


@each_row(
    "case",
    [
        case(TypeError, "write ['127.0.0.1']", trusted="127.0.0.1"),
        case(TypeError, "trusted is a list of IP addresses and networks, not None", trusted=None),
        case(TypeError, "and b'::1' in it is no str or IPv4Address or", trusted=[b"::1"]),
        case(ValueError, "trusted has 'proxy', which is neither", trusted=["proxy"]),
        case(ValueError, "all addresses are '0.0.0.0/0' and '::/0'", trusted=["*"]),
        case(ValueError, "trusted is empty, so every connection would be refused", trusted=[]),
        case(TypeError, "stream_factory is an async function", trusted=["::1"], stream_factory=5),
    ],
)
def test_wrong_arguments(case: Case) -> None:
    with case.raises():
        proxy_protocol_factory(**case.arguments)
