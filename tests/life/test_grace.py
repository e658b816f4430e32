"""How long a goodbye is left unanswered for a handler that was given messages.

It is the same however TCP cut what came. Then the goodbye is answered, nothing can be sent any
more, and what came is still received, with the end behind it.
"""

from __future__ import annotations

import pytest
import trio

from trio_draftws import Connection, Draft, PeerClosed
from trio_draftws.drafts import Event
from trio_draftws.testing import RawPeer

from .ends import hear_goodbye, say_goodbye, say_last
from .peers import AFTER_GRACE, AT_ONCE, GRACE, RFC6455, everywhere, facing, time_of


async def check_received_and_ended(connection: Connection, *messages: str) -> None:
    for message in messages:
        assert await connection.receive() == message
    with pytest.raises(PeerClosed):
        await connection.receive()
    await check_nothing_can_be_sent(connection)


async def check_nothing_can_be_sent(connection: Connection) -> None:
    assert connection.closed
    with pytest.raises(trio.BrokenResourceError):
        await connection.send("too late")


async def exchange(connection: Connection, peer: RawPeer) -> None:
    """The handler is given a message, and answers."""
    await peer.send_frame("question")
    assert await connection.receive() == "question"
    await connection.send("answer")
    assert await peer.receive_frame() == "answer"


# Nothing is unread


@everywhere()
async def test_a_handler_that_received_just_now(role: str, transport: str, draft: Draft) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await exchange(connection, peer)
        await say_goodbye(peer)
        assert await time_of(hear_goodbye(peer)) <= AFTER_GRACE
        await check_received_and_ended(connection)


@everywhere()
async def test_a_handler_that_received_long_ago(role: str, transport: str, draft: Draft) -> None:
    """Its time has passed already."""
    async with facing(role, transport, draft) as (connection, peer):
        await exchange(connection, peer)
        await trio.sleep(8.1)
        await say_goodbye(peer)
        assert await time_of(hear_goodbye(peer)) <= AT_ONCE
        await check_received_and_ended(connection)


@everywhere()
async def test_a_handler_that_receives_is_waited_for_no_time(
    role: str, transport: str, draft: Draft
) -> None:
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        await exchange(connection, peer)
        nursery.start_soon(check_received_and_ended, connection)
        await trio.sleep(0.1)
        await say_goodbye(peer)
        assert await time_of(hear_goodbye(peer)) == 0


# The answer to a message behind which a goodbye came


async def hear_answers(peer: RawPeer, heard: list[Event]) -> None:
    heard += await hear_goodbye(peer)


@pytest.mark.parametrize(("begun", "apart"), [(0.4, 0), (1.0, 0.1)])
@everywhere()
async def test_an_answer_that_takes_its_time(
    role: str, transport: str, draft: Draft, begun: float, apart: float
) -> None:
    """As long as the grace has not passed, it is heard, wherever in a round all that happens."""
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        heard: list[Event] = []
        nursery.start_soon(hear_answers, peer, heard)

        async def ask() -> None:
            await trio.sleep(begun)
            if not apart:
                await say_last(peer, "question")
            else:
                await peer.send_frame("question")
                await trio.sleep(apart)
                await say_goodbye(peer)

        nursery.start_soon(ask)
        assert await connection.receive() == "question"
        await trio.sleep(GRACE - 0.2)
        await connection.send("answer")
        await check_received_and_ended(connection)
    assert heard == ["answer"]


# Messages are unread


@everywhere()
async def test_messages_that_nobody_receives(role: str, transport: str, draft: Draft) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await trio.sleep(0.1)
        await say_last(peer, "one", "two", "three")
        assert await time_of(hear_goodbye(peer)) <= AFTER_GRACE
        await check_nothing_can_be_sent(connection)
        await check_received_and_ended(connection, "one", "two", "three")


@everywhere()
async def test_a_reader_that_answers_each_message_in_time(
    role: str, transport: str, draft: Draft
) -> None:
    """Each message that it takes gives it more."""
    questions = [f"question {number}" for number in range(4)]
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        heard: list[Event] = []
        nursery.start_soon(hear_answers, peer, heard)
        await say_last(peer, *questions)
        await trio.sleep(GRACE - 0.2)
        for question in questions:
            assert await connection.receive() == question
            await trio.sleep(GRACE - 0.2)
            await connection.send(f"answer to {question}")
        await check_received_and_ended(connection)
    assert heard == [f"answer to {question}" for question in questions]


@everywhere()
async def test_a_reader_that_takes_too_long(role: str, transport: str, draft: Draft) -> None:
    """Its answer is late, and refused; it receives all the same."""
    async with facing(role, transport, draft) as (connection, peer), trio.open_nursery() as nursery:
        await trio.sleep(0.1)
        await say_last(peer, "one", "two", "three")

        async def work() -> None:
            assert await connection.receive() == "one"
            await trio.sleep(4)
            await check_nothing_can_be_sent(connection)
            await check_received_and_ended(connection, "two", "three")

        nursery.start_soon(work)
        assert await time_of(hear_goodbye(peer)) <= AFTER_GRACE


@everywhere([RFC6455])
async def test_the_grace_is_half_of_a_short_close_timeout(
    role: str, transport: str, draft: Draft
) -> None:
    """The peer is answered before it stops waiting, if it waits as long as we would."""
    async with facing(role, transport, draft, close_timeout=2) as (connection, peer):
        await trio.sleep(0.1)
        await say_last(peer, "unread")
        assert await time_of(hear_goodbye(peer)) <= 1 + AT_ONCE
        await check_received_and_ended(connection, "unread")
