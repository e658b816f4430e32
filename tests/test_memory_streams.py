"""`trio_draftws.testing`: streams in memory that may be full, and what the kit calls things."""

from __future__ import annotations

import inspect
import logging
import math
import re
import ssl
from typing import Any

import pytest
import trio
import trio.testing

from tests.rows import each_row
from trio_draftws import (
    Connection,
    HandshakeError,
    accept,
    open_websocket,
    serve_websocket,
    ssl_stream_factory,
)
from trio_draftws.testing import (
    Faults,
    FaultyStream,
    MemoryListener,
    MemoryStream,
    RawClient,
    RawServer,
    connected_pair,
    echo,
    memory_stream_pair,
    served,
    served_on_port,
)

# More than anything below holds that is not told to hold less
LOTS = b"x" * 1_000_000


async def test_a_memory_stream_is_a_stream() -> None:
    """By Trio's own check of what a stream has to do, also while it is full."""

    async def make() -> tuple[MemoryStream, MemoryStream]:
        return memory_stream_pair()

    async def clogged() -> tuple[MemoryStream, MemoryStream]:
        ours, theirs = memory_stream_pair(buffer=1)
        for stream in (ours, theirs):
            await stream.send_all(b"x")
        return ours, theirs

    await trio.testing.check_half_closeable_stream(make, clogged)


async def test_a_full_stream_waits() -> None:
    """In either direction, by itself; as much goes on as is received."""
    client, server = memory_stream_pair(buffer=5)
    for one, other in ((client, server), (server, client)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.send_all, b"0123456789ab")
            await trio.testing.wait_all_tasks_blocked()
            assert other.bytes_unread == 5
            assert await other.receive_some(2) == b"01"
            await trio.testing.wait_all_tasks_blocked()
            assert other.bytes_unread == 5
            assert await other.receive_some() == b"23456"
            assert await other.receive_some() == b"789ab"
        assert other.bytes_unread == 0


async def test_room_is_waited_for() -> None:
    client, server = memory_stream_pair(buffer=1)
    await client.wait_send_all_might_not_block()
    await client.send_all(b"0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.wait_send_all_might_not_block)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="is sending on this stream"):
            await client.send_all(b"1")
        assert await server.receive_some() == b"0"
    await server.aclose()
    with pytest.raises(trio.BrokenResourceError, match="the server has closed"):
        await client.wait_send_all_might_not_block()


async def test_a_cancelled_send_leaves_what_was_taken() -> None:
    """As on a TCP stream; and an end of one side comes behind it."""
    client, server = memory_stream_pair(buffer=3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, memoryview(b"abcdef"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await client.send_eof()
    with pytest.raises(trio.ClosedResourceError, match="was ended"):
        await client.send_all(b"g")
    assert await server.receive_some() == b"abc"
    assert await server.receive_some() == b""
    await server.send_all(b"xyz")
    assert await client.receive_some() == b"xyz"
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.send_all(b"never")
    assert server.bytes_unread == 0


async def test_who_waits_learns_of_the_end() -> None:
    for closing, error in ((1, trio.BrokenResourceError), (0, trio.ClosedResourceError)):
        pair = memory_stream_pair(buffer=1)
        with pytest.RaisesGroup(error):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pair[0].send_all, b"12")
                await trio.testing.wait_all_tasks_blocked()
                pair[closing].close()


def test_names_of_memory_streams() -> None:
    for names in (("a",), ("a", "b", "c")):
        with pytest.raises(ValueError, match=f"the two ends, not {len(names)}"):
            memory_stream_pair(names=names)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="names is a list of two names, not one str"):
        memory_stream_pair(names="ab")  # type: ignore[arg-type]


async def send_until_it_waits(connection: Connection, message: str = "x" * 1000) -> int:
    """How many messages were sent before `send` had to wait."""
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            await connection.send(message)
            sent += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        while True:
            before = sent
            await trio.testing.wait_all_tasks_blocked(0.05)
            if sent == before:
                break
        nursery.cancel_scope.cancel()
    return sent


@each_row("draft", ["hixie-75", "new", "hybi-05", "rfc6455"])
async def test_a_slow_consumer(draft: str, mock_clock: trio.testing.MockClock) -> None:
    """`send` waits, whoever is slow; and nothing is lost of what was sent."""
    async with connected_pair(draft, buffer=1000, compression=None) as pair:
        for slow, fast in (pair, pair[::-1]):
            sent = await send_until_it_waits(fast)
            # Each side holds 64 KiB, and what is being written and read.
            assert 64 < sent < 300
            for _ in range(sent):
                assert await slow.receive() == "x" * 1000
            await fast.send("the last")
            assert await slow.receive() == "the last"


@pytest.mark.parametrize("start", [served, served_on_port])
async def test_a_slow_handler(start: Any) -> None:
    """In memory as on a port, where the system would hold megabytes."""
    received: list[object] = []

    async def handler(connection: Connection, state: object) -> None:
        assert await connection.receive() == "begin"
        await go.wait()
        received.extend([message async for message in connection])

    go = trio.Event()
    async with start(handler, buffer=1000, compression=None) as server:
        async with server.open_websocket(compression=None) as client:
            await client.send("begin")
            sent = await send_until_it_waits(client)
            assert 64 < sent < 1000
            go.set()
        await server.aclose()
    assert received == ["x" * 1000] * sent
    assert server.errors == []


async def test_a_long_message_through_a_short_stream() -> None:
    async with served(echo, buffer=100) as server, server.open_websocket() as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, LOTS)
            async with client.receive_stream() as parts:
                assert b"".join([bytes(part) async for part in parts]) == LOTS  # type: ignore[arg-type]


async def test_tls_over_full_streams(
    server_ssl: ssl.SSLContext, client_ssl: ssl.SSLContext
) -> None:
    """Its records take several rounds."""
    secure = ssl_stream_factory(client_ssl, server_hostname="localhost")
    async with served(echo, buffer=100, ssl_context=server_ssl) as server:
        async with server.open_websocket(stream_factory=secure) as client:
            await client.send("x" * 10_000)
            assert await client.receive() == "x" * 10_000


# Names


async def test_clients_in_memory_have_names(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trio_draftws")

    async def fail(connection: Connection, state: object) -> None:
        raise ValueError("of the handler")

    async with served(fail) as server:
        async with RawClient(await server.dial()) as peer:
            await peer.send(b"HELO\r\n\r\n")
            await peer.expect_response(400)
        async with server.open_websocket():
            pass
    ours, theirs = memory_stream_pair(names=("Alice", "Bob"))
    await ours.aclose()
    with pytest.raises(HandshakeError):
        async with accept(FaultyStream(theirs)):
            raise AssertionError("there is no client")
    said = caplog.text
    assert "no connection with client 1" in said
    assert re.search(r"the handler of <Connection \d+ server .*> with client 2 failed", said)
    assert [record.peer for record in caplog.records if hasattr(record, "peer")] == [
        "client 1",
        "client 2",
    ]


async def test_a_listener_in_memory() -> None:
    """It does for any server, as `served` uses it."""
    listener = MemoryListener(buffer=1000)
    async with trio.open_nursery() as nursery:

        async def serve(task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
            await serve_websocket(echo, listeners=[listener], task_status=task_status)

        server = await nursery.start(serve)
        stream = listener.dial()
        assert repr(stream) == "<MemoryStream from client 1 to the server open>"
        async with open_websocket("ws://localhost/", draft="rfc6455", stream=stream) as client:
            await client.send("hello")
            assert await client.receive() == "hello"
        assert repr(stream) == "<MemoryStream from client 1 to the server closed>"
        await server.aclose()
    with pytest.raises(ConnectionRefusedError, match="was closed"):
        listener.dial()
    assert repr(listener) == "<MemoryListener dialled=1>"


async def test_nothing_shows_private_names() -> None:
    """In a `repr`, so neither in a failed assertion."""
    ours, theirs = memory_stream_pair()
    faulty = FaultyStream(ours, incoming=Faults(split=1))
    assert type(faulty).__name__ == "FaultyStream"
    shown: list[object] = [faulty, RawClient(ours), RawServer(theirs)]
    for start in (served, served_on_port):
        async with start() as server, server.open_websocket() as client:
            async with await server.dial() as stream:
                shown += [server, server.server, client, stream]
            shown += server.server.listeners
            private = [repr(one) for one in shown if re.search(r"\b_\w|<locals>", repr(one))]
            assert private == []


def test_both_ways_to_serve_take_the_same() -> None:
    memory, port = (inspect.signature(start).parameters for start in (served, served_on_port))
    assert {*port} - {*memory} == {*memory} - {*port} == set()
    assert {name for name in port if port[name].default != memory[name].default} == {"host"}
    for name in port:
        assert port[name].annotation == memory[name].annotation, name
    assert memory["buffer"].default == math.inf


async def test_a_server_in_memory_has_a_host_and_no_port() -> None:
    async with served(host="chat.example") as server:
        assert server.url == "ws://chat.example/"
        async with server.open_websocket("/x") as client:
            assert client.url == "ws://chat.example/x"
            [at_server] = server.connections
            assert at_server.request.host == "chat.example"
        with pytest.raises(AttributeError, match="in memory and has no port"):
            _ = server.port
    async with served(host="::1") as server:
        assert server.url == "ws://[::1]/"
