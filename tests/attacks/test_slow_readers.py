"""A peer that does not read what it is sent: it is waited for as long as it takes something."""

from __future__ import annotations

import fcntl
import logging
import math
import socket
import sys
import termios
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tests.pairs import connected, mute, unmute
from tests.rows import in_turn
from tests.wire import dial, read_until, request_13, serving
from trio_draftws import Connection, ConnectionLost, Draft
from trio_draftws.drafts import draft_named

# A memory stream takes everything, whether it is read or not.
TRANSPORTS = ("lockstep", "tcp", "tls")
RFC6455 = draft_named("rfc6455")
SETTINGS: dict[str, Any] = {"write_timeout": 30, "close_timeout": 1, "ping_interval": math.inf}

each_side = pytest.mark.parametrize("side", ["client", "server"])
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def sides(pair: tuple[Connection, Connection], side: str) -> tuple[Connection, Connection]:
    """Who sends, and the peer: nobody reads for that, not even its scope."""
    client, server = pair
    sender, peer = (client, server) if side == "client" else (server, client)
    mute(peer)
    return sender, peer


def narrow(*connections: Connection, size: int = 4096) -> None:
    """Makes the kernel hold little of what is sent between them."""
    for connection in connections:
        stream: Any = connection._endpoint.stream
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if hasattr(stream, "setsockopt"):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                stream.setsockopt(socket.SOL_SOCKET, option, size)


async def wait_until_given_up(sender: Connection, clock: trio.testing.MockClock) -> None:
    """Lets time pass; fails where that does not end it, or ends it too early.

    The kernel's own timers run in real time, so it may move a last few bytes a little later.
    """
    await trio.testing.wait_all_tasks_blocked(0.01)
    clock.jump(2)
    await trio.testing.wait_all_tasks_blocked(0.01)
    clock.jump(25)
    await trio.testing.wait_all_tasks_blocked()
    periods = 0
    while not sender.closed:
        clock.jump(31)
        await trio.testing.wait_all_tasks_blocked()
        periods += 1
    assert 1 <= periods <= 5


async def fill(sender: Connection) -> None:
    """Sends until nothing is taken any more, and stays there."""
    while True:
        await sender.send("x" * 100_000)


async def told(action: Callable[[], Awaitable[object]]) -> None:
    with pytest.raises(ConnectionLost, match=r"took nothing of what waits for it for 30 s"):
        await action()


@in_turn(transport=TRANSPORTS, side=("client", "server"))
async def test_a_sender_that_waits_for_room_is_told(
    transport: str, draft: Draft, side: str, mock_clock: trio.testing.MockClock
) -> None:
    """What waited is let go, and from then on each call says what happened."""
    async with connected(transport, draft, **SETTINGS) as pair, trio.open_nursery() as nursery:
        sender, _ = sides(pair, side)
        nursery.start_soon(told, partial(fill, sender))
        await wait_until_given_up(sender, mock_clock)
        assert sender._sender.size == 0
        await told(partial(sender.send, "more"))
        await told(sender.receive)


@in_turn(side=("client", "server"))
async def test_a_receiver_is_told(
    draft: Draft, side: str, mock_clock: trio.testing.MockClock
) -> None:
    """Also where the sender has left."""
    async with connected("tcp", draft, **SETTINGS) as pair, trio.open_nursery() as nursery:
        sender, _ = sides(pair, side)
        async with trio.open_nursery() as filling:
            filling.start_soon(fill, sender)
            await trio.testing.wait_all_tasks_blocked(0.01)
            filling.cancel_scope.cancel()
        nursery.start_soon(told, sender.receive)
        await wait_until_given_up(sender, mock_clock)


def untaken(stream: Any) -> int:
    """How many bytes the kernel has taken from us and the peer's has not taken from it."""
    stream = getattr(stream, "transport_stream", stream)
    if not hasattr(stream, "socket"):
        return 0
    held = fcntl.ioctl(stream.socket.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(held, sys.byteorder)


async def take_some(sender: Connection, peer: Connection) -> None:
    """The peer reads until that is seen at the other end."""
    output = sender._sender

    def seen() -> tuple[int, int]:
        return output.written, untaken(output.stream)

    before = seen()
    while seen() == before:
        peer._protocol.feed(await peer._endpoint.stream.receive_some(), trio.current_time())


@in_turn(transport=TRANSPORTS, side=("client", "server"))
async def test_a_slow_peer_is_waited_for(
    transport: str, draft: Draft, side: str, mock_clock: trio.testing.MockClock
) -> None:
    """One long message, of which a little is taken every 25 seconds, for far longer than that."""
    size = 2**20
    async with connected(transport, draft, **SETTINGS) as pair:
        sender, peer = sides(pair, side)
        narrow(*pair, size=2**16)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, "x" * size)
            for _ in range(4):
                await trio.testing.wait_all_tasks_blocked()
                mock_clock.jump(25)
                await trio.testing.wait_all_tasks_blocked()
                await take_some(sender, peer)
            assert sender._sender.size
            unmute(peer)
            assert await peer.receive() == "x" * size


@each_side
async def test_the_kernel_is_asked_what_the_peer_took(
    side: str, mock_clock: trio.testing.MockClock
) -> None:
    """It takes more from us only when a third of its buffer is free."""
    async with connected("tcp", RFC6455, **SETTINGS) as pair:
        sender, peer = sides(pair, side)
        narrow(sender, size=2**20)
        narrow(peer, size=2**13)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fill, sender)
            await trio.testing.wait_all_tasks_blocked(0.05)
            written = [sender._sender.written]
            for _ in range(6):
                mock_clock.jump(25)
                await trio.testing.wait_all_tasks_blocked()
                await take_some(sender, peer)
                written.append(sender._sender.written)
            assert any(written.count(value) > 2 for value in written), "this shows nothing"
            assert not sender.closed
            nursery.cancel_scope.cancel()


@in_turn(side=("client", "server"))
async def test_time_does_not_pass_while_we_do_not_read(
    draft: Draft, side: str, mock_clock: trio.testing.MockClock
) -> None:
    """The peer may wait for us to read before it reads; unless a sender of ours waits as well."""
    async with connected("lockstep", draft, **SETTINGS) as pair, trio.open_nursery() as nursery:
        sender, peer = sides(pair, side)

        @nursery.start_soon
        async def fill_until_told() -> None:
            with pytest.raises(ConnectionLost):
                await fill(peer)

        while not sender._receiver.full:
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(2)
        # It needs no room, and so waits for nothing.
        await sender.send("x" * 100_000)
        for _ in range(10):
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(10)
        assert sender._sender.size
        assert not sender.closed
        nursery.start_soon(told, partial(fill, sender))
        await wait_until_given_up(sender, mock_clock)


async def test_no_deadline(autojump_clock: trio.testing.MockClock) -> None:
    settings = SETTINGS | {"write_timeout": math.inf}
    async with connected("lockstep", RFC6455, **settings) as pair:
        sender, _ = sides(pair, "server")
        with trio.move_on_after(1000) as scope:
            await fill(sender)
        assert scope.cancelled_caught
        assert not sender.closed


async def test_a_pause_is_no_stall(autojump_clock: trio.testing.MockClock) -> None:
    """The time begins when something waits, not when something last did."""
    async with connected("lockstep", RFC6455, **SETTINGS) as pair:
        sender, peer = sides(pair, "server")
        for _ in range(3):
            await trio.sleep(100)
            await sender.send("hello")
            await trio.sleep(20)
            unmute(peer)
            assert await peer.receive() == "hello"
            mute(peer)
            assert not sender.closed


async def test_over_real_sockets_by_a_real_clock(caplog: pytest.LogCaptureFixture) -> None:
    """And the log says what happened to the handler's connection."""
    failures: list[Exception] = []
    failed = trio.Event()

    async def handler(connection: Connection, state: object) -> None:
        try:
            await fill(connection)
        except ConnectionLost as error:
            failures.append(error)
            failed.set()
            raise

    with caplog.at_level(logging.INFO, "trio_draftws"):
        async with serving(handler, write_timeout=0.3, close_timeout=0.3) as server:
            async with await dial(server) as stream:
                await stream.send_all(request_13())
                await read_until(stream, lambda said: b"\r\n\r\n" in said)
                await failed.wait()
    why = "the peer took nothing of what waits for it for 0.3 s"
    assert [str(failure) for failure in failures] == [why]
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.message.endswith(f" ended under its handler: {why}")
