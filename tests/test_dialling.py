"""Other ways to a server than TCP: a stream that is there, and a Unix socket."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    DialFailed,
    Draft,
    HandshakeError,
    HandshakeTimeout,
    Rejected,
    accept,
    is_transient,
    open_websocket,
    ssl_stream_factory,
    use_framing_mode,
)

from .pairs import stream_pair
from .rows import drafts_that_differ_most, in_turn
from .wire import echo, raw_server, read_to_end, serving

draft = drafts_that_differ_most()

NOWHERE = "ws://nowhere.invalid/path"


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a Unix socket may be: its name has at most 107 bytes."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "socket"


@asynccontextmanager
async def listening_at(path: Path, **settings: Any) -> AsyncIterator[None]:
    """A server of ours on a Unix socket."""
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(os.fspath(path))
    listener.listen()
    async with serving(listeners=[trio.SocketListener(listener)], **settings):
        yield


class Watched(trio.abc.Stream):
    """Another's stream that knows whether it was closed."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        self.closed = True
        await self.stream.aclose()


# A stream


@in_turn(kind=("memory", "lockstep", "tcp"))
async def test_over_a_stream(kind: str, draft: Draft) -> None:
    """The URL says what the request says, and nobody is dialled."""
    client_stream, server_stream = await stream_pair(kind)
    seen: list[str] = []

    async def serve() -> None:
        async with accept(server_stream) as connection:
            seen.append(connection.request.location)
            await echo(connection)

    with use_framing_mode(draft.name):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with open_websocket(NOWHERE, draft=draft, stream=client_stream) as client:
                if isinstance(client_stream, trio.SocketStream):
                    assert client_stream.socket.fileno() == -1, "its socket was not taken over"
                assert client.url == NOWHERE
                await client.send("hello")
                assert await client.receive() == "hello"
    assert seen == [NOWHERE]


@pytest.mark.parametrize("kind", ["memory", "tcp"])
async def test_tls_over_a_stream(
    kind: str, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """The certificate is checked for the URL's host."""
    for host, trusted in (("localhost", True), ("example.com", False)):
        client_stream, server_stream = await stream_pair(kind)
        errors: list[HandshakeError] = []

        async def serve(stream: trio.abc.Stream, errors: list[HandshakeError]) -> None:
            try:
                async with accept(stream, ssl_context=server_ssl) as connection:
                    await echo(connection)
            except HandshakeError as error:
                errors.append(error)

        settings: dict[str, Any] = {"stream": client_stream, "ssl_context": client_ssl}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, server_stream, errors)
            try:
                async with open_websocket(f"wss://{host}/", draft="rfc6455", **settings) as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"
            except HandshakeError as error:
                errors.append(error)
        assert bool(errors) is not trusted


async def test_tls_goes_into_tls(server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    """As through an https proxy: what is dressed already is dressed again, not undressed."""
    outer = ssl_stream_factory(server_ssl)
    inner = ssl_stream_factory(server_ssl)

    async def twice(stream: trio.abc.Stream) -> trio.abc.Stream:
        return await inner(await outer(stream))

    async with serving(stream_factory=twice) as server:
        assert server.port is not None
        tunnel = await trio.open_tcp_stream("127.0.0.1", server.port)
        dressed = await ssl_stream_factory(client_ssl, server_hostname="localhost")(tunnel)
        assert isinstance(dressed, trio.abc.Stream)
        url = "wss://127.0.0.1/"
        async with open_websocket(
            url, draft="rfc6455", stream=dressed, ssl_context=client_ssl
        ) as client:
            assert isinstance(client._endpoint.stream, trio.SSLStream)
            await client.send("hello" * 10_000)
            assert await client.receive() == "hello" * 10_000


@pytest.mark.parametrize(
    ("mistake", "why"),
    [
        ({"url": "http://h/"}, "not a WebSocket URL"),
        ({"draft": "hybi-99"}, "hybi-99"),
        ({"draft": "auto"}, "a stream is one"),
        ({"close_timeout": -1}, "close_timeout"),
        ({"unix_socket": "/x"}, "give one of stream, unix_socket and proxy"),
        ({"proxy": "http://h"}, "give one of stream, unix_socket and proxy"),
        ({"proxy_ssl_context": ssl.create_default_context()}, "there is none"),
        ({"max_redirects": -1}, "max_redirects"),
    ],
    ids=lambda value: str(*value) if isinstance(value, dict) else "",
)
async def test_a_mistake_closes_the_stream(mistake: dict[str, Any], why: str) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    watched = Watched(ours)
    with pytest.raises(ValueError, match=why):
        async with open_websocket(**{"url": NOWHERE, **mistake}, stream=watched):
            raise AssertionError("there is no connection")
    assert watched.closed
    assert await theirs.receive_some() == b""


@pytest.mark.parametrize("kind", ["memory", "tcp"])
@pytest.mark.parametrize("end", ["refusal", "timeout", "cancelled", "the block", "its error"])
async def test_the_stream_is_closed(
    kind: str, end: str, autojump_clock: trio.testing.MockClock
) -> None:
    """On every path: the other side sees its end."""
    autojump_clock.autojump_threshold = 0.05
    ours, theirs = await stream_pair(kind)

    async def serve() -> None:
        if end.startswith(("the", "its")):
            async with accept(theirs) as connection:
                await echo(connection)
            return
        if end == "refusal":
            await theirs.receive_some()
            await theirs.send_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        await read_to_end(theirs)

    raised: dict[str, type[BaseException]] = {
        "refusal": Rejected,
        "timeout": HandshakeTimeout,
        "its error": KeyError,
    }
    expected = pytest.raises(raised[end]) if end in raised else nullcontext()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with trio.move_on_after(3 if end == "cancelled" else 60) as scope:
            with expected:
                async with open_websocket("ws://h/", draft="rfc6455", stream=ours):
                    assert end in ("the block", "its error")
                    if end == "its error":
                        raise KeyError
        assert scope.cancelled_caught is (end == "cancelled")
    await theirs.aclose()


# A Unix socket


async def test_over_a_unix_socket(path: Path, draft: Draft) -> None:
    """It is taken over as TCP is."""
    with use_framing_mode(draft.name):
        async with listening_at(path):
            async with open_websocket(NOWHERE, draft=draft, unix_socket=path) as client:
                assert not isinstance(client._endpoint.stream, trio.SocketStream)
                await client.send("hello")
                assert await client.receive() == "hello"


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
async def test_paths(path: Path, kind: Any) -> None:
    async with listening_at(path):
        async with open_websocket(NOWHERE, draft="auto", unix_socket=kind(path)) as client:
            await client.send("hello")
            assert await client.receive() == "hello"


async def test_tls_over_a_unix_socket(
    path: Path, server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    async with listening_at(path, ssl_context=server_ssl):
        settings: dict[str, Any] = {"unix_socket": path, "ssl_context": client_ssl}
        async with open_websocket("wss://localhost/", draft="rfc6455", **settings) as client:
            await client.send("hello")
            assert await client.receive() == "hello"


@pytest.mark.parametrize("there", [False, True])
async def test_nobody_listens_there(path: Path, there: bool) -> None:
    if there:
        await trio.Path(path).write_text("no socket")
    why = "Connection refused" if there else "No such file or directory"
    with pytest.raises(DialFailed, match=why) as caught:
        async with open_websocket(NOWHERE, unix_socket=path):
            raise AssertionError("there is no connection")
    assert f"no connection to the Unix socket '{path}': " in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


async def test_too_many_wait_there(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(str(path))
        listener.listen(0)
        other.connect(str(path))
        # The BSDs refuse.
        with pytest.raises(DialFailed, match=r"too many wait there already|refused") as caught:
            async with open_websocket(NOWHERE, unix_socket=path):
                raise AssertionError("there is no connection")
    assert is_transient(caught.value)


# Who is told what


async def test_the_url_on_either_side() -> None:
    """On a server it is what was asked for; a client's says no user."""
    urls: list[str] = []

    async def handler(connection: Any, state: object) -> None:
        urls.append(connection.url)

    async with serving(handler) as server:
        url = f"ws://127.0.0.1:{server.port}/a?b"
        with_user = url.replace("//", "//me:secret@")
        async with open_websocket(with_user, draft="rfc6455") as client:
            assert client.url == url
            await client.wait_readable()
    assert urls == [url]


async def test_redirect_to_nowhere_is_a_failure_to_dial() -> None:
    """Through the way of the new place, and with its name."""

    async def behave(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(
            b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        )

    async with raw_server(behave) as port:
        with pytest.raises(DialFailed, match=r"127\.0\.0\.1 port 1"):
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft="rfc6455"):
                raise AssertionError("there is no connection")
