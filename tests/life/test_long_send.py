"""A handler inside a long `send`, since its peer takes nothing; and what else that peer does."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from trio_draftws import Connection, Draft
from trio_draftws.drafts import Event
from trio_draftws.testing import Ping, Pong

from .conftest import PASSES_PER_SECOND, Passes
from .ends import each_end, end, hear_goodbye, say_goodbye
from .kernel import facing_nobody, given_up_within, let_the_kernel_settle
from .peers import AT_ONCE, RFC6455, SOME_PINGING, everywhere, ping_again_and_again, time_of

MESSAGE = "x" * 50_000


async def send_until_broken(connection: Connection) -> None:
    """All in all it is far more than is taken by anybody before the peer takes some."""
    with suppress(trio.BrokenResourceError):
        for _ in range(16):
            await connection.send(MESSAGE)


@pytest.mark.parametrize("unread", [0, 1])
@each_end
@everywhere([RFC6455], without=["tls"])
async def test_an_end_and_nothing_is_taken(
    role: str,
    transport: str,
    draft: Draft,
    how: str,
    unread: int,
    passes: Passes,
    autojump_clock: MockClock,
) -> None:
    """The sender is told within `write_timeout`, and the process sleeps."""
    async with facing_nobody(role, transport, draft) as (connection, peer, _):
        before = passes.count
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_until_broken, connection)
            await let_the_kernel_settle(transport, autojump_clock)
            await peer.send_frame(*["unread"] * unread)
            await end(peer, how)
            nursery.cancel_scope.deadline = trio.current_time() + given_up_within(transport)
        assert not nursery.cancel_scope.cancelled_caught
        await trio.sleep(100)
        assert passes.count - before <= 200 * PASSES_PER_SECOND
        assert connection.closed
        for _ in range(unread):
            assert await connection.receive() == "unread"
        with pytest.raises((trio.EndOfChannel, trio.BrokenResourceError)):
            await connection.receive()


@everywhere(SOME_PINGING)
async def test_a_goodbye_and_then_all_is_taken(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """Whole messages come, and behind them the answer."""
    async with (
        facing_nobody(role, transport, draft) as (connection, peer, faults),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send_until_broken, connection)
        await let_the_kernel_settle(transport, autojump_clock)
        await trio.sleep(0.1)
        await say_goodbye(peer)
        await trio.sleep(1)
        faults.resume.set()
        came: list[Event] = []

        async def take_all() -> None:
            came.extend(await hear_goodbye(peer))

        assert await time_of(take_all()) <= AT_ONCE
        await trio.sleep(AT_ONCE)
        assert set(came) == {MESSAGE}
        assert len(came) == connection.statistics().messages_sent
        assert connection.closed


@everywhere(SOME_PINGING)
async def test_a_ping_and_then_all_is_taken(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """The answer stands behind what waits, and in front of what does not wait yet."""
    async with (
        facing_nobody(role, transport, draft) as (connection, peer, faults),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(send_until_broken, connection)
        await let_the_kernel_settle(transport, autojump_clock)
        await trio.sleep(0.1)
        await peer.send_frame(Ping(b"there?"))
        await trio.sleep(AT_ONCE)
        sent = connection.statistics().messages_sent
        faults.resume.set()
        taken = 0
        while await peer.receive_frame() != Pong(b"there?"):
            taken += 1
        assert taken <= sent
        nursery.cancel_scope.cancel()


@everywhere(SOME_PINGING)
async def test_pings_of_a_program_for_one_that_takes_nothing(
    role: str, transport: str, draft: Draft, autojump_clock: MockClock
) -> None:
    """They wait for room, too, and end with the connection."""
    async with facing_nobody(role, transport, draft) as (connection, _, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_until_broken, connection)
            await let_the_kernel_settle(transport, autojump_clock)
            nursery.start_soon(ping_again_and_again, connection, 5)
            nursery.cancel_scope.deadline = trio.current_time() + given_up_within(transport)
        assert not nursery.cancel_scope.cancelled_caught
        assert connection.closed
