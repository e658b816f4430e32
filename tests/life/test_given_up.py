"""A peer that is gone is given up, in time, and then costs nothing: no descriptor, no place, no
bytes, though its handler does not know of it yet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from trio_draftws import Connection, ConnectionLost, Draft, PeerClosed, open_websocket
from trio_draftws.testing import RawClient, RawPeer, served_on_port

from .ends import say_last
from .kernel import needs_proc, open_sockets
from .peers import (
    AFTER_GRACE,
    AT_ONCE,
    DEAD_AFTER,
    ON_TCP,
    PINGING,
    SOME_PINGING,
    everywhere,
    facing,
    hear_end,
)

# The descriptor, while a handler sleeps


@needs_proc
@pytest.mark.parametrize("unread", [0, 1])
@everywhere(PINGING, without=["memory"])
async def test_a_silent_peer_costs_no_descriptor(
    role: str, transport: str, draft: Draft, unread: int
) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame(*["unread"] * unread)
        before = open_sockets()
        await trio.sleep(DEAD_AFTER)
        assert open_sockets() == before - 1
        assert connection.closed
        await check_lost(connection, unread)


async def check_lost(connection: Connection, unread: int) -> None:
    """What came is still received, and then it is said that the peer was lost."""
    for _ in range(unread):
        assert await connection.receive() == "unread"
    with pytest.raises(ConnectionLost):
        await connection.receive()


@everywhere(SOME_PINGING)
async def test_a_silent_peer_sees_the_end(role: str, transport: str, draft: Draft) -> None:
    """It may be there again when we no longer wait for it."""
    async with facing(role, transport, draft) as (_, peer):
        await peer.send_frame("unread")
        with trio.fail_after(DEAD_AFTER):
            await hear_end(peer)


@needs_proc
@pytest.mark.parametrize("unread", [0, 1])
@everywhere(without=["memory"])
async def test_a_peer_that_went_without_a_goodbye_costs_no_descriptor(
    role: str, transport: str, draft: Draft, unread: int
) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame(*["unread"] * unread)
        await trio.sleep(1.1)
        before = open_sockets()
        await trio.aclose_forcefully(peer.stream)
        await trio.sleep(AFTER_GRACE if unread else AT_ONCE)
        assert open_sockets() == before - 2
        assert connection.closed
        for _ in range(unread):
            assert await connection.receive() == "unread"
        with pytest.raises(ConnectionLost if draft.closing_handshake else PeerClosed):
            await connection.receive()


@needs_proc
@everywhere(without=["memory"])
async def test_a_peer_that_said_goodbye_and_went_costs_no_descriptor(
    role: str, transport: str, draft: Draft
) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        before = open_sockets()
        await trio.sleep(1.1)
        await say_last(peer, "unread")
        await trio.aclose_forcefully(peer.stream)
        await trio.sleep(AFTER_GRACE)
        assert open_sockets() == before - 2
        assert await connection.receive() == "unread"
        with pytest.raises(PeerClosed):
            await connection.receive()


# The place under `max_connections`, while a handler sleeps


async def say_and_leave(peer: RawPeer) -> None:
    await say_last(peer, "unread")
    await peer.aclose()


async def say_and_vanish(peer: RawPeer) -> None:
    await peer.send_frame("unread")
    await peer.aclose()


async def say_and_be_silent(peer: RawPeer) -> None:
    await peer.send_frame("unread")


Leave = Callable[[RawPeer], Awaitable[None]]


async def check_place(draft: str, leave: Leave, patience: float) -> None:
    """Whether a second client gets in so long after the only other one has left like that."""

    async def handler(connection: Connection, state: object) -> None:
        await trio.sleep_forever()

    async with served_on_port(
        handler, max_connections=1, framing_mode=lambda request: draft
    ) as server:
        assert server.port is not None
        async with RawClient(await trio.open_tcp_stream("127.0.0.1", server.port)) as first:
            await first.open(draft)
            await leave(first)
            await trio.sleep(patience)
            async with open_websocket(f"ws://127.0.0.1:{server.port}/", draft=draft) as second:
                assert not second.closed


@pytest.mark.parametrize("leave", [say_and_leave, say_and_vanish], ids=lambda leave: leave.__name__)
@pytest.mark.parametrize("draft", ON_TCP)
async def test_one_that_left_makes_room(draft: str, leave: Leave) -> None:
    await check_place(draft, leave, AFTER_GRACE)


@pytest.mark.parametrize("draft", [name for name in ON_TCP if name in {d.name for d in PINGING}])
async def test_one_that_was_given_up_makes_room(draft: str) -> None:
    await check_place(draft, say_and_be_silent, DEAD_AFTER)
