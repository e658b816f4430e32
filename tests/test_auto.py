"""`draft="auto"`: down the ladder until the server knows one."""

from __future__ import annotations

import socket

import pytest
import trio

from trio_draftws import (
    DRAFTS,
    DialFailed,
    Draft,
    HandshakeError,
    Rejected,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import auto_drafts

from .wire import prove, raw_server, read_until, serving

RUNGS = auto_drafts()


async def read_head(stream: trio.abc.Stream) -> bytes:
    """A request's head; some drafts have a body behind it, which no server has to read."""
    return await read_until(stream, lambda received: b"\r\n\r\n" in received)


@pytest.mark.parametrize("auto_order", RUNGS, ids=lambda draft: draft.name)
async def test_the_newest_that_a_server_speaks(auto_order: Draft) -> None:
    with use_framing_mode(auto_order.name):
        async with serving(drafts=[auto_order]) as server:
            url = f"ws://127.0.0.1:{server.port}/"
            async with open_websocket(url, draft="auto") as client:
                assert client.draft is auto_order
                await client.send("hello")
                assert await client.receive() == "hello"


async def test_a_server_of_every_draft_is_asked_once() -> None:
    async with serving() as server:
        async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft="auto") as client:
            assert client.draft is RUNGS[0]


def test_each_rung_is_told_from_the_others() -> None:
    """And no announcement is left out but that of drafts which want to be hixie-76."""
    announced = [auto_order.announced_by[0] for auto_order in RUNGS]
    assert len(set(announced)) == len(announced)
    assert set(announced) == {draft.announced_by[0] for draft in DRAFTS}


def test_the_newest_comes_first() -> None:
    """But for one: servers of hixie-76 would answer hybi-02 as well, and not understand it."""
    names = [auto_order.name for auto_order in RUNGS]
    newest_first = [draft.name for draft in reversed(DRAFTS) if draft in RUNGS]
    assert names != newest_first
    names.remove("hybi-02")
    newest_first.remove("hybi-02")
    assert names == newest_first


async def test_a_server_that_answers_every_request_with_keys() -> None:
    """As those of hixie-76 did."""
    attempts: list[bytes] = []

    async def behave(stream: trio.SocketStream) -> None:
        head = await read_head(stream)
        attempts.append(head)
        if b"Sec-WebSocket-Key1" not in head:
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        await stream.send_all(
            b"HTTP/1.1 101 x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"
        )
        head, _, key3 = head.partition(b"\r\n\r\n")
        if len(key3) < 8:
            key3 += await stream.receive_some()
        await stream.send_all(prove(head, key3) + b"\x00hello\xff")

    async with raw_server(behave) as port:
        async with open_websocket(f"ws://127.0.0.1:{port}/", draft="auto") as client:
            assert client.draft.name == "hixie-76"
            assert await client.receive() == "hello"
    assert not any(b"Sec-WebSocket-Draft" in head for head in attempts)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"no HTTP\r\n\r\n"])
async def test_old_servers_refuse_in_their_own_way(answer: bytes) -> None:
    """Each attempt is a new TCP connection, and what was said to the first comes out."""
    attempts: list[bytes] = []

    async def refuse(stream: trio.SocketStream) -> None:
        attempts.append(await read_head(stream))
        await stream.send_all(answer)
        await stream.send_eof()

    async with raw_server(refuse) as port:
        with pytest.raises(HandshakeError):
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft="auto"):
                raise AssertionError("there is no connection")
    assert len(attempts) == len(RUNGS)


@pytest.mark.parametrize("status", [b"401 Unauthorized", b"403 No", b"404 No", b"503 Later"])
async def test_an_answer_that_is_not_about_the_draft_ends_it(status: bytes) -> None:
    attempts: list[bytes] = []

    async def refuse(stream: trio.SocketStream) -> None:
        attempts.append(await read_head(stream))
        await stream.send_all(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(refuse) as port:
        with pytest.raises(Rejected) as caught:
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft="auto"):
                raise AssertionError("there is no connection")
    assert caught.value.status == int(status[:3])
    assert len(attempts) == 1


async def test_versions_that_the_server_names_are_tried_next() -> None:
    """And none of the numbers that it does not name."""
    named = [auto_order.version for auto_order in RUNGS if auto_order.version is not None][1:][-2:]
    attempts: list[bytes] = []

    async def refuse(stream: trio.SocketStream) -> None:
        attempts.append(await read_head(stream))
        versions = ", ".join(map(str, named)).encode()
        fields = b"Sec-WebSocket-Version: " + versions + b"\r\nContent-Length: 0\r\n\r\n"
        await stream.send_all(b"HTTP/1.1 426 Upgrade Required\r\n" + fields)

    async with raw_server(refuse) as port:
        with pytest.raises(Rejected):
            async with open_websocket(f"ws://127.0.0.1:{port}/", draft="auto"):
                raise AssertionError("there is no connection")
    without_number = [auto_order for auto_order in RUNGS if auto_order.version is None]
    first_has_number = RUNGS[0].version is not None
    assert len(attempts) == first_has_number + len(named) + len(without_number)


async def test_what_no_rung_can_ask_for_is_told_before_dialling() -> None:
    with pytest.raises(ValueError, match="control character"):
        async with open_websocket("ws://127.0.0.1:1/", draft="auto", origin="a\r\nb"):
            pass
    with pytest.raises(ValueError, match="no subprotocol"):
        async with open_websocket("ws://127.0.0.1:1/", draft="auto", subprotocols=["é"]):
            pass


async def test_nobody_there_ends_it(unused_tcp_port: int) -> None:
    with pytest.raises(DialFailed):
        async with open_websocket(f"ws://127.0.0.1:{unused_tcp_port}/", draft="auto"):
            raise AssertionError("there is no connection")


@pytest.fixture
def unused_tcp_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port: int = closed.getsockname()[1]
    return port
