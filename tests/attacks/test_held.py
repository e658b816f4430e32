"""Many small things that a connection might pile up: unread messages, pings, pongs."""

from __future__ import annotations

import gc
import math
import sys
import tracemalloc
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from tests.rows import in_turn
from trio_draftws import DRAFTS, Connection, Draft, accept, open_websocket
from trio_draftws.drafts import Role, draft_named
from trio_draftws.testing import Ping, Pong, RawClient, RawPeer, RawServer

from .floods import encoded, many, write
from .standstill import Behave, Target, beating, flooded, receives, sleeps

# 64 KiB are read ahead while nobody receives. As much again is allowed for the last read, whose
# messages may take far more memory than they have bytes.
HELD = 2 * 65536
RFC6455 = draft_named("rfc6455")
PINGING = [draft for draft in DRAFTS if draft.ping]

each_role = pytest.mark.parametrize("role", ["server", "client"])
BEHAVES = (sleeps, receives)


@in_turn(role=("client", "server"), message=("я", ""))
async def test_unread_messages_count_as_the_memory_they_take(
    draft: Draft, message: str, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    """Python objects take far more memory than they have bytes on the wire."""
    target = Target(
        draft=draft, role=role, behave=sleeps, count=1, settings={"max_message_size": 1000}
    )
    heart = await flooded(mock_clock, target, many(message))
    [statistics] = heart.statistics
    assert 100 <= statistics.messages_received <= HELD / sys.getsizeof(message)


@each_role
async def test_unread_messages_take_no_more_memory_than_that(
    role: Role, mock_clock: trio.testing.MockClock
) -> None:
    """Counts everything: the objects, their containers, and bytes that were not decoded yet."""
    settings = {"max_message_size": 1000}
    target = Target(draft=RFC6455, role=role, behave=sleeps, count=4, settings=settings)
    tracemalloc.start()
    try:
        heart = await flooded(mock_clock, target, many("я", 12_000))
    finally:
        tracemalloc.stop()
    assert heart.memory / target.count <= 2 * HELD


@in_turn(PINGING, role=("client", "server"), behave=BEHAVES)
async def test_the_latest_16_pings_of_one_read_are_answered(
    draft: Draft, behave: Behave, role: Role, mock_clock: trio.testing.MockClock
) -> None:
    """RFC 6455 section 5.5.3 asks for the latest, Autobahn for ten."""
    target = Target(draft=draft, role=role, behave=behave, count=1)
    async with beating(mock_clock) as heart, target.open() as (connections, [peer]):
        wire = b"".join([await encoded(peer, Ping(bytes([number]))) for number in range(50)])

        await heart.watch(connections, lambda: len(wire) - len(write(peer, wire)))
        for number in range(34, 50):
            await peer.expect_pong(bytes([number]))
        await peer.send_frame(Ping(b"and no other"))
        await peer.expect_pong(b"and no other")


@asynccontextmanager
async def attacker(
    draft: Draft,
    role: Role,
    behave: Behave,
    streams: tuple[trio.abc.Stream, trio.abc.Stream],
    **settings: Any,
) -> AsyncGenerator[RawPeer, None]:
    """The attacker of one connection in memory."""
    theirs, ours = streams
    peer: RawClient | RawServer
    connecting: AbstractAsyncContextManager[Connection]
    if role == "server":
        peer = RawClient(theirs)
        connecting = accept(ours, framing_mode=lambda request: draft.name, **settings)
    else:
        peer = RawServer(theirs)
        connecting = open_websocket("ws://localhost/", stream=ours, draft=draft, **settings)

    async def connect() -> None:
        async with connecting as connection:
            await behave(connection)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connect)
        await peer.open(draft)
        yield peer
        nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(theirs)


@in_turn(PINGING, role=("client", "server"), behave=BEHAVES)
async def test_without_room_only_the_latest_ping_is_answered(
    draft: Draft, behave: Behave, role: Role, autojump_clock: trio.testing.MockClock
) -> None:
    """The peer takes nothing of what waits for it, and pings on, over several reads."""
    message = "x" * 100_000

    async def sends(connection: Connection) -> None:
        await connection.send(message)
        await behave(connection)

    async with attacker(draft, role, sends, trio.testing.lockstep_stream_pair()) as peer:
        for read in range(3):
            await peer.send_frame(*[Ping(bytes([read, number])) for number in range(20)])
        # The last of them was read, and is now to be answered.
        await trio.testing.wait_all_tasks_blocked()
        await peer.expect_message(message)
        await peer.expect_pong(bytes([2, 19]))
        await peer.send_frame(Ping(b"and no other"))
        await peer.expect_pong(b"and no other")


async def held() -> int:
    """Returns how many bytes Python holds, but for deadlines that Trio no longer needs.

    It drops them by the thousand, so it gets some more until it does.
    """
    gc.collect()
    before = math.inf
    for _ in range(2000):
        with trio.move_on_after(1_000_000):
            await trio.lowlevel.checkpoint()
        now = tracemalloc.get_traced_memory()[0]
        if now < before - 10_000:
            break
        before = now
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@each_role
@pytest.mark.parametrize("asks", [True, False], ids=["asked for", "due"])
async def test_pings_that_are_never_answered_are_forgotten(
    asks: bool, role: Role, autojump_clock: trio.testing.MockClock
) -> None:
    """The peer is alive but never answers, whether the program pings it or keepalive does."""
    connections: list[Connection] = []
    # Seconds from one ping to the next
    every = 1.5

    async def behave(connection: Connection) -> None:
        connections.append(connection)
        while asks:
            with trio.move_on_after(every):
                await connection.ping()
        await connection.receive()

    async def live(peer: RawPeer) -> None:
        while True:
            await trio.sleep(every)
            await peer.send_frame(Pong(b"of nothing"))

    async def read(peer: RawPeer) -> None:
        while True:
            await peer.stream.receive_some()

    async def held_after(pings: int) -> int:
        """Returns how many bytes Python holds after about so many more pings."""
        [connection] = connections
        before = connection.statistics().pings_sent
        await trio.sleep(pings * every)
        assert pings / 2 <= connection.statistics().pings_sent - before <= 2 * pings
        return await held()

    streams = trio.testing.memory_stream_pair()
    async with (
        attacker(RFC6455, role, behave, streams, ping_interval=1) as peer,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(live, peer)
        nursery.start_soon(read, peer)
        await trio.testing.wait_all_tasks_blocked()
        tracemalloc.start()
        try:
            grown = -await held_after(20) + await held_after(200)
        finally:
            tracemalloc.stop()
        nursery.cancel_scope.cancel()
    # Each ping that is remembered takes about 400 bytes.
    assert grown < 100 * 200
