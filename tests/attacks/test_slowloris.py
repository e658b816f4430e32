"""A peer that says just enough to be waited for: one deadline over TLS, head and body together.

These deadlines are short and really awaited.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.wire import KEY3, dial, raw_server, read_request, request, request_13, serving, take_up
from trio_draftws import Draft, HandshakeTimeout, open_websocket, use_framing_mode
from trio_draftws.drafts import draft_named

TIMEOUT = 0.3
# Above that, the peer would have been waited for anew after some of its bytes.
TOO_LONG = 3


@asynccontextmanager
async def ends_in_time() -> AsyncIterator[None]:
    """The block lasts as long as the deadline, and not much longer."""
    started = trio.current_time()
    with trio.fail_after(TOO_LONG):
        yield
    assert trio.current_time() - started >= TIMEOUT * 0.9


async def trickle(stream: trio.abc.Stream, said: bytes) -> None:
    """A byte now and then, until nobody listens any more."""
    try:
        for byte in said:
            await stream.send_all(bytes([byte]))
            await trio.sleep(TIMEOUT / 20)
        await trio.sleep_forever()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def until_cut(stream: trio.abc.Stream, said: bytes) -> bytes:
    """What the peer says meanwhile, until it ends the stream."""
    heard = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trickle, stream, said)
        try:
            async for data in stream:
                heard += data
        except trio.BrokenResourceError:
            pass  # it was cut off with bytes of ours unread
        nursery.cancel_scope.cancel()
    return bytes(heard)


HEADS = {
    "a head": request(Cookie="x" * 1000),
    "a head of today": request_13(Cookie="x" * 1000),
    "lines without end": b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200,
}


@pytest.mark.parametrize("said", HEADS.values(), ids=HEADS)
async def test_a_head_that_trickles(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(handshake_timeout=TIMEOUT) as server:
        with caplog.at_level(logging.INFO, "trio_draftws"):
            async with await dial(server) as stream, ends_in_time():
                assert await until_cut(stream, said) == b""
            await trio.testing.wait_all_tasks_blocked()
        assert not server.connections
    [record] = caplog.records
    assert record.message.endswith(f"the opening handshake was not done within {TIMEOUT} s")


@pytest.mark.parametrize("name", ["hixie-76", "whatwg-2010-08", "hybi-01"])
async def test_a_body_that_trickles(name: str) -> None:
    """The eight bytes behind the head have what is left of the time for it."""
    with use_framing_mode(name):
        async with serving(handshake_timeout=TIMEOUT) as server, await dial(server) as stream:
            async with ends_in_time():
                await stream.send_all(request())
                await trio.sleep(TIMEOUT / 2)
                answer = await until_cut(stream, KEY3[:7])
            assert answer.startswith(b"HTTP/1.1 101 ")
            assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00" + bytes(500)], ids=["none", "slow"])
async def test_tls_that_trickles(said: bytes, server_ssl: ssl.SSLContext) -> None:
    async with serving(handshake_timeout=TIMEOUT, ssl_context=server_ssl) as server:
        async with await dial(server) as stream, ends_in_time():
            await until_cut(stream, said)


async def test_a_head_that_trickles_through_tls(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """What TLS took of the time is gone."""
    async with serving(handshake_timeout=TIMEOUT, ssl_context=server_ssl) as server:
        plain = await dial(server)
        async with ends_in_time():
            await trio.sleep(TIMEOUT / 2)
            stream = trio.SSLStream(
                plain, client_ssl, server_hostname="localhost", https_compatible=True
            )
            async with stream:
                await stream.do_handshake()
                assert await until_cut(stream, HEADS["a head"]) == b""


async def test_those_who_trickle_disturb_nobody(draft: Draft) -> None:
    async def slow() -> None:
        async with await dial(server) as stream:
            await until_cut(stream, HEADS["a head"])

    with use_framing_mode(draft.name):
        async with serving(handshake_timeout=TIMEOUT) as server:
            async with open_websocket(f"ws://127.0.0.1:{server.port}/") as client:
                async with ends_in_time(), trio.open_nursery() as nursery:
                    for _ in range(20):
                        nursery.start_soon(slow)
                    await client.send("hello")
                    assert await client.receive() == "hello"
                await client.send("hello")
                assert await client.receive() == "hello"


# The other way round


async def test_an_answer_that_trickles(draft: Draft) -> None:
    async def behave(stream: trio.SocketStream) -> None:
        await read_request(stream, draft.opening.request_body)
        await until_cut(stream, b"HTTP/1.1 101 " + b"x" * 1000)

    async with raw_server(behave) as port, ends_in_time():
        url = f"ws://127.0.0.1:{port}/"
        with pytest.raises(HandshakeTimeout, match=f"not done within {TIMEOUT} s"):
            async with open_websocket(url, draft=draft, handshake_timeout=TIMEOUT):
                raise AssertionError("there is no connection")


async def test_a_proof_that_trickles() -> None:
    """The sixteen bytes behind the head of hixie-76."""

    async def behave(stream: trio.SocketStream) -> None:
        head, key3 = await read_request(stream)
        answer, _ = take_up(draft_named("hixie-76"), head, key3)
        await stream.send_all(answer[:-16])
        await until_cut(stream, answer[-16:-1])

    async with raw_server(behave) as port, ends_in_time():
        url = f"ws://127.0.0.1:{port}/"
        with pytest.raises(HandshakeTimeout):
            async with open_websocket(url, draft="hixie-76", handshake_timeout=TIMEOUT):
                raise AssertionError("there is no connection")
