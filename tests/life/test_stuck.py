"""A peer that takes nothing of what it is sent: `write_timeout` counts for it, and nothing else.

An answer to a ping is expected when the peer has taken the ping; until then it stands behind what
the peer does not take.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator

import pytest
import trio
from trio.testing import MockClock

from trio_draftws import DRAFTS, Connection, ConnectionLost, Draft, broadcast
from trio_draftws.testing import Faults, RawPeer

from .kernel import (
    LONG,
    SLACK,
    WRITE_TIMEOUT,
    facing_nobody,
    given_up_within,
    let_the_kernel_settle,
    needs_proc,
    open_sockets,
)
from .peers import (
    AT_ONCE,
    PINGING,
    RFC6455,
    SOME_PINGING,
    answer_pings,
    everywhere,
    facing,
    hear_end,
    time_of,
)

# Where only the kernel's part is looked at: without pings, with them, and that of today
SOME = [DRAFTS[0], *SOME_PINGING]


def is_open(connection: Connection) -> bool:
    """As of now; mypy takes a property for what stays as it was."""
    return not connection.closed


async def send_until_lost(connection: Connection) -> None:
    with pytest.raises(ConnectionLost):
        await fill(connection)


async def fill(connection: Connection) -> None:
    while True:
        await connection.send("x" * 50_000)


async def receive_until_lost(connection: Connection) -> None:
    with pytest.raises(ConnectionLost):
        await connection.receive()


async def begin_to_take(peer: RawPeer, faults: Faults) -> None:
    """Takes all that comes, and answers nothing."""
    faults.resume.set()
    await hear_end(peer)


# How long until it is given up


@everywhere()
async def test_one_that_takes_nothing_is_given_up(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """Those who send and who receive are told, at the same time in every draft."""
    async with (
        facing_nobody(role, transport, draft) as (connection, _, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send_until_lost, connection)
        await let_the_kernel_settle(transport, autojump_clock)
        took = await time_of(receive_until_lost(connection))
    assert WRITE_TIMEOUT - SLACK <= took <= given_up_within(transport)


@everywhere()
async def test_so_is_one_for_which_nobody_waits(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """Neither a sender nor a receiver; then nothing waits for it any more."""
    async with facing_nobody(role, transport, draft) as (connection, _, _):
        await connection.send(LONG)
        await let_the_kernel_settle(transport, autojump_clock)
        await trio.sleep(WRITE_TIMEOUT - SLACK)
        assert is_open(connection)
        assert connection.statistics().bytes_waiting
        await trio.sleep(given_up_within(transport) - WRITE_TIMEOUT + SLACK)
        assert connection.closed
        assert not connection.statistics().bytes_waiting
        await receive_until_lost(connection)


@needs_proc
@everywhere(without=["memory"])
async def test_it_then_costs_no_descriptor(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    async with facing_nobody(role, transport, draft) as (connection, _, _):
        await connection.send(LONG)
        await let_the_kernel_settle(transport, autojump_clock)
        before = open_sockets()
        await trio.sleep(given_up_within(transport))
        assert open_sockets() == before - 1


# A ping that stands behind what is not taken


@everywhere(PINGING)
async def test_the_time_of_a_ping_begins_when_it_is_taken(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """The peer takes nothing for 50 seconds, then all, and does not answer."""
    async with (
        facing_nobody(role, transport, draft) as (connection, peer, faults),
        trio.open_nursery() as nursery,
    ):
        await connection.send(LONG)
        await let_the_kernel_settle(transport, autojump_clock)
        await trio.sleep(50)
        assert not connection.closed
        nursery.start_soon(begin_to_take, peer, faults)
        took = await time_of(receive_until_lost(connection))
    assert 20 - SLACK <= took <= 20 + 20 + SLACK


@everywhere(SOME_PINGING)
async def test_one_that_answers_it_then_is_kept(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    async with (
        facing_nobody(role, transport, draft) as (connection, peer, faults),
        trio.open_nursery() as nursery,
    ):
        await connection.send(LONG)
        await let_the_kernel_settle(transport, autojump_clock)
        await trio.sleep(50)
        faults.resume.set()
        nursery.start_soon(answer_pings, peer)
        await trio.sleep(200)
        assert not connection.closed
        nursery.cancel_scope.cancel()


@everywhere(SOME, without=["memory"])
async def test_one_that_takes_a_little_now_and_then_is_kept(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """It need not say anything: that it takes something says that it is there."""
    async with (
        facing_nobody(role, transport, draft) as (connection, peer, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(fill, connection)
        for _ in range(12):
            await let_the_kernel_settle(transport, autojump_clock, 0.12)
            await trio.sleep(25)
            assert not connection.closed
            await take(peer, 300_000, autojump_clock)
        nursery.cancel_scope.cancel()


@everywhere(SOME, without=["memory"])
async def test_one_that_took_some_before_the_loop_stood_still_is_kept(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """Nobody could see it since; and it is asked whether it is there."""
    async with facing_nobody(role, transport, draft) as (connection, peer, _):
        await connection.send(LONG)
        await let_the_kernel_settle(transport, autojump_clock)
        await trio.sleep(15)
        await take(peer, 300_000, autojump_clock)
        # What stands still is the loop, and not the system beneath it.
        time.sleep(0.3)  # noqa: ASYNC251
        autojump_clock.jump(100)
        await trio.sleep(5)
        assert not connection.closed


async def take(peer: RawPeer, size: int, clock: MockClock) -> None:
    """Takes so many bytes, more than both kernels hold: so some are on their way, by the kernel's
    own clock, while the mocked one stands still.
    """
    clock.autojump_threshold = math.inf
    while size > 0:
        size -= len(await peer.stream.receive_some(size))
    clock.autojump_threshold = 0


# A broadcast that does not wait for it


@everywhere()
async def test_what_waits_for_one_that_broadcast_ends_is_dropped(
    role: str, transport: str, draft: Draft
) -> None:
    """Also behind a message that nobody received; that is still there."""
    async with facing_nobody(role, transport, draft) as (connection, peer, _):
        await peer.send_frame("unread")
        await trio.sleep(3)
        while not (await broadcast([connection], "x" * 100_000, slow="close")).cut:
            pass
        await trio.sleep(AT_ONCE)
        assert connection.closed
        assert not connection.statistics().bytes_waiting
        assert await connection.receive() == "unread"
        await receive_until_lost(connection)


@needs_proc
@pytest.mark.parametrize("unread", [0, 1])
@everywhere([RFC6455], without=["memory"])
async def test_one_that_broadcast_ended_costs_no_descriptor(
    role: str, transport: str, draft: Draft, unread: int
) -> None:
    async with facing_nobody(role, transport, draft) as (connection, peer, _):
        await peer.send_frame(*["unread"] * unread)
        await trio.sleep(3)
        before = open_sockets()
        while not (await broadcast([connection], "x" * 100_000, slow="close")).cut:
            pass
        await trio.sleep(AT_ONCE)
        assert open_sockets() == before - 1


@everywhere([draft for draft in DRAFTS if draft.fragments and draft.close_status])
async def test_one_that_broadcast_ends_is_told_why_where_that_fits(
    role: str, transport: str, draft: Draft
) -> None:
    """Also behind a message that nobody received. Here it fits: the peer took all that there was of
    a message that is sent part by part.
    """
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        await peer.send_frame("unread")
        ended = trio.Event()

        async def parts() -> AsyncGenerator[str, None]:
            yield "a part"
            await ended.wait()
            yield "another"

        async def send() -> None:
            with pytest.raises(ConnectionLost):
                await connection.send_stream(parts())

        nursery.start_soon(send)
        await trio.sleep(3)
        assert (await broadcast([connection], "x", slow="close")).cut == (connection,)
        with trio.fail_after(AT_ONCE):
            await peer.expect_close(1008)
        ended.set()
