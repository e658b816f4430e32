"""Pings of ours that nobody answers: they keep nobody dead, lose nobody alive, cost nothing."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio

from trio_draftws import Connection, Draft
from trio_draftws.testing import Ping, Pong, RawPeer

from .peers import (
    AT_ONCE,
    PINGING,
    RFC6455,
    SOME_PINGING,
    everywhere,
    facing,
    ping_again_and_again,
    time_of,
)

PING_INTERVAL = PING_TIMEOUT = 20


async def sleep(connection: Connection) -> None:
    await trio.sleep_forever()


async def receive(connection: Connection) -> None:
    with suppress(trio.BrokenResourceError):
        async for _ in connection:
            pass


async def wait_readable(connection: Connection) -> None:
    await connection.wait_readable()
    await trio.sleep_forever()


Handler = Callable[[Connection], Awaitable[None]]
each_handler = pytest.mark.parametrize(
    "handler", [sleep, receive, wait_readable], ids=lambda handler: handler.__name__
)


# A program that pings by itself


async def check_dead(connection: Connection, every: float) -> None:
    with trio.fail_after(PING_INTERVAL + PING_TIMEOUT + every + AT_ONCE):
        took = await time_of(ping_again_and_again(connection, every))
    assert took >= PING_TIMEOUT
    assert connection.closed


@everywhere(PINGING)
async def test_a_dead_peer_that_is_pinged_again_and_again(
    role: str, transport: str, draft: Draft
) -> None:
    """Its time begins with the first ping that it does not answer."""
    async with facing(role, transport, draft) as (connection, _):
        await check_dead(connection, 5)


# Not more often: by the system's own clock nothing is acknowledged so fast, and what has not left
# is no ping that was not answered.
@pytest.mark.parametrize("every", [4, 19.5, 21])
@everywhere([RFC6455], without=["tls"])
async def test_so_it_is_however_often(
    role: str, transport: str, draft: Draft, every: float
) -> None:
    async with facing(role, transport, draft) as (connection, _):
        await check_dead(connection, every)


@each_handler
@everywhere([RFC6455], without=["tls"])
async def test_so_it_is_whatever_the_handler_does(
    role: str, transport: str, draft: Draft, handler: Handler
) -> None:
    async with facing(role, transport, draft) as (connection, _), trio.open_nursery() as nursery:
        nursery.start_soon(handler, connection)
        await check_dead(connection, 5)
        nursery.cancel_scope.cancel()


@everywhere(PINGING)
async def test_so_it_is_behind_a_message_that_nobody_receives(
    role: str, transport: str, draft: Draft
) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame("unread")
        await check_dead(connection, 5)
        assert await connection.receive() == "unread"


@everywhere(SOME_PINGING)
async def test_a_peer_that_answers_too_late_for_each_is_kept(
    role: str, transport: str, draft: Draft
) -> None:
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:

        async def answer_late() -> None:
            while True:
                payload = await peer.expect_ping()
                await trio.sleep(3)
                await peer.send_frame(Pong(payload))

        nursery.start_soon(answer_late)
        nursery.start_soon(ping_again_and_again, connection, 1)
        await trio.sleep(300)
        assert not connection.closed
        nursery.cancel_scope.cancel()


@everywhere(SOME_PINGING)
async def test_a_peer_that_talks_and_answers_none_is_kept(
    role: str, transport: str, draft: Draft
) -> None:
    """Any byte says that it is there."""
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        nursery.start_soon(ping_again_and_again, connection, 1)
        for _ in range(20):
            await trio.sleep(15)
            await peer.send_frame("talk")
            assert await connection.receive() == "talk"
        assert not connection.closed
        nursery.cancel_scope.cancel()


@everywhere([RFC6455])
async def test_an_answer_to_the_latest_stands_for_all(
    role: str, transport: str, draft: Draft
) -> None:
    """RFC 6455 section 5.5.3; those that nobody waits for are no hindrance."""
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        with trio.move_on_after(1):
            await connection.ping()
        took: list[float] = []

        async def ping() -> None:
            took.append(await connection.ping())

        nursery.start_soon(ping)
        await trio.sleep(1)
        nursery.start_soon(ping)
        payloads = [await peer.expect_ping() for _ in range(3)]
        await trio.sleep(1)
        await peer.send_frame(Pong(payloads[-1]))
        await trio.sleep(AT_ONCE)
        assert len(took) == 2
        assert min(took) == pytest.approx(1, abs=AT_ONCE)
        assert max(took) == pytest.approx(2, abs=AT_ONCE)


# What they cost


async def talk_and_answer_none(connection: Connection, peer: RawPeer, times: int) -> None:
    """Each ping is followed by a message, and never by a pong."""
    for _ in range(times):
        assert isinstance(await peer.receive_frame(), Ping)
        await trio.sleep(1)
        await peer.send_frame("no pong")
        assert await connection.receive() == "no pong"


def count_objects() -> int:
    gc.collect()
    return len(gc.get_objects())


@everywhere([RFC6455], without=["tls"])
async def test_pings_that_are_never_answered_are_forgotten(
    role: str, transport: str, draft: Draft
) -> None:
    """Also where the peer talks, so that it is kept."""
    async with facing(role, transport, draft) as (connection, peer):
        await talk_and_answer_none(connection, peer, 20)
        before = count_objects()
        await talk_and_answer_none(connection, peer, 100)
        assert count_objects() - before < 50
        assert connection.statistics().pings_sent >= 120
        assert not connection.closed


@everywhere([RFC6455], without=["tls"])
async def test_so_are_those_of_a_program_that_did_not_wait_for_them(
    role: str, transport: str, draft: Draft
) -> None:
    async with facing(role, transport, draft) as (connection, peer):

        async def ping(times: int) -> None:
            for _ in range(times):
                with trio.move_on_after(1):
                    await connection.ping()
                await peer.send_frame("no pong")
                assert await connection.receive() == "no pong"

        await ping(20)
        before = count_objects()
        await ping(100)
        assert count_objects() - before < 50
        assert connection.statistics().pings_sent == 120
