"""How many clients a server has at once: one too many is told so, and those inside stay."""

from __future__ import annotations

import socket
import ssl
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.wire import Answer, dial, echo, read_to_end, request_13, serving
from trio_draftws import (
    Connection,
    Draft,
    HTTPResponse,
    Rejected,
    Request,
    Server,
    open_websocket,
    serve_websocket,
    use_framing_mode,
)

UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable"
FULL = "This server has reached its limit of connections.\n"
FULL_FOR_HOST = "This server has reached its limit of connections from your address.\n"
# Beyond so many, those who are refused are no longer heard first.
MAX_REFUSING = 100


async def is_well(connection: Connection) -> None:
    await connection.send("still here?")
    assert await connection.receive() == "still here?"


async def refused_with(url: str, **settings: Any) -> str:
    with pytest.raises(Rejected) as caught:
        async with open_websocket(url, **settings):
            raise AssertionError("it came in")
    assert caught.value.status == 503
    return caught.value.body.decode()


async def is_heard(server: Server) -> bool:
    """Whether one too many may say what it wants before it is refused; this one says nonsense."""
    async with await dial(server) as stream:
        await trio.testing.wait_all_tasks_blocked(0.01)
        try:
            await stream.send_all(b"no HTTP\r\n\r\n")
        except trio.BrokenResourceError:
            return False
        return (await stream.receive_some()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("cap", ["max_connections", "max_connections_per_host"])
async def test_one_too_many(cap: str, draft: Draft) -> None:
    """It gets 503; those inside do not notice; when one of them goes, there is room again."""
    caps: dict[str, Any] = {cap: 2}
    with use_framing_mode(draft.name):
        async with serving(**caps) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url) as stays:
                async with open_websocket(url) as goes:
                    told = await refused_with(url)
                    assert told == (FULL if cap == "max_connections" else FULL_FOR_HOST)
                    assert len(server.connections) == 2
                    await is_well(stays)
                    await is_well(goes)
                while len(server.connections) > 1:
                    await trio.lowlevel.checkpoint()
                await trio.testing.wait_all_tasks_blocked()
                async with open_websocket(url) as comes:
                    await is_well(comes)
                    await is_well(stays)


async def test_openings_count(mock_clock: trio.testing.MockClock) -> None:
    """Who never says what it wants takes a place, until the handshake's deadline."""
    async with serving(max_connections=2, handshake_timeout=7) as server, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(await dial(server))
        await trio.testing.wait_all_tasks_blocked(0.01)
        url = f"ws://127.0.0.1:{server.port}/"
        assert await refused_with(url) == FULL
        mock_clock.jump(8)
        await trio.testing.wait_all_tasks_blocked(0.01)
        async with open_websocket(url) as comes:
            await is_well(comes)


async def test_each_host_has_its_own(draft: Draft) -> None:
    """One that has taken all its places takes none of another's."""
    with use_framing_mode(draft.name):
        async with serving(max_connections_per_host=1) as server, AsyncExitStack() as stack:
            url = f"ws://127.0.0.1:{server.port}/"
            inside = await stack.enter_async_context(open_websocket(url))
            assert await refused_with(url) == FULL_FOR_HOST
            assert server.port is not None
            other = await trio.open_tcp_stream("127.0.0.1", server.port, local_address="127.0.0.2")
            async with other:
                await other.send_all(request_13())
                assert (await other.receive_some()).startswith(b"HTTP/1.1 101 ")
                assert await refused_with(url) == FULL_FOR_HOST
                await is_well(inside)


async def test_those_who_wait_to_be_told_are_bounded(mock_clock: trio.testing.MockClock) -> None:
    """Beyond that, they are told without being heard; and those inside do not notice."""
    async with serving(max_connections=1, handshake_timeout=7) as server, AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{server.port}/"
        inside = await stack.enter_async_context(open_websocket(url))
        silent = [await stack.enter_async_context(await dial(server)) for _ in range(MAX_REFUSING)]
        await trio.testing.wait_all_tasks_blocked(0.01)
        for said in (b"", request_13()):
            async with await dial(server) as unheard:
                await unheard.send_all(said)
                answer = Answer.parse(await read_to_end(unheard))
                assert (answer.line, answer.text) == (UNAVAILABLE, FULL)
        assert not await is_heard(server)
        await is_well(inside)
        # Those who were to be heard have a deadline.
        mock_clock.jump(8)
        for stream in silent:
            assert await read_to_end(stream) == b""
        assert await is_heard(server)


async def test_with_tls(server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    """The answer comes through TLS; where nobody is heard any more, there is none."""
    async with serving(max_connections=1, ssl_context=server_ssl) as server:
        url = f"wss://127.0.0.1:{server.port}/"
        async with open_websocket(url, ssl_context=client_ssl) as inside, AsyncExitStack() as stack:
            assert await refused_with(url, ssl_context=client_ssl) == FULL
            for _ in range(MAX_REFUSING):
                await stack.enter_async_context(await dial(server))
            await trio.testing.wait_all_tasks_blocked(0.01)
            async with await dial(server) as unheard:
                assert await read_to_end(unheard) == b""
            await is_well(inside)


async def test_tls_of_a_listeners_own(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """Its clients have an address under their TLS."""
    listeners = await trio.open_ssl_over_tcp_listeners(0, server_ssl, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, echo, listeners=listeners, max_connections_per_host=1)
        server: Server = await nursery.start(serve)
        url = f"wss://127.0.0.1:{server.port}/"
        async with open_websocket(url, ssl_context=client_ssl) as inside:
            assert await refused_with(url, ssl_context=client_ssl) == FULL_FOR_HOST
            await is_well(inside)
        await server.aclose()


async def test_a_stream_without_an_address_is_no_host(tmp_path: Path) -> None:
    """As from a unix socket; it counts among all."""
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(tmp_path / "socket"))
    listener.listen()
    caps: dict[str, Any] = {"max_connections_per_host": 1, "max_connections": 2}
    caps["close_timeout"] = 0.1
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        listeners = [trio.SocketListener(listener)]
        serve = partial(serve_websocket, echo, listeners=listeners, **caps)
        server: Server = await nursery.start(serve)
        statuses = []
        for _ in range(3):
            stream = await trio.open_unix_socket(str(tmp_path / "socket"))
            await stack.enter_async_context(stream)
            await stream.send_all(request_13())
            statuses.append((await stream.receive_some())[9:12])
        assert statuses == [b"101", b"101", b"503"]
        await server.aclose()


async def test_pages_count_too() -> None:
    async def page(request: Request) -> HTTPResponse:
        return HTTPResponse(body="a page")

    async with serving(max_connections=1, http_handler=page) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/"), await dial(server) as stream:
            await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = Answer.parse(await read_to_end(stream))
            assert (answer.line, answer.text) == (UNAVAILABLE, FULL)


async def test_one_whose_request_is_wrong_is_told_that() -> None:
    async with serving(max_connections=1) as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/"), await dial(server) as stream:
            await stream.send_all(b"no HTTP\r\n\r\n")
            assert (await read_to_end(stream)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("unheard", [False, True])
async def test_one_that_vanishes_before_it_is_told(unheard: bool) -> None:
    async with serving(max_connections=1) as server, AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{server.port}/"
        inside = await stack.enter_async_context(open_websocket(url))
        if unheard:
            for _ in range(MAX_REFUSING):
                await stack.enter_async_context(await dial(server))
            await trio.testing.wait_all_tasks_blocked(0.01)
        # More than are heard at once, so that a place which was not given back would be missed
        for _ in range(10 if unheard else MAX_REFUSING):
            async with await dial(server) as stream:
                stream.setsockopt(
                    trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await is_heard(server) is not unheard
        await is_well(inside)


@pytest.mark.parametrize(
    ("inside", "comes", "is_one_host"),
    [
        ("192.0.2.7", "192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", True),
        ("2001:db8:1:2::", "2001:db8:1:3::1", False),
        ("::1", "::2", True),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("fe80::1%eth0", "fe80::1%eth0", True),
        ("fe80::1%eth0", "fe80::2%eth0", False),
    ],
)
async def test_what_is_one_host(
    inside: str, comes: str, is_one_host: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address of IPv4, and a network of 64 bits: who has one address of it has them all."""
    really = socket.socket.getpeername
    addresses: dict[int, str] = {}

    def getpeername(one: socket.socket) -> Any:
        host, port = really(one)
        if one.getsockname()[1] != server.port:
            return host, port
        return addresses.setdefault(port, comes if addresses else inside), port

    async with serving(max_connections_per_host=1) as server:
        monkeypatch.setattr(socket.socket, "getpeername", getpeername)
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url):
            if is_one_host:
                assert await refused_with(url) == FULL_FOR_HOST
            else:
                async with open_websocket(url) as connection:
                    await is_well(connection)


async def test_over_ipv6() -> None:
    async with serving(host="::1", max_connections_per_host=1) as server:
        url = f"ws://[::1]:{server.port}/"
        async with open_websocket(url) as inside:
            assert await refused_with(url) == FULL_FOR_HOST
            await is_well(inside)


@pytest.mark.parametrize("cap", ["max_connections", "max_connections_per_host"])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-1, ValueError), ("2", TypeError)])
async def test_a_cap_that_is_none(cap: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"{cap} must be"):
        await serve_websocket(echo, 0, host="127.0.0.1", **{cap: value})
