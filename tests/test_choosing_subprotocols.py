"""`subprotocols=` as a function of the request: when it is called, and what it may do."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
import trio.testing

from trio_draftws import (
    Reject,
    Rejected,
    Request,
    RequestRefused,
    accept,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.testing import connected_pair

from .rows import each_row
from .wire import echo, request_13, serving

# These have between them each opening that there is.
DRAFTS = ["hixie-75", "hixie-76", "hybi-02", "hybi-05", "rfc6455"]


@each_row("draft", DRAFTS)
async def test_it_sees_the_request(draft: str) -> None:
    """After `conn_headers`, with what the path says; once for each client, in every draft."""
    told: list[Any] = []

    async def conn_headers(request: Request) -> tuple[dict[str, str], None]:
        told.append("conn_headers")
        return {}, None

    def choose(request: Request) -> str | None:
        told.append((request.path_params, request.headers["X-Name"], request.subprotocols))
        return "v2" if request.query == "new" and "v2" in request.subprotocols else None

    async with serving({"/{room}": echo}, conn_headers=conn_headers, subprotocols=choose) as server:
        for query, asked, agreed in (("new", ["v2"], "v2"), ("new", [], None)):
            url = f"ws://127.0.0.1:{server.port}/blue?{query}"
            with use_framing_mode(draft):
                async with open_websocket(
                    url, draft=draft, subprotocols=asked, headers={"X-Name": "a"}
                ) as client:
                    assert client.subprotocol == agreed
                    [other] = server.connections
                    assert other.subprotocol == agreed
            assert told == ["conn_headers", ({"room": "blue"}, "a", tuple(asked))]
            told.clear()


async def test_over_tls(server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext) -> None:
    """There the full parser reads every request."""

    def choose(request: Request) -> str | None:
        return "secret" if request.secure else None

    async with serving(subprotocols=choose, ssl_context=server_ssl) as server:
        async with open_websocket(
            f"wss://localhost:{server.port}/",
            draft="rfc6455",
            subprotocols=["plain", "secret"],
            ssl_context=client_ssl,
        ) as client:
            assert client.subprotocol == "secret"


@each_row("draft", DRAFTS)
async def test_it_may_refuse_those_that_offer_none(draft: str) -> None:
    def demand(request: Request) -> str:
        if not request.subprotocols:
            raise Reject(400, body="Ask for one.\n")
        return request.subprotocols[0]

    with use_framing_mode(draft):
        async with serving(subprotocols=demand) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft=draft, subprotocols=["a"]) as client:
                assert client.subprotocol == "a"
            with pytest.raises(Rejected) as caught:
                async with open_websocket(url, draft=draft):
                    raise AssertionError("there is no connection")
    assert (caught.value.status, caught.value.body) == (400, b"Ask for one.\n")


async def coroutine() -> str:
    return "a"


@each_row(
    "choose, error, why",
    [
        (lambda request: "b", ValueError, "subprotocols returned 'b' for a client that offers"),
        (lambda request: b"a", ValueError, "returned b'a' for a client that offers ['a', 'c']; it"),
        (lambda request: ["a"], ValueError, "returned ['a'] for a client"),
        # As of the time when it was called with the names
        (lambda asked: asked[0], TypeError, "'Request' object is not subscriptable"),
        (lambda request: coroutine(), TypeError, "subprotocols answers at once, but what it"),
    ],
)
async def test_what_it_must_not_do(
    choose: Callable[[Any], Any], error: type[Exception], why: str
) -> None:
    """The client gets 500; `accept` raises what it was."""
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13(Sec_WebSocket_Protocol="a, c"))
    await client.send_eof()
    with pytest.raises(error) as caught:
        async with accept(stream, subprotocols=choose):
            raise AssertionError("there is no connection")
    assert why in str(caught.value)
    assert (await client.receive_some()).startswith(b"HTTP/1.1 500 ")


async def test_in_memory() -> None:
    def choose(request: Request) -> str | None:
        return request.path.removeprefix("/")

    async with connected_pair(
        url="ws://localhost/b", subprotocols=["a", "b"], agreed_subprotocols=choose
    ) as (client, server):
        assert client.subprotocol == server.subprotocol == "b"
    with pytest.raises(Rejected, match="400"):
        async with connected_pair(agreed_subprotocols=refuse):
            raise AssertionError("there is no connection")


def refuse(request: Request) -> None:
    raise Reject(400)


async def test_accept_may_refuse() -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13())
    await client.send_eof()
    with pytest.raises(RequestRefused, match="status 400"):
        async with accept(stream, subprotocols=refuse):
            raise AssertionError("there is no connection")
