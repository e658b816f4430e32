"""`Connection.abort`: the end at once, with no goodbye."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
import trio
import trio.testing

from trio_draftws import (
    Connection,
    ConnectionLost,
    Draft,
    Instrument,
    PeerClosed,
    connect_websocket,
)
from trio_draftws.drafts import draft_named
from trio_draftws.testing import echo, served

from .pairs import (
    TRANSPORTS,
    by_raw_client,
    by_raw_server,
    connected,
    mute,
    open_client,
    served_stream,
    stream_pair,
)
from .turns import FRAMINGS, each_draft, in_turn, in_turn_over_streams

RFC6455 = draft_named("rfc6455")
ALL = (*TRANSPORTS, "foreign")


async def endless(connection: Connection) -> AsyncGenerator[str, None]:
    yield "one"
    await trio.sleep_forever()


async def in_parts(connection: Connection) -> None:
    async with connection.receive_stream() as parts:
        async for _ in parts:
            pass


WAITING: dict[str, Callable[[Connection], Awaitable[object]]] = {
    "receive": Connection.receive,
    "receive_many": Connection.receive_many,
    "receive_stream": in_parts,
    "wait_readable": Connection.wait_readable,
    "send": lambda connection: connection.send("waits for room"),
    "send_stream": lambda connection: connection.send_stream(endless(connection)),
    "ping": Connection.ping,
}


@in_turn("what", WAITING)
@in_turn_over_streams(transports=ALL)
async def test_whoever_waits_is_told(
    transport: str, draft: Draft, what: str, autojump_clock: trio.testing.MockClock
) -> None:
    if (what == "ping" and not draft.ping) or (what == "send" and transport == "memory"):
        return  # a stream in memory takes whatever is sent
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        mute(client)
        ended: list[float] = []

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError, match="this connection was closed"):
                await WAITING[what](server)
            ended.append(trio.current_time())

        if what == "send":
            # More than a socket takes
            await server.send("x" * 20_000_000)
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        began = trio.current_time()
        server.abort()
        server.abort()
        await server.wait_closed()
        await trio.testing.wait_all_tasks_blocked()
        assert ended == [began]
        assert (server.closed, server.close_code, server.close_reason) == (True, 1006, "")
        assert server.close_sent is None
        # And from now on
        await wait()
        await server.aclose()
        server.abort()
        assert trio.current_time() == began
        client.abort()


@in_turn_over_streams(transports=ALL)
async def test_what_the_peer_sees(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """No draft takes it for a close over TCP, which is reset; elsewhere hixie-75 has to."""
    async with connected(transport, draft) as (client, server):
        await server.send("before")
        assert await client.receive() == "before"
        server.abort()
        reset = transport in ("tcp", "tls")
        lost = reset or draft.closing_handshake
        with pytest.raises(ConnectionLost if lost else PeerClosed):
            await client.receive()
        assert client.close_code == (1006 if lost else 1005)


@in_turn_over_streams(transports=ALL)
async def test_what_was_read_is_lost(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Also behind a close of the peer's that nobody has reached, and which is not answered."""
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        await client.send("unread")
        nursery.start_soon(client.aclose, 4001, "bye")
        await trio.sleep(0.5)
        assert (server.closed, server.close_code) == (False, None)
        server.abort()
        await server.wait_closed()
        with pytest.raises(trio.ClosedResourceError):
            await server.receive()
        # What came counts all the same: this side has heard the close.
        assert server.close_code == (4001 if draft.close_status else 1005)
        assert server.close_sent is None
    # hixie-75 sees the end of TCP as the answer, unless it is a reset.
    if draft.closing_handshake:
        assert client.close_code == 1006


@in_turn_over_streams(transports=ALL)
async def test_it_ends_a_close_that_takes_long(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(transport, draft, close_timeout=60) as (client, server):
        mute(client)
        async with trio.open_nursery() as nursery:
            # Where a stream cannot end one side, hixie-75 only waits until this is written.
            await server.send("x" * 20_000_000)
            for _ in range(2):
                nursery.start_soon(server.aclose)
            await trio.sleep(1)
            assert len(nursery.child_tasks) == 2
            began = trio.current_time()
            server.abort()
        assert trio.current_time() == began
        client.abort()


@each_draft
async def test_it_ends_what_ends_unasked(
    draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    """Here a peer that broke its draft, and does not end its side."""
    if not draft.compression:
        return
    async with by_raw_client(draft, close_timeout=60) as (raw, server):
        await raw.send(b"\xff" * 14)
        await trio.sleep(10)
        assert server.closed
        with trio.move_on_after(1) as scope:
            await server.wait_closed()
        assert scope.cancelled_caught
        began = trio.current_time()
        server.abort()
        await server.wait_closed()
        await server.aclose()
        assert trio.current_time() == began


@in_turn_over_streams(transports=ALL)
async def test_behind_an_end_that_nobody_noticed(
    transport: str, draft: Draft, autojump_clock: trio.testing.MockClock
) -> None:
    async with connected(transport, draft) as (client, server):
        client.abort()
        await server.wait_closed()
        server.abort()
        await server.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await server.receive()


@each_draft
async def test_after_the_end_it_does_nothing(draft: Draft) -> None:
    async with connected("tcp", draft) as (client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose, 4001)
            with pytest.raises(PeerClosed):
                await server.receive()
            await server.aclose()
        client.abort()
        server.abort()
        assert client.close_code == server.close_code == (4001 if draft.close_status else 1005)


async def test_behind_an_end_in_a_nursery_of_the_programs() -> None:
    """Nothing is left there that could do anything."""
    for draft in FRAMINGS:
        async with served(leave, draft=draft) as server, trio.open_nursery() as nursery:
            connection = await connect_websocket(
                nursery, server.url, stream=await server.dial(), draft=draft
            )
            await connection.wait_closed()
            await trio.testing.wait_all_tasks_blocked()
            assert not nursery.child_tasks
            connection.abort()
            await connection.aclose()


async def leave(connection: Connection, state: object) -> None:
    """Returns at once."""


async def test_the_end_of_the_block_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    """Of a client, of a handler, and of a handler whose client aborts; and nothing is logged."""
    began = trio.current_time()

    async def handler(connection: Connection, state: object) -> None:
        if await connection.receive() == "abort":
            connection.abort()
        else:
            with pytest.raises(ConnectionLost):
                await connection.receive()

    async with served(handler) as server:
        async with server.open_websocket() as client:
            await client.send("abort")
            with pytest.raises(ConnectionLost):
                await client.receive()
        async with server.open_websocket() as client:
            await client.send("receive")
            client.abort()
    assert trio.current_time() == began


class EndOfPings(Instrument):
    """Aborts where a ping is sent."""

    def control_sent(self, connection: Connection, frame: object) -> None:
        connection.abort()


async def test_a_ping_that_an_instrument_aborts_at(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(echo, draft="rfc6455") as server:
        async with server.open_websocket(instruments=[EndOfPings()]) as client:
            with trio.fail_after(1), pytest.raises(trio.ClosedResourceError):
                await client.ping()


class Bouncer(Instrument):
    """Aborts what it is told of."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.closed = 0

    def connection_opened(self, connection: Connection) -> None:
        if self.at == "opened":
            connection.abort()

    def message_received(self, connection: Connection, message: str | bytes) -> None:
        if self.at == "received":
            connection.abort()

    def message_sent(self, connection: Connection, message: object) -> None:
        if self.at == "sent":
            connection.abort()

    def connection_closed(self, connection: Connection) -> None:
        self.closed += 1


@in_turn("at", ["opened", "received", "sent"])
@in_turn_over_streams()
async def test_from_an_instrument(
    transport: str, draft: Draft, at: str, autojump_clock: trio.testing.MockClock
) -> None:
    bouncer = Bouncer(at)
    client_end, server_end = await stream_pair(transport)
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            async with served_stream(server_end, draft, instruments=[bouncer]) as server:
                if at == "sent":
                    await server.send("message")
                with pytest.raises(trio.ClosedResourceError):
                    await server.receive()
                await server.wait_closed()
                assert server.close_code == 1006

        nursery.start_soon(serve)
        async with open_client(client_end, draft) as client:
            if at == "received":
                await client.send("message")
            with pytest.raises((ConnectionLost, PeerClosed)):
                await client.receive()
    assert bouncer.closed == 1


async def test_nothing_of_it_stays(autojump_clock: trio.testing.MockClock) -> None:
    """Neither its object nor its descriptor, while the server goes on."""
    async with by_raw_server(RFC6455) as (client, _):
        pass
    left: list[weakref.ref[Connection]] = []

    async def handler(connection: Connection, state: object) -> None:
        left.append(weakref.ref(connection))
        connection.abort()

    async with served(handler) as server:
        for _ in range(5):
            async with server.open_websocket() as client:
                with pytest.raises(ConnectionLost):
                    await client.receive()
        del client
        await trio.sleep(100)
        gc.collect()
        assert [each() for each in left] == [None] * 5
