"""What connections and servers count; each number is one that the other side knows too."""

from __future__ import annotations

import gc
import socket
import struct
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.pairs import connected, mute, open_client, stream_pair
from tests.wire import dial, echo, masked, read_until, request_13, serving
from trio_draftws import (
    Compression,
    Connection,
    ConnectionLost,
    ConnectionStatistics,
    Draft,
    HTTPResponse,
    LocalProtocolError,
    PeerClosed,
    Reject,
    Rejected,
    Request,
    accept,
    broadcast,
    open_websocket,
    use_framing_mode,
)
from trio_draftws.drafts import draft_named

from .turns import each_draft, over_streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RFC6455 = draft_named("rfc6455")
HOST = "127.0.0.1"


async def parts(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text
        await trio.lowlevel.checkpoint()


async def receive_all(connection: Connection) -> None:
    async for _ in connection:
        pass


def sums(statistics: Any) -> tuple[int, int, int, int]:
    return (
        statistics.messages_received,
        statistics.messages_sent,
        statistics.bytes_received,
        statistics.bytes_sent,
    )


@over_streams()
async def test_both_sides_count_the_same(draft: Draft, transport: str) -> None:
    """By whatever way a message is sent and received, it is one message."""
    async with connected(transport, draft) as (client, server):
        before = trio.current_time()
        fresh = client.statistics()
        assert sums(fresh) == (0, 0, 0, 0)
        assert fresh.opened_at == client.opened_at == fresh.last_heard
        assert fresh.opened_at <= before
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive_all, server)
            for number in range(100):
                await client.send(f"{number}")
            await client.send_many(["a", "b", "c"])
            await client.send_stream(parts("one, ", "two, ", "three"))
            await broadcast([client], "to all")
            await client.send("x" * 100_000)
            await client.aclose()
        # 100 by `send`, 3 by `send_many`, one of each other kind
        sent = client.statistics()
        received = server.statistics()
    assert sent.messages_sent == received.messages_received == 106
    assert received.messages_sent == sent.messages_received == 0
    sent, received = client.statistics(), server.statistics()
    assert sent.bytes_sent == received.bytes_received > 100_000
    assert received.bytes_sent == sent.bytes_received
    assert sent.bytes_waiting == received.bytes_waiting == 0
    assert received.last_heard is not None
    assert received.last_heard >= before


@each_draft
async def test_what_was_not_sent_does_not_count(draft: Draft) -> None:
    async with connected("tcp", draft) as (client, server):
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.send("cancelled")
        with pytest.raises(LocalProtocolError):
            await client.send("\ud800")
        with pytest.raises(LocalProtocolError):
            await client.send_many(["one", "two", "\ud800", "never"])
        if not draft.binary:
            await broadcast([client], b"bytes")
            with pytest.raises(LocalProtocolError):
                await client.send(b"bytes")
        await client.send("three")
        assert [await server.receive() for _ in range(3)] == ["one", "two", "three"]
        assert client.statistics().messages_sent == 3
        assert server.statistics().messages_received == 3
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive_all, server)
            await client.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await client.send("closed")
        assert client.statistics().messages_sent == 3


async def test_what_waits() -> None:
    """What nobody takes waits; what a sender that waits for room has is not sent yet."""
    async with connected("tcp", RFC6455, close_timeout=0.1) as (client, server):
        mute(server)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(client.send, b"x" * 10_000_000)
            await trio.testing.wait_all_tasks_blocked()
            waits = client.statistics()
            assert waits.bytes_waiting > 1_000_000
            assert waits.messages_sent == 1
            assert waits.bytes_sent + waits.bytes_waiting == 10_000_014
            nursery.cancel_scope.cancel()
        assert client.statistics().messages_sent == 1


@pytest.mark.parametrize("taken", ["all", "some", "nothing"])
async def test_a_message_that_is_received_part_by_part_is_one(taken: str) -> None:
    more = trio.Event()

    async def slow() -> AsyncIterator[str]:
        yield "begun"
        await more.wait()
        yield " and "
        yield "done"

    async def send() -> None:
        await client.send_stream(slow())
        await client.send("the next")

    async with connected("memory", RFC6455) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(send)
        async with server.receive_stream() as stream:
            assert server.statistics().messages_received == 0
            more.set()
            if taken == "some":
                await anext(stream)
            elif taken == "all":
                assert "".join([str(part) async for part in stream]) == "begun and done"
        assert await server.receive() == "the next"
        assert server.statistics().messages_received == 2
        assert client.statistics().messages_sent == 2


async def test_a_message_that_is_cut_is_none() -> None:
    async def cut() -> AsyncIterator[str]:
        yield "begun"
        raise LookupError("no more of it")

    async with connected("memory", RFC6455) as (client, server):
        with pytest.raises(LookupError):
            await client.send_stream(cut())
        with pytest.raises(PeerClosed):
            await server.receive()
        assert server.statistics().messages_received == 0
        assert client.statistics().messages_sent == 0


async def test_pings() -> None:
    async with connected("tcp", RFC6455) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive_all, server)
            latency = await client.ping()
            await client.ping()
            asked = client.statistics()
            answered = server.statistics()
            await client.aclose()
    assert (asked.pings_sent, asked.pongs_received, asked.pings_received) == (2, 2, 0)
    assert (answered.pings_sent, answered.pongs_received, answered.pings_received) == (0, 0, 2)
    assert latency > 0
    assert asked.latency == client.latency
    assert answered.latency is None


async def test_compression_makes_fewer_bytes() -> None:
    settings = Compression()
    async with connected("tcp", RFC6455, offer=settings, compression=settings) as (client, server):
        await client.send("x" * 10_000)
        await server.receive()
        statistics = client.statistics()
        assert statistics.compression == client.compression is not None
        assert 0 < statistics.bytes_sent == server.statistics().bytes_received < 100


async def test_given_up_for_silence(autojump_clock: trio.testing.MockClock) -> None:
    client, stream = trio.testing.memory_stream_pair()
    await client.send_all(request_13())
    async with accept(stream, ping_interval=5, ping_timeout=5) as connection:
        with pytest.raises(ConnectionLost):
            await connection.receive()
        assert connection.statistics().last_heard is None


async def test_they_are_facts() -> None:
    """What was returned does not change any more."""
    async with connected("memory", RFC6455) as (client, server):
        before = client.statistics()
        await client.send("hello")
        assert before.messages_sent == 0
        assert isinstance(before, ConnectionStatistics)
        with pytest.raises(AttributeError):
            before.messages_sent = 1  # type: ignore[misc]
        del server


# Servers


async def refuse_some(request: Request) -> tuple[dict[str, str], str]:
    if request.path == "/forbidden":
        raise Reject(403)
    if request.path == "/fault":
        raise LookupError("a mistake")
    return {}, request.path


async def serve_page(request: Request) -> HTTPResponse:
    return HTTPResponse(200 if request.path == "/" else 404, {}, b"a page")


async def fetch(port: int, line: str) -> None:
    async with await trio.open_tcp_stream(HOST, port) as stream:
        await stream.send_all(f"{line}\r\nHost: a\r\n\r\n".encode())
        async for _ in stream:
            pass


async def test_a_server_sums_up() -> None:
    """Every visitor is in exactly one of the numbers, and what the closed ones did stays."""
    settings: dict[str, Any] = {"conn_headers": refuse_some, "http_handler": serve_page}
    with use_framing_mode("hixie-75"):
        async with serving(**settings) as server:
            assert server.port is not None
            url = f"ws://{HOST}:{server.port}"
            for code in (1000, 1000, 4000):
                async with open_websocket(f"{url}/", draft="rfc6455") as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"
                    await client.aclose(code)
            async with open_websocket(f"{url}/", draft="hixie-75") as client:
                await client.send("hello")
                assert await client.receive() == "hello"
            for path in ("/forbidden", "/fault"):
                with pytest.raises(Rejected):
                    async with open_websocket(f"{url}{path}", draft="rfc6455"):
                        raise AssertionError("it came in")
            await fetch(server.port, "GET / HTTP/1.1")
            await fetch(server.port, "GET /x HTTP/1.1")
            await fetch(server.port, "nonsense")
            async with await dial(server) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\n")
            # One that is lost, one that stays, and one whose opening goes on
            stream = await dial(server)
            await stream.send_all(request_13())
            await read_until(stream, lambda received: b"\r\n\r\n" in received)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
            async with open_websocket(f"{url}/", draft="rfc6455") as client:
                await client.send("one")
                await client.send("two")
                assert [await client.receive() for _ in range(2)] == ["one", "two"]
                async with await dial(server):
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    now = server.statistics()
                    [stays] = server.connections
                    assert now.open == 1
                    assert now.opening == 1
                    assert now.accepted == 6
                    assert now.refused == {403: 1, 400: 1}
                    assert now.pages == {200: 1, 404: 1}
                    assert now.failed == 2
                    assert now.closed == {1000: 2, 4000: 1, None: 1, 1006: 1}
                    assert now.messages_received == now.messages_sent == 6
                    assert now.bytes_sent > 4 * len("hello")
                    assert now.bytes_received > now.bytes_sent
                    assert stays.statistics().messages_sent == 2
                    with pytest.raises(TypeError):
                        now.refused[500] = 1  # type: ignore[index]
                await trio.testing.wait_all_tasks_blocked(0.01)
                server_end = server.aclose()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(receive_all, client)
                    await server_end
        last = server.statistics()
    assert (last.open, last.opening, last.accepted, last.failed) == (0, 0, 6, 3)
    assert last.closed == {1000: 2, 1001: 1, 4000: 1, None: 1, 1006: 1}
    assert last.messages_received == 6


async def test_a_peer_that_breaks_its_draft_is_counted_by_our_code() -> None:
    async with serving() as server:
        async with await dial(server) as stream:
            await stream.send_all(request_13() + masked(0x83, b""))
            async for _ in stream:
                pass
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert server.statistics().closed == {1002: 1}


async def test_more_than_there_is_room_for() -> None:
    async with serving(max_connections=1) as server:
        url = f"ws://{HOST}:{server.port}/"
        async with open_websocket(url, draft="rfc6455"):
            with pytest.raises(Rejected):
                async with open_websocket(url, draft="rfc6455"):
                    raise AssertionError("it came in")
            assert server.statistics().refused == {503: 1}
            assert server.statistics().accepted == 1


# The state, and the id


async def test_a_handler_sets_the_state() -> None:
    """So that others who look at `server.connections` know whose each is."""

    async def handler(connection: Connection, state: object) -> None:
        assert state is connection.state is None
        connection.state = await connection.receive()
        await connection.send("ready")
        await receive_all(connection)

    async with serving(handler) as server:
        url = f"ws://{HOST}:{server.port}/"
        async with open_websocket(url) as ada, open_websocket(url) as bob:
            for client, name in ((ada, "Ada"), (bob, "Bob")):
                await client.send(name)
                assert await client.receive() == "ready"
            assert {connection.state for connection in server.connections} == {"Ada", "Bob"}
            [to_bob] = [one for one in server.connections if one.state == "Bob"]
            await to_bob.send("for you")
            assert await bob.receive() == "for you"


async def test_ids_tell_connections_apart() -> None:
    async with connected("memory", RFC6455) as (client, server):
        async with connected("memory", RFC6455) as (other_client, other_server):
            ids = [client.id, server.id, other_client.id, other_server.id]
    assert len(set(ids)) == 4
    assert all(isinstance(one, int) for one in ids)
    assert f"<Connection {client.id} client rfc6455 closed>" == repr(client)


async def test_statistics_hold_on_to_nothing() -> None:
    """A server remembers numbers of those who left, and no connection."""
    async with serving(echo) as server:
        async with open_websocket(f"ws://{HOST}:{server.port}/") as client:
            await client.send("hello")
            await client.receive()
            [left] = map(weakref.ref, server.connections)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert server.statistics().messages_sent == 1
        gc.collect()
        assert left() is None


async def test_the_peer_that_closes_says_the_code() -> None:
    """Also of the client's side, whose code nobody sums up."""
    client_stream, server_stream = await stream_pair("memory")
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            with use_framing_mode("rfc6455"):
                async with accept(server_stream) as server:
                    await server.aclose(4001, "so be it")
                    assert server.close_code == 4001

        nursery.start_soon(serve)
        async with open_client(client_stream, RFC6455) as client:
            with pytest.raises(PeerClosed):
                await client.receive()
            assert client.close_code == 4001
