"""One message that nobody receives, and then nothing any more, or an end: the process sleeps.

What had come is there for whoever receives at last, and behind it the end.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio

from trio_draftws import Connection, Draft

from .conftest import PASSES_PER_SECOND, Passes
from .ends import each_end, end, error_at_the_end
from .peers import DEAD_AFTER, RFC6455, everywhere, facing


@each_end
@everywhere()
async def test_one_message_that_nobody_receives(
    role: str, transport: str, draft: Draft, how: str, passes: Passes
) -> None:
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame("unread")
        await end(peer, how)
        before = passes.count
        await trio.sleep(100)
        assert passes.count - before <= 100 * PASSES_PER_SECOND
        await check_the_end(connection, draft, how)


async def check_the_end(connection: Connection, draft: Draft, how: str) -> None:
    expected = error_at_the_end(draft, how)
    assert connection.closed is (expected is not None)
    assert await connection.receive() == "unread"
    if expected is not None:
        with pytest.raises(expected):
            await connection.receive()


async def send_until_broken(connection: Connection) -> None:
    with suppress(trio.BrokenResourceError):
        while True:
            await connection.send("tick")
            await trio.sleep(0.5)


@each_end
@everywhere([RFC6455], without=["tls"])
async def test_one_message_for_a_handler_that_only_sends(
    role: str, transport: str, draft: Draft, how: str, passes: Passes
) -> None:
    """It is told by `send` that there is nobody any more."""
    async with facing(role, transport, draft) as (connection, peer):
        await peer.send_frame("unread")
        await end(peer, how)
        before = passes.count
        # The system's own clock goes on: what it has to acknowledge seems to wait for seconds.
        with trio.fail_after(3 * DEAD_AFTER):
            await send_until_broken(connection)
        await trio.sleep(50)
        assert passes.count - before <= 100 * PASSES_PER_SECOND
        await check_the_end(connection, draft, how)
