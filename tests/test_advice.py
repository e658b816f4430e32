"""What a first attempt that fails is told: which draft, which scheme."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.peers.catalogue import SERVERS, Peer, PeerServers, require
from trio_draftws import (
    Connection,
    HandshakeError,
    InvalidAnswer,
    Rejected,
    TLSFailed,
    open_websocket,
    reconnecting,
)

from .rows import each_row
from .wire import raw_server, read_request, serving

if TYPE_CHECKING:
    from typing_extensions import assert_type

MODERN = [peer for peer in SERVERS if "hixie-76" not in peer.drafts]


@pytest.fixture(scope="module")
def servers() -> Iterator[PeerServers]:
    with closing(PeerServers()) as servers:
        yield servers


async def failure(url: str, **settings: Any) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        async with open_websocket(url, **settings):
            raise AssertionError("there is no connection")
    return caught.value


@pytest.mark.parametrize("peer", MODERN, ids=lambda peer: peer.name)
@pytest.mark.parametrize("draft", ["hixie-76", "hixie-75"])
async def test_a_server_of_today(servers: PeerServers, peer: Peer, draft: str) -> None:
    """Whoever names a draft of 2010 is told what it speaks; the advice is right."""
    require(peer)
    with servers.running(peer) as server:
        error = await failure(server.url, draft=draft)
        assert f"it was asked in {draft}: " in str(error)
        assert 'draft="rfc6455"' in str(error)
        async with open_websocket(server.url, draft="rfc6455") as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"


@pytest.mark.parametrize("peer", MODERN, ids=lambda peer: peer.name)
async def test_a_first_program_and_a_server_of_today(servers: PeerServers, peer: Peer) -> None:
    """It names no draft, and needs none."""
    require(peer)
    with servers.running(peer) as server:
        async with open_websocket(server.url) as connection:
            await connection.send("hello")
            assert await connection.receive() == "hello"


@pytest.mark.parametrize(
    ("asked", "spoken", "advice"),
    [
        ("old", ["rfc6455"], 'it was asked in hixie-76: the server speaks draft="rfc6455"'),
        ("rfc6455", ["hybi-08"], 'the server speaks draft="hybi-11" or draft="hybi-08"'),
        ("rfc6455", ["hixie-76"], 'asked in rfc6455: draft="auto" tries the older ones too'),
        ("hybi-07", ["rfc6455", "hybi-04"], 'speaks draft="rfc6455" or draft="hybi-04"'),
    ],
)
async def test_a_server_of_ours(asked: str, spoken: list[str], advice: str) -> None:
    """It names the versions that it speaks, where they have numbers."""
    async with serving(drafts=spoken) as server:
        error = await failure(f"ws://127.0.0.1:{server.port}/", draft=asked)
    assert advice in str(error)
    assert error.advice in str(error)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
async def test_a_refusal_that_is_not_about_the_draft(status: int) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream)
        await stream.send_all(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    async with raw_server(behave) as port:
        error = await failure(f"ws://127.0.0.1:{port}/")
    assert isinstance(error, Rejected)
    assert error.advice == ""
    assert str(error) == f"the server refused with status {status}"


async def test_climbing_down_needs_no_advice() -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(behave) as port:
        error = await failure(f"ws://127.0.0.1:{port}/", draft="auto")
    assert error.advice == ""


@pytest.mark.parametrize("draft", ["hixie-75", "hixie-76", "hybi-01"])
async def test_an_answer_of_another_draft(draft: str) -> None:
    """Some servers do not look which draft it is; without its proof a client would wait."""

    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        await stream.receive_some()

    async with raw_server(behave) as port:
        error = await failure(f"ws://127.0.0.1:{port}/", draft=draft)
    assert isinstance(error, InvalidAnswer)
    assert "received 'a later one'" in str(error)
    assert 'draft="rfc6455"' in str(error)


PAGE = b"<!DOCTYPE html><title>Hello</title>"
ADVICE = "it answers with a web page: is the path right?"


@pytest.mark.parametrize("draft", [None, "rfc6455", "auto"])
@each_row(
    "head, body, is_page",
    [
        (b"200 OK\r\nContent-Type: text/html", PAGE, True),
        (b"200 OK\r\nContent-Type: Text/HTML ; charset=utf-8", b"Hello", True),
        (b"203 OK\r\nContent-Type: application/xhtml+xml", b"", True),
        (b"200 OK", PAGE, True),
        (b"200 OK", b" \n<HTML lang=en>", True),
        (b"200 OK", b"<htmlx>", False),
        (b"200 OK", b"hello", False),
        (b"200 OK\r\nContent-Type: text/plain", PAGE, False),
        (b"200 OK\r\nContent-Type: application/json", b"{}", False),
        (b"404 Not Found\r\nContent-Type: text/html", PAGE, False),
        (b"502 Bad Gateway\r\nContent-Type: text/html", PAGE, False),
    ],
)
async def test_a_page(draft: str | None, head: bytes, body: bytes, is_page: bool) -> None:
    """As from a server that ignores the upgrade; to which draft is no question then."""

    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        fields = b"Content-Length: %d" % len(body)
        await stream.send_all(b"HTTP/1.1 " + b"\r\n".join([head, fields, b"", body]))

    async with raw_server(behave) as port:
        error = await failure(f"ws://127.0.0.1:{port}/", draft=draft)
    assert isinstance(error, Rejected)
    assert error.advice == (ADVICE if is_page else "")
    assert (f"({ADVICE})" in str(error)) is is_page


async def test_a_page_of_400() -> None:
    """There the question is the draft."""

    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, 0)
        head = b"HTTP/1.1 400 No\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n"
        await stream.send_all(head)

    async with raw_server(behave) as port:
        error = await failure(f"ws://127.0.0.1:{port}/", draft="hixie-75")
    assert 'draft="rfc6455"' in error.advice


# ws and wss


@pytest.mark.parametrize("draft", [None, "rfc6455"])
async def test_ws_where_tls_is_spoken(
    draft: str | None, server_ssl: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_draftws")
    async with serving(ssl_context=server_ssl) as server:
        error = await failure(f"ws://127.0.0.1:{server.port}/", draft=draft)
    assert "where TLS is spoken it takes wss" in str(error)
    assert "a request came without TLS: its URL should begin with wss" in caplog.text


async def test_ws_where_a_tls_alert_answers() -> None:
    """Then it is certain, and nothing is said of drafts."""

    async def behave(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"\x15\x03\x01\x00\x02\x02\x46")

    async with raw_server(behave) as port:
        error = await failure(f"ws://127.0.0.1:{port}/")
    assert "got a TLS alert: that port speaks wss, not ws" in str(error)
    assert error.advice == ""


async def test_wss_where_no_tls_is_spoken(
    client_ssl: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trio_draftws")
    async with serving() as server:
        url = f"wss://127.0.0.1:{server.port}/"
        error = await failure(url, ssl_context=client_ssl)
    assert isinstance(error, TLSFailed)
    assert "the peer does not speak TLS there: ws in place of wss?" in str(error)
    assert "got a TLS handshake: this port speaks ws, not wss" in caplog.text


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://h/path", "ws://h/path"),
        ("https://h/", "wss://h/"),
        ("HTTP://h:80/", "ws://h:80/"),
    ],
)
async def test_the_scheme_of_a_page(url: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"; write '{meant}'$"):
        async with open_websocket(url):
            raise AssertionError("there is no connection")


# What editors are told


if TYPE_CHECKING:

    async def types(url: str) -> None:
        async with open_websocket(url) as connection:
            assert_type(connection, Connection)
            assert_type(await connection.receive(), str | bytes)
            assert_type(await connection.text.receive(), str)
            async for text in connection.text:
                assert_type(text, str)
        async with reconnecting(url) as connections:
            async for connection in connections:
                assert_type(connection, Connection)
