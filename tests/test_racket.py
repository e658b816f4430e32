"""What the documentation of Racket's `net/websocket` promises, one sentence after the other.

Each docstring says what is promised, in our words where a name has changed. What Racket says on the
wire is in test_racket_recorded.py; docs/coming-from-racket.rst tells what differs on purpose.
"""

from __future__ import annotations

import errno
import inspect
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

import trio_draftws
from trio_draftws import (
    Connection,
    HeaderFields,
    LocalProtocolError,
    Request,
    Server,
    framing_mode,
    is_ws_url,
    is_wss_url,
    open_websocket,
    serve_websocket,
    ssl_stream_factory,
    use_framing_mode,
    wait_any,
)
from trio_draftws.testing import connected_pair

from .processes import HOST
from .rows import each_row
from .wire import KEY3, dial, read_until, request, serving

either_mode = pytest.mark.parametrize("mode", ["old", "new"])


def url_of(server: Server) -> str:
    return f"ws://{HOST}:{server.port}/"


async def close(one: Connection, other: Connection) -> None:
    """Closes one of the two, while the other receives the end."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.aclose)
        with pytest.raises(trio.EndOfChannel):
            await other.receive()


async def echo_once(connection: Connection) -> None:
    await connection.send("hello")
    assert await connection.receive() == "hello"


# 3 WebSocket


async def test_clients_and_servers_of_august_2010() -> None:
    """It runs servers and communicates with them, as the draft of August 16th, 2010 specifies."""
    with use_framing_mode("new"):
        async with serving() as server:
            async with open_websocket(url_of(server)) as connection:
                assert connection.draft.name == "whatwg-2010-08"
                await echo_once(connection)


def test_one_module_has_it_all() -> None:
    """The module provides what those of the client, of the server and of connections provide."""
    client = {"is_ws_url", "is_wss_url", "open_websocket"}
    server = {"serve_websocket", "Server", "ssl_stream_factory"}
    connections = {"Connection", "framing_mode", "wait_any"}
    assert client | server | connections <= set(trio_draftws.__all__)


# 3.1 Client API


@each_row(
    "x, is_ws, is_wss",
    [
        ("ws://example.com/", True, False),
        ("wss://example.com/", True, True),
        ("WS://example.com:8080", True, False),
        ("WSS://example.com?q", True, True),
        ("http://example.com/", False, False),
        ("https://example.com/", False, False),
        ("wsss://example.com/", False, False),
        ("ws", False, False),
        ("wss:", False, False),
        ("", False, False),
        (b"ws://example.com/", False, False),
        (None, False, False),
        (80, False, False),
    ],
)
def test_ws_url_and_wss_url(x: object, is_ws: bool, is_wss: bool) -> None:
    """`ws-url?` is true for a URL with the scheme ws or wss, `wss-url?` for one with wss."""
    assert (is_ws_url(x), is_wss_url(x)) == (is_ws, is_wss)


@either_mode
async def test_connecting(mode: str) -> None:
    """It connects to the server that the URL specifies, and returns the connection."""
    with use_framing_mode(mode):
        async with serving() as server:
            async with open_websocket(f"{url_of(server)}here?q") as connection:
                assert isinstance(connection, Connection)
                assert connection.url == f"{url_of(server)}here?q"
                await echo_once(connection)


@either_mode
async def test_additional_headers(mode: str) -> None:
    """The headers are additional; by default there are none."""
    asked: list[Request] = []

    async def conn_headers(request: Request) -> tuple[HeaderFields, None]:
        asked.append(request)
        return (), None

    with use_framing_mode(mode):
        async with serving(conn_headers=conn_headers) as server:
            for headers in ({}, {"X-First": "1", "Cookie": "a=b"}):
                async with open_websocket(url_of(server), headers=headers):
                    pass
    without, with_them = ([name.lower() for name, _ in asked.headers.raw] for asked in asked)
    assert sorted(set(with_them) - set(without)) == [b"cookie", b"x-first"]
    assert set(without) < set(with_them)
    assert (asked[1].headers["X-First"], asked[1].headers["Cookie"]) == ("1", "a=b")


# 3.2 Server API


@either_mode
async def test_each_connection_has_its_headers_and_its_state(mode: str) -> None:
    """`conn_headers` computes from a client's request line and headers what headers that client
    receives, and a state, which is passed to the handler as its second argument.
    """
    states: list[object] = []

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        line, name = request.line.decode(), request.headers["X-Name"]
        return {"X-Line": line, "X-Greeting": f"hello {name}"}, [name, line]

    async def handler(connection: Connection, state: object) -> None:
        states.append(state)

    with use_framing_mode(mode):
        async with serving(handler, conn_headers=conn_headers) as server:
            for name in ("a", "b"):
                url = f"{url_of(server)}{name}"
                async with open_websocket(url, headers={"X-Name": name}) as connection:
                    assert connection.headers["X-Line"] == f"GET /{name} HTTP/1.1"
                    assert connection.headers["X-Greeting"] == f"hello {name}"
                    with pytest.raises(trio.EndOfChannel):
                        await connection.receive()
    assert states == [["a", "GET /a HTTP/1.1"], ["b", "GET /b HTTP/1.1"]]


@either_mode
async def test_no_headers_and_no_state_by_default(mode: str) -> None:
    """Not counting those of the handshake, which Racket left to its program."""
    states: list[object] = []

    async def handler(connection: Connection, state: object) -> None:
        states.append(state)

    with use_framing_mode(mode):
        async with serving(handler) as server:
            async with open_websocket(url_of(server)) as connection:
                assert set(connection.headers) == {
                    "upgrade",
                    "connection",
                    "sec-websocket-location",
                }
    assert states == [None]


@either_mode
async def test_the_handler_is_in_sole_control(mode: str) -> None:
    """It receives the connection after the handshake, and nobody but it says anything or ends it
    until the connection completes.
    """
    may_speak, may_return = trio.Event(), trio.Event()

    async def handler(connection: Connection, state: object) -> None:
        await may_speak.wait()
        await connection.send("from the handler")
        await may_return.wait()

    with use_framing_mode(mode):
        async with serving(handler) as server:
            async with open_websocket(url_of(server)) as connection:
                with trio.move_on_after(0) as scope:
                    await connection.receive()
                assert scope.cancelled_caught
                may_speak.set()
                assert await connection.receive() == "from the handler"
                assert not connection.closed
                may_return.set()
                with pytest.raises(trio.EndOfChannel):
                    await connection.receive()


async def test_shutting_down() -> None:
    """Starting gives what shuts the server down."""
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, echo_handler, 0, host=HOST)
        server: Server = await nursery.start(serve)
        async with open_websocket(url_of(server)) as connection:
            await echo_once(connection)
            nursery.start_soon(server.aclose)
            with pytest.raises(trio.EndOfChannel):
                await connection.receive()
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            await dial(server)


async def echo_handler(connection: Connection, state: object) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("conn_headers", None),
        ("stream_factory", None),
        ("port", 80),
        ("host", None),
        ("backlog", None),  # Trio's choice, not 4
        ("idle_timeout", 60 * 60),
        ("task_status", trio.TASK_STATUS_IGNORED),
    ],
)
def test_defaults(name: str, default: object) -> None:
    """Of `#:conn-headers`, `#:tcp@`, `#:port`, `#:listen-ip`, `#:max-waiting`, `#:timeout` and
    `#:confirmation-channel`.
    """
    assert inspect.signature(serve_websocket).parameters[name].default == default


@pytest.mark.parametrize(("host", "everywhere"), [(HOST, False), (None, True)])
async def test_listening_at_one_address_or_at_all(host: str | None, everywhere: bool) -> None:
    """`#:listen-ip`: false is all interfaces, of which this machine has 127.0.0.2 as well."""
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(serve_websocket, echo_handler, 0, host=host))
        async with open_websocket(url_of(server)) as connection:
            await echo_once(connection)
        try:
            async with open_websocket(f"ws://127.0.0.2:{server.port}/") as connection:
                await echo_once(connection)
            found = True
        except trio_draftws.DialFailed:
            found = False
        await server.aclose()
    assert found is everywhere


async def test_how_many_may_wait() -> None:
    """`#:max-waiting`: it is asked for as `backlog`, and Linux says how many it is."""
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, echo_handler, 0, host=HOST, backlog=4)
        server: Server = await nursery.start(serve)
        [listener] = server.listeners
        assert isinstance(listener, trio.SocketListener)
        # struct tcp_info: of a socket that listens, tcpi_sacked is its backlog.
        info = listener.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        await server.aclose()
    assert int.from_bytes(info[28:32], sys.byteorder) == 4


@either_mode
async def test_timeout(mode: str, autojump_clock: trio.testing.MockClock) -> None:
    """After an hour without a word a connection is over: Racket's after an hour in any case."""
    async with connected_pair(mode, client={"idle_timeout": 1e6}) as (client, server):
        await trio.sleep(1800)
        await client.send("still here")
        assert await server.receive() == "still here"
        with pytest.raises(trio.BrokenResourceError):
            await server.receive()
        assert trio.current_time() == pytest.approx(1800 + 3600, abs=1)


async def test_confirmation() -> None:
    """Starting returns when the server listens, and tells why where it cannot."""
    with socket.create_server((HOST, 0)) as taken:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, echo_handler, taken.getsockname()[1], host=HOST)
            with pytest.raises(OSError, match=r".") as caught:
                await nursery.start(serve)
            assert caught.value.errno == errno.EADDRINUSE
            server: Server = await nursery.start(
                partial(serve_websocket, echo_handler, 0, host=HOST)
            )
            await trio.aclose_forcefully(await dial(server))
            await server.aclose()


@either_mode
async def test_an_ssl_server(
    mode: str, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """`#:tcp@` is there for building one."""
    with use_framing_mode(mode):
        async with serving(stream_factory=ssl_stream_factory(server_ssl)) as server:
            url = f"wss://localhost:{server.port}/"
            async with open_websocket(url, ssl_context=client_ssl) as connection:
                await echo_once(connection)


# 3.3 Connections


@either_mode
async def test_synchronizable_events(mode: str) -> None:
    """Connections can be waited for, one or the first of several, and nothing is taken by it."""
    async with connected_pair(mode) as (a, b), connected_pair(mode) as (c, d):
        await b.send("to a")
        await a.wait_readable()
        assert await a.receive() == "to a"
        await d.send("to c")
        assert await wait_any(a, c) is c
        assert await wait_any(a, c) is c
        assert await c.receive() == "to c"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.aclose)
            assert await wait_any(a, c) is a
            with pytest.raises(trio.EndOfChannel):
                await a.receive()


def test_the_framing_mode() -> None:
    """It is read and set; there are old and new, and old is the default."""
    assert framing_mode.get() == "old"
    token = framing_mode.set("new")
    assert framing_mode.get() == "new"
    framing_mode.reset(token)
    assert framing_mode.get() == "old"
    with pytest.raises(ValueError, match="newest"), use_framing_mode("newest"):
        raise AssertionError("there is no such mode")


@pytest.mark.parametrize(
    ("mode", "frame"),
    [("old", b"\x00hello\xff"), ("new", b"\xff" + bytes(7) + b"\x05hello")],
)
async def test_what_the_framing_mode_controls(mode: str, frame: bytes) -> None:
    """Whether framing is as before August 16th, 2010, or after; the two are incompatible."""

    async def handler(connection: Connection, state: object) -> None:
        await connection.send("hello")

    with use_framing_mode(mode):
        async with serving(handler) as server, await dial(server) as stream:
            await stream.send_all(request() + KEY3)
            said = await read_until(stream, lambda said: frame in said)
    assert said.partition(b"\r\n\r\n")[2][16:].startswith(frame)


@either_mode
async def test_ws_conn_and_open_ws_conn(mode: str) -> None:
    """`ws-conn?` is true for a connection of either side, `open-ws-conn?` for one that is open,
    `ws-conn-closed?` for one that has been closed.
    """
    async with connected_pair(mode) as (client, server):
        for side in (client, server):
            assert isinstance(side, Connection)
            assert not side.closed
        await close(client, server)
        assert isinstance(client, Connection)
        assert client.closed
        await server.aclose()
        assert server.closed
    assert not isinstance(object(), Connection)


@either_mode
async def test_line_and_headers(mode: str) -> None:
    """A connection has the request line or the response line, and the headers that came."""
    async with connected_pair(mode, url="ws://example.com/a?b", headers={"X-A": "1"}) as (
        client,
        server,
    ):
        assert server.line == b"GET /a?b HTTP/1.1"
        assert client.line.startswith(b"HTTP/1.1 101 ")
        assert (server.headers["X-A"], server.headers["Host"]) == ("1", "example.com")
        assert client.headers["Sec-WebSocket-Location"] == "ws://example.com/a?b"


@either_mode
async def test_sending_and_receiving(mode: str) -> None:
    """A string is sent, and received as a string; at the end there is an eof."""
    async with connected_pair(mode) as (client, server):
        for text in ("", "hello", "h\u00e4\u00df\u20ac\U0001f600", "x" * 100_000):
            for one, other in ((client, server), (server, client)):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(one.send, text)
                    assert await other.receive() == text
        with pytest.raises(LocalProtocolError):
            await client.send(b"hello")
        await close(server, client)
        with pytest.raises(trio.EndOfChannel):
            await client.receive()


async def only_blocks(call: Callable[[], Awaitable[object]], *, until: Callable[[], Any]) -> object:
    """What the call gives: not before `until` was called, and then by itself."""
    given: list[object] = []

    async def run() -> None:
        given.append(await call())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        assert given == []
        await until()
    return given[0]


@either_mode
async def test_receiving_blocks(mode: str) -> None:
    async with connected_pair(mode) as (client, server):
        assert await only_blocks(client.receive, until=partial(server.send, "hello")) == "hello"


@either_mode
async def test_closing(mode: str) -> None:
    async with connected_pair(mode) as (client, server):
        await close(client, server)
        with pytest.raises(trio.ClosedResourceError):
            await client.send("hello")
        with pytest.raises(trio.ClosedResourceError):
            await client.receive()


# 3.4 Example


@either_mode
async def test_the_example(mode: str) -> None:
    """An echo server compatible with the origin model of browsers; it sees each message, and the
    end.
    """
    printed: list[object] = []

    async def echo(connection: Connection, _: object) -> None:
        async for message in connection:
            printed.append(message)
            await connection.send(message)
        printed.append("end")

    async def conn_headers(request: Request) -> tuple[HeaderFields, None]:
        fields = {
            "Sec-WebSocket-Origin": request.headers["Origin"],
            "Sec-WebSocket-Location": request.location,
        }
        return fields, None

    with use_framing_mode(mode):
        async with serving(echo, conn_headers=conn_headers) as server:
            async with open_websocket(url_of(server), origin="http://example.com") as connection:
                assert connection.headers["Sec-WebSocket-Origin"] == "http://example.com"
                assert connection.headers["Sec-WebSocket-Location"] == url_of(server)
                await echo_once(connection)
    assert printed == ["hello", "end"]
