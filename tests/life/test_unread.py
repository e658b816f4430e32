"""What lies unread is counted as the memory it takes, however small the messages are."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest
import trio

from tests.turns import in_turn
from trio_draftws.drafts import draft_named

from .kernel import bytes_of
from .peers import ON_TCP, facing

KIB = 1024
# 64 KiB of messages; and some slack for what one read brings, and for what holds them
ALLOWED = 192 * KIB
# Each takes two bytes of a frame, and forty times as many in memory.
TINY = "я"
COUNT = 20_000


@attrs.define
class Memory:
    grown: int = 0


@contextmanager
def measured() -> Iterator[Memory]:
    """How much more memory Python has at the end of the block."""
    memory = Memory()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield memory
        gc.collect()
        memory.grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@in_turn("role", ["client", "server"])
@pytest.mark.parametrize("name", ON_TCP)
async def test_tiny_messages(role: str, name: str) -> None:
    """Over TCP, where what is not read lies in the kernel; and all of them are there."""
    async with facing(role, "tcp", draft_named(name)) as (connection, peer):
        await peer.send_frame("first")
        assert await connection.receive() == "first"
        data = await bytes_of(peer, *[TINY] * COUNT)
        async with trio.open_nursery() as nursery:
            with measured() as memory:
                nursery.start_soon(peer.send, data)
                await trio.sleep(10)
            assert memory.grown <= ALLOWED
            for _ in range(COUNT):
                assert await connection.receive() == TINY
        assert not connection.closed
