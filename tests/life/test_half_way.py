"""A handler that has taken a part of a message, and now does something else.

What its peer does meanwhile is met as if it stood between two messages.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio

from trio_draftws import DRAFTS, Connection, ConnectionLost, Draft, PeerClosed
from trio_draftws.drafts import Fragment, draft_named
from trio_draftws.testing import Pong

from .conftest import PASSES_PER_SECOND, Passes
from .ends import end, hear_goodbye, say_goodbye
from .kernel import bytes_of
from .peers import (
    AFTER_GRACE,
    AT_ONCE,
    RFC6455,
    SOME_PINGING,
    everywhere,
    facing,
    hear_message,
    hear_pong,
    time_of,
)

# More than one read brings, and less than is read ahead
HALF = "x" * 20_000
FRAGMENTING = [draft for draft in DRAFTS if draft.fragments]
each_place = pytest.mark.parametrize("left", [False, True], ids=["inside", "left"])


@asynccontextmanager
async def having_a_part(
    connection: Connection, *, left: bool, told: type[Exception]
) -> AsyncGenerator[None, None]:
    """Does what the block does while it has the first part of a message, or has left it with that.

    The message has no end; whoever goes on behind the block is `told` why.
    """
    async with connection.receive_stream() as parts:
        await anext(parts)
        if not left:
            yield
            with pytest.raises(told):
                [part async for part in parts]
    if left:
        yield
    with pytest.raises(told):
        await connection.receive()


@each_place
@pytest.mark.parametrize("how", ["silence", "the end of its stream", "it is gone"])
@everywhere([draft_named("hixie-75"), draft_named("hybi-05"), RFC6455], without=["tls"])
async def test_half_a_frame_and_nothing_more(
    role: str, transport: str, draft: Draft, how: str, left: bool, passes: Passes
) -> None:
    """The process sleeps; and who goes on is told."""
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send((await bytes_of(peer, 2 * HALF))[: len(HALF)])
        async with having_a_part(connection, left=left, told=ConnectionLost):
            await end(peer, how)
            before = passes.count
            await trio.sleep(100)
            assert passes.count - before <= 100 * PASSES_PER_SECOND
            may_be_alive = how == "silence" and not draft.ping
            assert connection.closed is not may_be_alive
            await peer.aclose()


@each_place
@everywhere(SOME_PINGING)
async def test_a_goodbye_between_two_fragments(
    role: str, transport: str, draft: Draft, left: bool
) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame(Fragment(HALF))
        async with having_a_part(connection, left=left, told=PeerClosed):
            await trio.sleep(0.1)
            await say_goodbye(peer)
            assert await time_of(hear_goodbye(peer)) <= AFTER_GRACE
            assert connection.closed


@everywhere(SOME_PINGING)
async def test_a_goodbye_behind_the_rest(role: str, transport: str, draft: Draft) -> None:
    """Which nobody has taken."""
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame(Fragment("one "))
        async with connection.receive_stream() as parts:
            assert await anext(parts) == "one "
            await peer.send_frame(Fragment("message", final=True))
            await say_goodbye(peer)
            assert await time_of(hear_goodbye(peer)) <= AFTER_GRACE
            assert [part async for part in parts] == ["message"]
        with pytest.raises(PeerClosed):
            await connection.receive()


@each_place
@everywhere(SOME_PINGING)
async def test_a_ping_between_two_fragments(
    role: str, transport: str, draft: Draft, left: bool
) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame(Fragment(HALF))
        async with having_a_part(connection, left=left, told=ConnectionLost):
            for number in range(5):
                await peer.send_frame(Fragment("x"))
                assert await time_of(hear_pong(peer, b"%d" % number)) <= AT_ONCE
                await trio.sleep(0.7)
            await peer.aclose()


@everywhere(SOME_PINGING)
async def test_one_that_talks_meanwhile_is_kept(role: str, transport: str, draft: Draft) -> None:
    """All of it is there."""
    async with facing(
        role, transport, draft, ping_interval=0.5, ping_timeout=1, idle_timeout=1.5
    ) as (connection, peer):
        await peer.send_frame(Fragment("0 "))
        async with connection.receive_stream() as parts:
            texts = [await anext(parts)]
            for number in range(1, 20):
                await peer.send_frame(Fragment(f"{number} "), Pong())
                await trio.sleep(0.2)
            await peer.send_frame(Fragment("", final=True))
            assert not connection.closed
            texts += [part async for part in parts]
        assert "".join(map(str, texts)) == "".join(f"{number} " for number in range(20))


@everywhere([draft_named("hixie-75"), RFC6455])
async def test_one_that_sends_more_than_is_read_ahead_is_kept(
    role: str, transport: str, draft: Draft
) -> None:
    """What answers our pings stands behind the rest of the message."""
    size = 10 * len(HALF)
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(peer.send_frame, "x" * size)
        async with connection.receive_stream() as parts:
            took = len(await anext(parts))
            await trio.sleep(300)
            assert not connection.closed
            async for part in parts:
                took += len(part)
        assert took == size
        await connection.send("here")
        assert await hear_message(peer) == "here"
