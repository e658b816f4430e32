"""A redirect is followed, in every draft; tests/attacks/test_redirects.py says which are not."""

from __future__ import annotations

import ssl

import pytest
import trio

from trio_draftws import DialFailed, Draft, Rejected, open_websocket, use_framing_mode

from .redirecting import FOLLOWED, echo_once, noting, redirect, sending_on
from .rows import drafts_that_differ_most
from .wire import raw_server, read_request

draft = drafts_that_differ_most()


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


async def test_a_failure_behind_it_says_so() -> None:
    """The caller never asked for that place."""
    async with sending_on("ws://127.0.0.1:1/login") as (here, _):
        with pytest.raises(DialFailed, match=r"a redirect led to ws://127\.0\.0\.1:1/login"):
            async with open_websocket(f"ws://127.0.0.1:{here}/", draft="rfc6455"):
                pass


async def test_a_refusal_behind_it_says_so() -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(behave) as there:
        place = f"ws://127.0.0.1:{there}/login"
        async with sending_on(place) as (here, _):
            with pytest.raises(Rejected, match=f"a redirect led to {place}"):
                async with open_websocket(f"ws://127.0.0.1:{here}/", draft="rfc6455"):
                    pass
