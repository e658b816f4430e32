"""A message of which only some is wanted: `receive_stream` is left, and the next one comes."""

from __future__ import annotations

import trio

from tests.pairs import connected
from trio_draftws import Connection, Draft

from .peers import everywhere

# What one read brings, what TCP holds, and more than that
SIZES = (10, 1000, 17_000, 66_000, 300_000)


async def take(connection: Connection, parts: int | None) -> int:
    """Enters `receive_stream`, and leaves it after so many parts, or at the end of the message;
    returns how much came.
    """
    size = 0
    async with connection.receive_stream() as stream:
        taken = 0
        while taken != parts:
            try:
                size += len(await anext(stream))
            except StopAsyncIteration:
                break
            taken += 1
    return size


async def send_all(connection: Connection, sizes: list[int]) -> None:
    for size in sizes:
        await connection.send("x" * size)


async def check_left_early(
    role: str, transport: str, draft: Draft, sizes: list[int], parts: list[int | None]
) -> None:
    async with connected(transport, draft) as (client, server), trio.open_nursery() as nursery:
        ours, theirs = (client, server) if role == "client" else (server, client)
        nursery.start_soon(send_all, theirs, [*sizes, 5, 7])
        for size, wanted in zip(sizes, parts, strict=True):
            took = await take(ours, wanted)
            assert took == size if wanted is None else took <= size
        assert await take(ours, None) == 5
        assert await ours.receive() == "x" * 7


@everywhere()
async def test_left_behind_its_first_part(role: str, transport: str, draft: Draft) -> None:
    """Messages of every size, one of which is read whole after each."""
    sizes = [size for size in SIZES for _ in range(2)]
    await check_left_early(role, transport, draft, sizes, [1, None] * len(SIZES))


@everywhere()
async def test_left_again_and_again(role: str, transport: str, draft: Draft) -> None:
    """Before the first part, and behind some."""
    await check_left_early(role, transport, draft, [*SIZES] * 3, [0, 1, 2, 3, 1] * 3)


@everywhere()
async def test_all_had_come(role: str, transport: str, draft: Draft) -> None:
    """The messages lay there before somebody received at all."""
    async with connected(transport, draft) as (client, server):
        ours, theirs = (client, server) if role == "client" else (server, client)
        for size in SIZES:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_all, theirs, [size, size, 5])
                await trio.sleep(5)
                assert await take(ours, 1) <= size
                assert await take(ours, None) == size
                assert await ours.receive() == "x" * 5
