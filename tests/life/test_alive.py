"""A peer that is alive is not given up, whoever looked or did not, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trio_draftws import DRAFTS, Connection, Draft
from trio_draftws.drafts import draft_named
from trio_draftws.testing import Ping, Pong, RawPeer

from .kernel import send_without_a_pass
from .peers import PINGING, RFC6455, SOME_PINGING, answer_pings, everywhere, facing, hear_message


async def check_alive(connection: Connection, peer: RawPeer) -> None:
    assert not connection.closed
    await connection.send("here")
    assert await hear_message(peer) == "here"
    await peer.send_frame("here too")
    assert await connection.receive() == "here too"


async def talk(peer: RawPeer, count: int, every: float) -> list[str]:
    """So many messages, and as many pongs as the draft has; returns them."""
    messages = [f"message {number}" for number in range(count)]
    assert peer.draft is not None
    for message in messages:
        await peer.send_frame(message, *([Pong()] if peer.draft.ping else []))
        await trio.sleep(every)
    return messages


async def check_talk_while_asleep(role: str, transport: str, draft: Draft, **settings: Any) -> None:
    async with facing(role, transport, draft, **settings) as (connection, peer):
        messages = await talk(peer, 20, every=0.2)
        assert [await connection.receive() for _ in messages] == messages
        await check_alive(connection, peer)


@everywhere()
async def test_one_that_talks_while_nobody_receives_is_not_idle(
    role: str, transport: str, draft: Draft
) -> None:
    await check_talk_while_asleep(role, transport, draft, idle_timeout=1.5)


@everywhere(PINGING)
async def test_one_that_talks_while_nobody_receives_need_not_be_pinged(
    role: str, transport: str, draft: Draft
) -> None:
    await check_talk_while_asleep(role, transport, draft, ping_interval=0.5, ping_timeout=1)


# A loop that stood still: a long computation, a suspended machine, SIGSTOP


async def sleep(connection: Connection) -> None:
    await trio.sleep_forever()


async def receive(connection: Connection) -> None:
    async for _ in connection:
        pass


async def wait_readable(connection: Connection) -> None:
    while True:
        await connection.wait_readable()
        await connection.receive()


async def receive_stream(connection: Connection) -> None:
    while True:
        async with connection.receive_stream() as parts:
            async for _ in parts:
                pass


Handler = Callable[[Connection], Awaitable[None]]
each_handler = pytest.mark.parametrize(
    "handler", [sleep, receive, wait_readable, receive_stream], ids=lambda handler: handler.__name__
)
# How often: who runs first in a pass is left to chance.
TIMES = 8


@each_handler
@everywhere(SOME_PINGING, without=["tls"])
async def test_the_answer_came_while_the_loop_stood_still(
    role: str, transport: str, draft: Draft, handler: Handler, autojump_clock: MockClock
) -> None:
    """The answer to a ping lies there when the time for it has long passed."""
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(handler, connection)
        for _ in range(TIMES):
            payload = await peer.expect_ping()
            await send_without_a_pass(peer, Pong(payload))
            autojump_clock.jump(25)
            await trio.sleep(1)
            assert not connection.closed
        nursery.cancel_scope.cancel()
    assert connection.statistics().pongs_received == TIMES


@each_handler
@everywhere([draft_named("hixie-75"), draft_named("new")], without=["tls"])
async def test_a_message_came_while_the_loop_stood_still(
    role: str, transport: str, draft: Draft, handler: Handler, autojump_clock: MockClock
) -> None:
    """The same where there are no pings, and `idle_timeout` has long passed."""
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(handler, connection)
        for _ in range(TIMES):
            await trio.sleep(1)
            await send_without_a_pass(peer, "here")
            autojump_clock.jump(4000)
            await trio.sleep(1)
            assert not connection.closed
        nursery.cancel_scope.cancel()
    assert connection.statistics().messages_received == TIMES


@everywhere(SOME_PINGING)
async def test_the_loop_stood_still_before_the_ping(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """Nothing was asked yet: it is asked now, and has its time to answer."""
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        await trio.sleep(1)
        autojump_clock.jump(100)
        nursery.start_soon(answer_pings, peer)
        await trio.sleep(100)
        assert not connection.closed
        nursery.cancel_scope.cancel()


@everywhere(PINGING)
async def test_a_ping_came_while_the_loop_stood_still(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """It counts as life, and is answered when the loop goes on."""
    async with facing(role, transport, draft) as (connection, peer):
        await trio.sleep(1)
        await send_without_a_pass(peer, Ping(b"there?"))
        autojump_clock.jump(100)
        await trio.sleep(1)
        assert not connection.closed
        with trio.fail_after(1):
            while await peer.receive_frame() != Pong(b"there?"):
                pass


# A peer whose bytes lie unread: more than 64 KiB of them, so that no more is read

MESSAGE = "x" * 1000
UNREAD = 150


async def check_unread(connection: Connection, count: int) -> None:
    """All messages are there, and no end behind them."""
    for number in range(count):
        assert await connection.receive() == MESSAGE, number
    assert not connection.closed


@everywhere()
async def test_a_busy_handler_and_more_than_is_read_ahead(
    role: str, transport: str, draft: Draft
) -> None:
    """What answers our pings stands behind what nobody receives."""
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame(*[MESSAGE] * UNREAD)
        for _ in range(20):
            await trio.sleep(15)
            await peer.send_frame(MESSAGE, *([Pong()] if draft.ping else []))
        await check_unread(connection, UNREAD + 20)
        await check_alive(connection, peer)


@everywhere()
async def test_a_handler_that_is_busy_for_longer_than_idle_timeout(
    role: str, transport: str, draft: Draft
) -> None:
    """Nothing is read any more, so nothing is known of a silence."""
    async with facing(role, transport, draft, idle_timeout=30) as (connection, peer):
        await peer.send_frame(*[MESSAGE] * UNREAD)
        await trio.sleep(50)
        await peer.send_frame(MESSAGE)
        await trio.sleep(50)
        await check_unread(connection, UNREAD + 1)
        await check_alive(connection, peer)


@everywhere([DRAFTS[0], RFC6455], without=["memory", "tls"])
async def test_a_handler_that_is_busy_for_two_hours(
    role: str, transport: str, draft: Draft
) -> None:
    """The same with the defaults; one that cannot be pinged says something now and then."""
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame(*[MESSAGE] * UNREAD)
        await trio.sleep(7200)
        await check_unread(connection, UNREAD)
        await check_alive(connection, peer)


@everywhere(SOME_PINGING)
async def test_one_that_answers_pings_behind_one_unread_message(
    role: str, transport: str, draft: Draft
) -> None:
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        await peer.send_frame("unread")
        nursery.start_soon(answer_pings, peer)
        await trio.sleep(600)
        nursery.cancel_scope.cancel()
        assert await connection.receive() == "unread"
        await check_alive(connection, peer)
