"""Openings that end too early, never end, or come late: a clear error for each, in time."""

from __future__ import annotations

import logging
import ssl
from typing import Any

import pytest
import trio
import trio.testing

from trio_draftws import (
    Draft,
    HandshakeError,
    HandshakeTimeout,
    HeaderFields,
    Reject,
    Request,
    RequestRefused,
    accept,
)
from trio_draftws.drafts import HandshakeRequest, WebSocketURL

from .turns import each_draft, in_turn
from .wire import (
    KEY3,
    PROOF,
    answer_to,
    dial,
    echo,
    read_to_end,
    request,
    request_13,
    reset_when_closed,
    server_with_a_healthy_client,
    serving,
)


@pytest.mark.parametrize("said", [b"", b"G", request()[:-3]], ids=["nothing", "a byte", "a head"])
async def test_a_client_that_vanishes(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with server_with_a_healthy_client() as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(said)
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    how_far = f", after {len(said)} bytes of it" if said else ""
    assert record.message.endswith(
        f": the peer ended the stream within the opening handshake{how_far}"
    )


async def test_a_client_that_vanishes_before_its_eight_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with server_with_a_healthy_client() as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(request() + KEY3[:7])
                await stream.send_eof()
                said = await read_to_end(stream)
            await trio.testing.wait_all_tasks_blocked()
    assert said.startswith(b"HTTP/1.1 101 ")
    assert said.endswith(b"\r\n\r\n")
    [record] = caplog.records
    assert record.message.endswith("after 7 bytes of it")


async def test_a_client_that_resets_while_conn_headers_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_reset = trio.Event()

    async def conn_headers(asked: Request) -> tuple[HeaderFields, Any]:
        if asked.path == "/bad":
            await is_reset.wait()
        return (), None

    async with server_with_a_healthy_client(conn_headers=conn_headers) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream:
                await stream.send_all(request("GET /bad HTTP/1.1") + KEY3)
                await trio.testing.wait_all_tasks_blocked()
                reset_when_closed(stream)
            is_reset.set()
            await trio.testing.wait_all_tasks_blocked()
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert "the connection broke within the opening handshake" in record.message


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"", b"HTTP/1.1 503 Service Unavailable"),
        (request()[:-2], b"HTTP/1.1 503 Service Unavailable"),
        # Past the head there is no HTTP any more in which to say it.
        (request(), b"HTTP/1.1 101 WebSocket Protocol Handshake"),
    ],
    ids=["nothing", "half a head", "a head"],
)
async def test_an_opening_that_the_servers_end_cuts_short(said: bytes, answer: bytes) -> None:
    async with serving() as server:
        async with await dial(server) as stream, trio.open_nursery() as nursery:
            await stream.send_all(said)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(server.aclose)
            assert (await read_to_end(stream)).partition(b"\r\n")[0] == answer


def client_hello() -> bytes:
    """How a TLS client begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


NEVER_DONE = {
    "nothing": b"",
    "a head that never ends": b"GET / HTTP/1.1\r\nHost: example.com\r\n",
}


@pytest.mark.parametrize("said", NEVER_DONE.values(), ids=NEVER_DONE)
async def test_an_opening_that_is_never_done(
    said: bytes, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is closed at the deadline, with no answer, as there was no request."""
    async with server_with_a_healthy_client(handshake_timeout=10) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream, trio.open_nursery() as nursery:
                heard: list[bytes] = []

                async def read() -> None:
                    heard.append(await read_to_end(stream))

                await stream.send_all(said)
                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(9)
                await trio.testing.wait_all_tasks_blocked()
                assert heard == []
                mock_clock.jump(2)
            await trio.testing.wait_all_tasks_blocked()
    assert heard == [b""]
    [record] = caplog.records
    assert record.message.endswith("the opening handshake was not done within 10 s")


@pytest.mark.parametrize(
    "said",
    [client_hello(), bytes(range(256)), b"\r\n\r\n", b"\n", b"\r\r"],
    ids=["TLS", "garbage", "blank lines", "LF", "CR"],
)
async def test_what_cannot_become_http_is_refused_at_once(said: bytes) -> None:
    async with server_with_a_healthy_client() as server, await dial(server) as stream:
        await stream.send_all(said)
        await stream.send_eof()
        answer = await read_to_end(stream)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\n\r\nexpected HTTP, got " in answer


@in_turn("size", [1, 1000])
@each_draft
async def test_one_empty_line_is_skipped(draft: Draft, size: int) -> None:
    """RFC 9112 section 2.2: some clients send one behind the request before."""
    client, stream = trio.testing.memory_stream_pair()
    opening = draft.opening.ask(HandshakeRequest(WebSocketURL.parse("ws://a/")), draft.subprotocols)
    said = b"\r\n" + opening.request()
    async with trio.open_nursery() as nursery:

        async def say() -> None:
            for begin in range(0, len(said), size):
                await client.send_all(said[begin : begin + size])
                await trio.testing.wait_all_tasks_blocked()
            await client.send_eof()

        nursery.start_soon(say)
        async with accept(stream, drafts=[draft]) as connection:
            assert connection.draft is draft
            assert connection.line.startswith(b"GET / HTTP/1.1")


async def test_two_requests_that_differ_in_an_empty_line_before_them() -> None:
    async with serving() as server:
        for said in (request_13(), b"\r\n" + request_13()):
            async with await dial(server) as stream:
                await stream.send_all(said)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 101 ")
        assert (await answer_to(server, b"\r\n\r\n" + request_13())).startswith(b"HTTP/1.1 400 ")


@in_turn("size", [1, 1000])
async def test_an_odd_method_is_refused_however_it_comes(size: int) -> None:
    """It may begin with anything that a token may; so it is not what is wrong before the end."""
    said = request().replace(b"GET ", b"1!GET ")
    client, stream = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def say() -> None:
            for begin in range(0, len(said), size):
                await client.send_all(said[begin : begin + size])
                await trio.testing.wait_all_tasks_blocked()
            # Else the server would wait for what else may come.
            await client.send_eof()

        nursery.start_soon(say)
        with pytest.raises(RequestRefused) as caught:
            async with accept(stream):
                raise AssertionError("there is no connection")
    assert caught.value.status == 405


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"], ids=["none", "half"])
async def test_a_head_that_never_ends(said: bytes, autojump_clock: trio.testing.MockClock) -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(said)
    with pytest.raises(HandshakeTimeout, match="not done within 7 s") as caught:
        async with accept(stream, handshake_timeout=7):
            raise AssertionError("there is no connection")
    assert isinstance(caught.value, (HandshakeError, trio.TooSlowError))
    assert trio.current_time() == 7
    assert await read_to_end(client) == b""


async def test_a_head_that_trickles_has_the_same_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client, stream = trio.testing.memory_stream_pair()

    async def trickle() -> None:
        for byte in request(Cookie="x" * 1000):
            await client.send_all(bytes([byte]))
            await trio.sleep(0.1)

    async def trickle_until_cut_off() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await trickle()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle_until_cut_off)
        with pytest.raises(HandshakeTimeout):
            async with accept(stream, handshake_timeout=7):
                raise AssertionError("there is no connection")
        assert trio.current_time() == 7


async def test_eight_bytes_that_never_come(autojump_clock: trio.testing.MockClock) -> None:
    """The 101 goes out first, since a proxy may hold the eight back until it sees that."""
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request())
    with pytest.raises(HandshakeTimeout):
        async with accept(stream, handshake_timeout=7):
            raise AssertionError("there is no connection")
    assert trio.current_time() == 7
    said = await read_to_end(client)
    assert said.startswith(b"HTTP/1.1 101 ")
    assert said.endswith(b"\r\n\r\n")


async def test_eight_bytes_that_come_late() -> None:
    client, stream = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            async with accept(stream) as server:
                await echo(server)

        nursery.start_soon(serve)
        await client.send_all(request())
        await trio.testing.wait_all_tasks_blocked()
        for byte in KEY3:
            await client.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        await client.send_all(b"\xff\x00")
        said = await read_to_end(client)
    assert said.endswith(b"\r\n\r\n" + PROOF + b"\xff\x00")


async def test_accept_says_what_was_refused() -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request(Sec_WebSocket_Key1="1"))
    await client.send_eof()
    with pytest.raises(RequestRefused, match="status 400: Sec-WebSocket-Key1 `1`: ") as caught:
        async with accept(stream):
            raise AssertionError("there is no connection")
    assert caught.value.status == 400
    assert caught.value.reason == "Sec-WebSocket-Key1 `1`: it has no spaces."
    assert isinstance(caught.value.__cause__, Reject)
    assert (await read_to_end(client)).startswith(b"HTTP/1.1 400 ")
