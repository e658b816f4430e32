"""A server that sends its client elsewhere: how far it gets, and what goes along."""

from __future__ import annotations

import base64
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.wire import raw_server, read_request, serving
from trio_draftws import (
    Connection,
    Draft,
    HeaderFields,
    RedirectRefused,
    Rejected,
    Request,
    open_websocket,
    use_framing_mode,
)

SECRETS = {"Authorization": "Bearer secret", "Proxy-Authorization": "Basic secret"}
COOKIES = {"session": "secret"}
FOLLOWED = [301, 302, 303, 307, 308]


def redirect(location: str, status: int = 302) -> bytes:
    head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    return head.encode()


@asynccontextmanager
async def sending_on(
    location: str | Callable[[int], str], draft: Draft | None = None, status: int = 302
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that sends everybody on; gives its port, and the heads that came."""
    heads: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        body = draft.opening.request_body if draft is not None else 0
        heads.append((await read_request(stream, body))[0])
        where = location if isinstance(location, str) else location(len(heads))
        await stream.send_all(redirect(where, status))

    async with raw_server(behave) as port:
        yield port, heads


@asynccontextmanager
async def noting(**settings: Any) -> AsyncIterator[tuple[int, list[Request]]]:
    """A server of ours; gives its port, and the requests that came."""
    asked: list[Request] = []

    async def conn_headers(request: Request) -> tuple[HeaderFields, Any]:
        asked.append(request)
        return (), None

    async with serving(conn_headers=conn_headers, **settings) as server:
        assert server.port is not None
        yield server.port, asked


async def echo_once(connection: Connection) -> None:
    await connection.send("hello")
    assert await connection.receive() == "hello"


async def refused(url: str, kind: type[Rejected] = RedirectRefused, **settings: Any) -> Rejected:
    with pytest.raises(kind) as caught:
        async with open_websocket(url, **settings):
            raise AssertionError("there is no connection")
    return caught.value


# What is followed


@pytest.mark.parametrize("status", FOLLOWED)
async def test_a_redirect_is_followed(status: int) -> None:
    async with noting() as (there, asked):
        async with sending_on(f"ws://localhost:{there}/new?q", status=status) as (here, heads):
            url = f"ws://127.0.0.1:{here}/old"
            async with open_websocket(url, draft="rfc6455") as connection:
                await echo_once(connection)
                assert connection.url == f"ws://localhost:{there}/new?q"
    assert len(heads) == 1
    assert [request.target for request in asked] == ["/new?q"]
    assert asked[0].host == f"localhost:{there}"


async def test_in_every_draft(draft: Draft) -> None:
    with use_framing_mode(draft.name):
        async with noting() as (there, asked):
            async with sending_on(f"ws://127.0.0.1:{there}/", draft) as (here, _):
                async with open_websocket(f"ws://127.0.0.1:{here}/", draft=draft) as connection:
                    await echo_once(connection)
    assert [request.draft for request in asked] == [draft]


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("new", "/a/new"),
        ("/new?x=1", "/new?x=1"),
        ("../new", "/new"),
        ("?q", "/a/b?q"),
        ("//127.0.0.1:{port}/new", "/new"),
        ("http://127.0.0.1:{port}/new", "/new"),
        ("WS://127.0.0.1:{port}/new#part", "/new"),
        ("/n\u00e9w", "/n%C3%A9w"),
    ],
)
async def test_relative_to_where_it_came_from(location: str, target: str) -> None:
    """RFC 3986 section 5; a page's scheme stands for the WebSocket's, a fragment for nothing."""
    heads: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        heads.append((await read_request(stream, 0))[0])
        if len(heads) == 1:
            await stream.send_all(redirect(location.format(port=ports[0])))

    ports: list[int] = []
    async with raw_server(behave) as port:
        ports.append(port)
        with pytest.raises(Exception, match="the peer ended the stream"):
            async with open_websocket(f"ws://127.0.0.1:{port}/a/b?old", draft="rfc6455"):
                raise AssertionError("there is no connection")
    assert heads[1].startswith(f"GET {target} HTTP/1.1\r\n".encode())


async def test_the_ladder_begins_anew_there() -> None:
    """Who redirects says nothing of the drafts, and at the new place each is tried."""
    with use_framing_mode("hixie-76"):
        async with noting(drafts=["hixie-76"]) as (there, _):
            async with sending_on(f"ws://127.0.0.1:{there}/") as (here, heads):
                url = f"ws://127.0.0.1:{here}/"
                async with open_websocket(url, draft="auto") as connection:
                    assert connection.draft.name == "hixie-76"
                    await echo_once(connection)
    assert len(heads) == 1


async def test_from_ws_to_wss(server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    """With the certificate checked for the name of the new place."""
    async with noting(ssl_context=server_ssl) as (there, asked):
        async with sending_on(f"https://localhost:{there}/") as (here, _):
            url = f"ws://127.0.0.1:{here}/"
            async with open_websocket(url, draft="rfc6455", ssl_context=client_ssl) as connection:
                await echo_once(connection)
    assert asked[0].secure


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


@pytest.mark.parametrize("status", [300, *FOLLOWED])
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
    ["ftp://h/", "file:///etc/passwd", "ws://h:0/", "http://[::1/", "mailto:a", "ws://a b/"],
)
async def test_where_there_is_no_websocket(location: str) -> None:
    async with sending_on(location) as (here, _):
        url = f"ws://127.0.0.1:{here}/"
        error = await refused(url, draft="rfc6455")
    assert "not a WebSocket URL" in str(error) or "Invalid IPv6 URL" in str(error)
    assert error.status == 302


async def test_several_places() -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(redirect("/one\r\nLocation: /two"))

    async with raw_server(behave) as here:
        error = await refused(f"ws://127.0.0.1:{here}/", draft="rfc6455")
    assert "several places" in str(error)


@pytest.mark.parametrize("way", ["stream", "stream_factory"])
async def test_not_where_the_way_there_is_the_callers(way: str) -> None:
    """What leads to one server may not lead to another."""

    async def undressed(stream: trio.abc.Stream) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return stream

    async with sending_on("/new") as (here, heads):
        settings: dict[str, Any] = {"stream_factory": undressed}
        if way == "stream":
            settings = {"stream": await trio.open_tcp_stream("127.0.0.1", here)}
        error = await refused(f"ws://127.0.0.1:{here}/", Rejected, draft="rfc6455", **settings)
    assert type(error) is Rejected
    assert len(heads) == 1


async def test_no_secret_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with sending_on("/again") as (here, _):
        url = f"ws://me:secret@127.0.0.1:{here}/again"
        error = await refused(url, draft="rfc6455", cookies={"session": "secret"})
    told = f"{error!s} {error!r} {caplog.text}"
    assert "secret" not in told
    assert base64.b64encode(b"me:secret").decode() not in told
