"""A server that sends its client elsewhere: where nobody goes, and what stays behind."""

from __future__ import annotations

import base64
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.redirecting import FOLLOWED, echo_once, noting, redirect, sending_on
from tests.rows import each_row, in_turn
from tests.wire import raw_server, read_request, read_to_end
from trio_draftws import Draft, RedirectRefused, Rejected, open_websocket

SECRETS = {"Authorization": "Bearer secret", "Proxy-Authorization": "Basic secret"}
COOKIES = {"session": "secret"}


async def refused(url: str, kind: type[Rejected] = RedirectRefused, **settings: Any) -> Rejected:
    with pytest.raises(kind) as caught:
        async with open_websocket(url, **settings):
            raise AssertionError("there is no connection")
    return caught.value


# What goes along


@pytest.mark.parametrize("kind", ["headers", "auth", "URL"])
async def test_credentials_stay_behind_at_another_origin(kind: str) -> None:
    """A host by another name, or another port, is another origin."""
    credentials: dict[str, Any] = {"cookies": COOKIES}
    before = ""
    if kind == "headers":
        credentials["headers"] = {**SECRETS, "Cookie": "session=secret", "X-Other": "kept"}
        del credentials["cookies"]
    elif kind == "auth":
        credentials["auth"] = ("me", "secret")
    else:
        before = "me:secret@"
    async with noting() as (there, asked):
        async with sending_on(f"ws://you:theirs@127.0.0.1:{there}/") as (here, heads):
            url = f"ws://{before}127.0.0.1:{here}/"
            async with open_websocket(url, draft="rfc6455", **credentials) as connection:
                await echo_once(connection)
    secret = base64.b64encode(b"me:secret")
    assert b"secret" in heads[0] or secret in heads[0]
    assert b"Cookie: session=secret" in heads[0]
    [request] = asked
    for name in ("Authorization", "Cookie", "Proxy-Authorization"):
        assert name not in request.headers
    assert request.headers.get("X-Other") == ("kept" if kind == "headers" else None)


async def test_credentials_stay_at_the_same_origin() -> None:
    """And once left behind, they stay so where another redirect leads back."""
    heads: list[bytes] = []
    ports: list[int] = []

    async def behave(stream: trio.SocketStream) -> None:
        heads.append((await read_request(stream, 0))[0])
        where = ["/two", f"ws://localhost:{ports[0]}/three", f"ws://127.0.0.1:{ports[0]}/four"]
        if len(heads) <= len(where):
            await stream.send_all(redirect(where[len(heads) - 1]))

    async with raw_server(behave) as port:
        ports.append(port)
        url = f"ws://127.0.0.1:{port}/one"
        with pytest.raises(Exception, match="the peer ended the stream"):
            async with open_websocket(url, draft="rfc6455", auth=("me", "secret"), cookies=COOKIES):
                raise AssertionError("there is no connection")
    named = [b"Authorization:" in head and b"Cookie:" in head for head in heads]
    assert named == [True, True, False, False]
    assert b"Cookie:" not in heads[2] + heads[3]
    assert b"Authorization:" not in heads[2] + heads[3]


# What is not followed


@in_turn(status=(300, *FOLLOWED))
async def test_none_is_followed_if_so_told(status: int, draft: Draft) -> None:
    """Its address is told, and not dialled; also where it is of the same host."""
    async with noting() as (there, asked):
        location = f"ws://127.0.0.1:{there}/"
        async with sending_on(location, draft, status) as (here, heads):
            url = f"ws://127.0.0.1:{here}/"
            most = 5 if status == 300 else 0
            error = await refused(url, Rejected, draft=draft, headers=SECRETS, max_redirects=most)
    assert type(error) is Rejected
    assert (error.status, error.headers["Location"]) == (status, location)
    assert (len(heads), asked) == (1, [])


async def test_climbing_down_is_no_way_round_it() -> None:
    async with sending_on("ws://evil.example/") as (here, heads):
        url = f"ws://127.0.0.1:{here}/"
        await refused(url, Rejected, draft="auto", headers=SECRETS, max_redirects=0)
    assert len(heads) == 1


async def test_nobody_goes_from_wss_to_ws(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    async with noting() as (there, asked):

        async def behave(stream: trio.SocketStream) -> None:
            dressed = trio.SSLStream(stream, server_ssl, server_side=True, https_compatible=True)
            await read_request(dressed, 0)
            await dressed.send_all(redirect(f"http://127.0.0.1:{there}/"))

        async with raw_server(behave) as here:
            error = await refused(
                f"wss://127.0.0.1:{here}/", draft="rfc6455", ssl_context=client_ssl
            )
    assert "it leads from wss to ws" in str(error)
    assert asked == []


async def test_there_are_not_too_many() -> None:
    async with sending_on(lambda count: f"/{count}") as (here, heads):
        url = f"ws://127.0.0.1:{here}/"
        error = await refused(url, draft="rfc6455", max_redirects=3)
    assert "there were 3 before it" in str(error)
    assert len(heads) == 4


@pytest.mark.parametrize("location", ["/start", "http://127.0.0.1:{port}/start#again"])
async def test_a_circle(location: str) -> None:
    ports: list[int] = []
    async with sending_on(lambda count: location.format(port=ports[0])) as (here, heads):
        ports.append(here)
        error = await refused(f"ws://127.0.0.1:{here}/start", draft="rfc6455")
    assert f"it leads in a circle, back to ws://127.0.0.1:{here}" in str(error)
    assert len(heads) == 1


@pytest.mark.parametrize(
    "location",
    ["ftp://h/", "file:///etc/passwd", "ws://h:0/", "http://[::1/", "mailto:a", "ws://a%20b/"],
)
async def test_where_there_is_no_websocket(location: str) -> None:
    async with sending_on(location) as (here, _):
        url = f"ws://127.0.0.1:{here}/"
        error = await refused(url, draft="rfc6455")
    assert "not a WebSocket URL" in str(error) or "Invalid IPv6 URL" in str(error)
    assert error.status == 302


@each_row("letter", list(' "<>\\^`{|}'))
@pytest.mark.parametrize(
    "location",
    [
        "/{}evil.example/",
        "ws://127.0.0.1{}@evil.example/",
        "ws:{0}{0}evil.example",
        "/?{}x",
        "a{}b",
    ],
)
async def test_what_no_url_may_hold(location: str, letter: str) -> None:
    """For a browser `/\\evil.example/` is another host, for others a path."""
    async with sending_on(location.format(letter)) as (here, heads):
        error = await refused(f"ws://127.0.0.1:{here}/", draft="rfc6455")
    assert f"its Location holds {letter!r}, which no URL may hold" in str(error)
    assert len(heads) == 1


async def test_several_places() -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(redirect("/one\r\nLocation: /two"))

    async with raw_server(behave) as here:
        error = await refused(f"ws://127.0.0.1:{here}/", draft="rfc6455")
    assert "several places" in str(error)


@pytest.mark.parametrize("way", ["stream", "stream_factory", "unix_socket"])
async def test_not_where_the_way_there_is_the_callers(way: str) -> None:
    """What leads to one server may not lead to another."""

    async def undressed(stream: trio.abc.Stream) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return stream

    async with sending_on("/new") as (here, heads), at_a_unix_socket(here) as path:
        settings: dict[str, Any] = {"stream_factory": undressed, "unix_socket": path}
        if way == "stream":
            settings[way] = await trio.open_tcp_stream("127.0.0.1", here)
        url = f"ws://127.0.0.1:{here}/"
        error = await refused(url, Rejected, draft="rfc6455", **{way: settings[way]})
    assert type(error) is Rejected
    assert len(heads) == 1


@asynccontextmanager
async def at_a_unix_socket(port: int) -> AsyncIterator[str]:
    """What listens on that port, at a Unix socket as well; gives its path."""

    async def visit(stream: trio.SocketStream) -> None:
        async with stream, await trio.open_tcp_stream("127.0.0.1", port) as inner:
            await inner.send_all(await stream.receive_some())
            await stream.send_all(await read_to_end(inner))

    with tempfile.TemporaryDirectory() as folder:
        socket = trio.socket.socket(trio.socket.AF_UNIX)
        await socket.bind(path := f"{folder}/socket")
        socket.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, visit, [trio.SocketListener(socket)])
            yield path
            nursery.cancel_scope.cancel()


async def test_no_secret_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with sending_on("/again") as (here, _):
        url = f"ws://me:secret@127.0.0.1:{here}/again"
        error = await refused(url, draft="rfc6455", cookies={"session": "secret"})
    told = f"{error!s} {error!r} {caplog.text}"
    assert "secret" not in told
    assert base64.b64encode(b"me:secret").decode() not in told
