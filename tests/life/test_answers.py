"""A goodbye and a ping are answered at once, though nobody receives.

Here the handler was never given a message, so there is none that it may still answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import pytest
import trio

from tests.pairs import connected
from trio_draftws import Connection, Draft, PeerClosed, open_websocket, wait_any
from trio_draftws.drafts import draft_named
from trio_draftws.testing import connected_pair, served_on_port

from .ends import hear_goodbye, say_goodbye
from .peers import (
    AFTER_GRACE,
    AT_ONCE,
    ON_TCP,
    PINGING,
    RFC6455,
    SOME_PINGING,
    everywhere,
    facing,
    hear_message,
    hear_pong,
    time_of,
)

# Where in a round of today's and tomorrow's it begins
A_MOMENT = 0.1


async def sleep(connection: Connection) -> None:
    await trio.sleep_forever()


async def send(connection: Connection) -> None:
    while True:
        await connection.send("tick")
        await trio.sleep(0.1)


Handler = Callable[[Connection], Awaitable[None]]


async def until_broken(handler: Handler, connection: Connection) -> None:
    with suppress(trio.BrokenResourceError):
        await handler(connection)


async def check_ended(connection: Connection) -> None:
    """Nothing can be sent, and whoever receives is told that the peer closed."""
    assert connection.closed
    with pytest.raises(trio.BrokenResourceError):
        await connection.send("too late")
    with pytest.raises(PeerClosed):
        await connection.receive()


# A goodbye behind which nothing lies, to a handler that was never given a message


@everywhere()
async def test_a_goodbye_to_a_handler_that_sleeps(role: str, transport: str, draft: Draft) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await trio.sleep(A_MOMENT)
        await say_goodbye(peer)
        assert await time_of(hear_goodbye(peer)) <= AT_ONCE
        await check_ended(connection)


@everywhere([draft_named("hixie-75"), draft_named("new"), RFC6455])
async def test_a_goodbye_to_a_handler_that_only_sends(
    role: str, transport: str, draft: Draft
) -> None:
    """Its next message is refused."""
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(until_broken, send, connection)
        assert await hear_message(peer) == "tick"
        await trio.sleep(A_MOMENT)
        await say_goodbye(peer)
        assert await time_of(hear_goodbye(peer)) <= AT_ONCE
    assert connection.closed


@everywhere()
async def test_the_end_of_the_stream_to_a_handler_that_sleeps(
    role: str, transport: str, draft: Draft
) -> None:
    """Without a goodbye, or as one: our side ends too."""
    async with facing(role, transport, draft) as (connection, peer):
        await trio.sleep(A_MOMENT)
        if isinstance(peer.stream, trio.abc.HalfCloseableStream):
            await peer.send_eof()
            assert await time_of(peer.expect_end()) <= AT_ONCE
        else:
            await peer.aclose()
            await trio.sleep(AT_ONCE)
        assert connection.closed


async def wait_readable(connection: Connection) -> None:
    await connection.wait_readable()


async def wait_with_others(connection: Connection) -> None:
    async with connected_pair() as (client, server):
        assert await wait_any(client, connection, server) is connection


async def receive_for_a_moment(connection: Connection) -> None:
    with trio.move_on_after(A_MOMENT / 2):
        await connection.receive()


async def check_goodbye_after(
    look: Callable[[Connection], Awaitable[None]], role: str, transport: str, draft: Draft
) -> None:
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(look, connection)
        await trio.sleep(A_MOMENT)
        await say_goodbye(peer)
        assert await time_of(hear_goodbye(peer)) <= AT_ONCE
        await check_ended(connection)


@everywhere()
async def test_a_goodbye_that_wait_readable_saw_first(
    role: str, transport: str, draft: Draft
) -> None:
    """And who waited then does something else than receive."""
    await check_goodbye_after(wait_readable, role, transport, draft)


@pytest.mark.parametrize("look", [wait_with_others, receive_for_a_moment])
@everywhere([RFC6455])
async def test_a_goodbye_that_somebody_waited_for(
    role: str,
    transport: str,
    draft: Draft,
    look: Callable[[Connection], Awaitable[None]],
) -> None:
    await check_goodbye_after(look, role, transport, draft)


# Leaving a block, where both sides are ours and neither receives


async def time_to_leave(
    role: str, transport: str, draft: Draft, handler: Handler, *unread: str
) -> float:
    """How long closing takes a connection of that role, while the other side does that."""
    async with connected(transport, draft) as (client, server):
        ours, theirs = (client, server) if role == "client" else (server, client)
        for message in unread:
            await ours.send(message)
        await trio.sleep(A_MOMENT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_broken, handler, theirs)
            await trio.sleep(A_MOMENT)
            took = await time_of(ours.aclose())
            nursery.cancel_scope.cancel()
    return took


@everywhere()
async def test_leaving(role: str, transport: str, draft: Draft) -> None:
    assert await time_to_leave(role, transport, draft, sleep) <= AT_ONCE


@everywhere([draft_named("hixie-75"), draft_named("new"), RFC6455])
async def test_leaving_one_that_sends(role: str, transport: str, draft: Draft) -> None:
    assert await time_to_leave(role, transport, draft, send) <= AT_ONCE


@everywhere()
async def test_leaving_behind_an_unread_message(role: str, transport: str, draft: Draft) -> None:
    """It takes no `close_timeout`, after which nobody knows whether the message came."""
    assert await time_to_leave(role, transport, draft, sleep, "unread") <= AFTER_GRACE


@pytest.mark.parametrize("draft", ON_TCP)
async def test_leaving_a_server_whose_handlers_sleep(draft: str) -> None:
    """One client after the other, as they are in a program."""

    async def handler(connection: Connection, state: object) -> None:
        await trio.sleep_forever()

    async with served_on_port(handler, framing_mode=lambda request: draft) as server:
        url = f"ws://127.0.0.1:{server.port}/"
        async with open_websocket(url, draft=draft):
            for _ in range(3):
                async with AsyncExitStack() as stack:
                    await stack.enter_async_context(open_websocket(url, draft=draft))
                    await trio.sleep(A_MOMENT)
                    assert await time_of(stack.aclose()) <= AT_ONCE


# Pings


@everywhere(PINGING)
async def test_a_ping_to_a_handler_that_sleeps(role: str, transport: str, draft: Draft) -> None:
    """Also behind a message that it does not receive."""
    async with facing(role, transport, draft) as (connection, peer):
        await trio.sleep(A_MOMENT)
        for number in range(5):
            if number == 2:
                await peer.send_frame("unread")
            assert await time_of(hear_pong(peer, b"%d" % number)) <= AT_ONCE
            await trio.sleep(0.7)
        assert connection.statistics().pings_received == 5


@everywhere(SOME_PINGING)
async def test_a_ping_to_a_handler_that_received_before(
    role: str, transport: str, draft: Draft
) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await trio.sleep(A_MOMENT)
        for number in range(5):
            await peer.send_frame("message")
            assert await connection.receive() == "message"
            assert await time_of(hear_pong(peer, b"%d" % number)) <= AT_ONCE


@everywhere(PINGING, without=["memory"])
async def test_a_ping_of_ours_while_neither_side_receives(
    role: str, transport: str, draft: Draft
) -> None:
    async with connected(transport, draft) as (client, server):
        ours = client if role == "client" else server
        await trio.sleep(A_MOMENT)
        assert await ours.ping() <= AT_ONCE
